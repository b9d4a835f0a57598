"""Lists of listings and offers as one reader may see them, in a total order."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from bloxtr8.market import offer_rows, rules, visibility
from bloxtr8.market.listing_rows import COLUMNS, NAMES, Row
from bloxtr8.store import database
from bloxtr8.store.database import Transaction

Sort = Literal["newest", "price_asc", "price_desc"]

_COLUMNS = ", ".join(f"l.{name}" for name in NAMES)
# (sort key, direction, its comparison with the place of a page)
_ORDERS: dict[str, tuple[str, str, str]] = {
    "newest": ("l.created_at", "DESC", "<"),
    "price_asc": ("l.price_minor", "ASC", ">"),
    "price_desc": ("l.price_minor", "DESC", "<"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of a search; None filters nothing. Prices in cents."""

    q: str | None = None
    category: str | None = None
    tag: str | None = None
    price_band: str | None = None
    min_price: int | None = None
    max_price: int | None = None
    max_risk: str | None = None
    guild_id: UUID | None = None
    seller_id: UUID | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: after the row with this sort key and id."""

    key: datetime | int
    id: UUID


@dataclass(frozen=True, slots=True)
class Slice:
    sort: Sort
    limit: int
    after: Place | None = None


class _Where:
    """Conditions that hold together, and their arguments."""

    def __init__(self) -> None:
        self.conditions: list[str] = []
        self.args: list[Any] = []

    def add(self, condition: str, *args: Any) -> None:
        """Add a condition whose arguments stand as `{}` in it, in order."""
        first = len(self.args) + 1
        places = [f"${number}" for number in range(first, first + len(args))]
        self.conditions.append(condition.format(*places))
        self.args += args


async def listings(
    viewer: UUID | None, wanted: Wanted, part: Slice, now: datetime
) -> Sequence[Row]:
    """Return what is for sale and the viewer may see; with `status` only their own.

    `limit` rows at most, ordered by `sort` and id.
    """
    where = _Where()
    await _visible(where, viewer, wanted, now)
    _filters(where, wanted)
    key, direction, beyond = _ORDERS[part.sort]
    if part.after is not None:
        where.add(f"({key}, l.id) {beyond} ({{}}, {{}})", part.after.key, part.after.id)
    where.args.append(part.limit)
    order = f"ORDER BY {key} {direction}, l.id {direction}"
    # The page is cut before anything is looked up for its rows.
    return await database.fetch(
        f"SELECT {_COLUMNS}, {SELLER_AND_SNAPSHOT} FROM (SELECT {COLUMNS} FROM listings l"  # noqa: S608
        f" WHERE {' AND '.join(where.conditions)} {order} LIMIT ${len(where.args)}) l"
        f" {JOINS} {order}",
        *where.args,
    )


# What a reader is shown of the seller and the snapshot of each listing.
SELLER_AND_SNAPSHOT = (
    "u.display_name AS seller_name, u.avatar_url AS seller_avatar, u.tier AS seller_tier,"
    " s.root_place_id, s.name AS experience_name, s.icon_url, s.ownership, s.visits, s.playing,"
    " s.risk_factors, s.taken_at"
)
JOINS = "JOIN users u ON u.id = l.seller_id JOIN roblox_snapshots s ON s.id = l.snapshot_id"


async def listing(name: str | UUID, now: datetime, tx: Transaction | None = None) -> Row | None:
    """Return one listing by id or reference, as a reader is shown it; None when there is none.

    Read in `tx` if given. An offer whose time is over is not open, swept or not.
    """
    column = "id" if isinstance(name, UUID) else "ref"
    return await (tx or database).fetchrow(
        f"SELECT {_COLUMNS}, {SELLER_AND_SNAPSHOT},"  # noqa: S608
        " (SELECT count(*) FROM offers o WHERE o.listing_id = l.id AND o.status = 'PENDING'"
        f" AND o.expires_at > $2) AS open_offers FROM listings l {JOINS} WHERE l.{column} = $1",
        name,
        now,
    )


async def _visible(where: _Where, viewer: UUID | None, wanted: Wanted, now: datetime) -> None:
    if wanted.status is not None:
        assert viewer is not None, "a status is asked for by the seller"
        where.add("l.status = {} AND l.seller_id = {}", wanted.status, viewer)
        return
    # As text, so that the planner sees that the partial indexes fit.
    where.add("l.status = 'ACTIVE'")
    if viewer is None:
        where.add("l.visibility = 'PUBLIC'")
        return
    async with database.transaction() as tx:
        guilds = await visibility.guilds_of(tx, viewer, now)
    where.add(
        "(l.visibility = 'PUBLIC' OR l.seller_id = {} OR l.guild_id = ANY({}::uuid[]))",
        viewer,
        guilds,
    )


def _filters(where: _Where, wanted: Wanted) -> None:
    conditions = {
        "q": "l.search @@ websearch_to_tsquery('english', {})",
        "category": "l.category = {}",
        "tag": "l.tags @> ARRAY[{}::varchar]",
        "price_band": "l.price_band = {}",
        "min_price": "l.price_minor >= {}",
        "max_price": "l.price_minor <= {}",
        "guild_id": "l.guild_id = {}",
        "seller_id": "l.seller_id = {}",
    }
    for field in fields(wanted):
        value = getattr(wanted, field.name)
        if value is not None and field.name in conditions:
            where.add(conditions[field.name], value)
    if wanted.max_risk is not None:
        allowed = rules.RISK_LEVELS[: rules.RISK_LEVELS.index(wanted.max_risk) + 1]
        where.add("l.risk_level = ANY({}::varchar[])", list(allowed))


@dataclass(frozen=True, slots=True)
class OffersWanted:
    """Which of a person's offers. `role`: their side; None: both."""

    role: rules.Side | None = None
    status: str | None = None
    listing_id: UUID | None = None


async def offers(
    user_id: UUID, wanted: OffersWanted, part: Slice, now: datetime
) -> Sequence[offer_rows.Row]:
    """Return a person's offers, the newest first; what is over counts as EXPIRED."""
    where = _Where()
    side = {"BUYER": "o.buyer_id = {}", "SELLER": "o.seller_id = {}"}
    where.add(side.get(wanted.role or "", "{} IN (o.buyer_id, o.seller_id)"), user_id)
    if wanted.status == "PENDING":
        where.add("o.status = 'PENDING' AND o.expires_at > {}", now)
    elif wanted.status == "EXPIRED":
        where.add("(o.status = 'EXPIRED' OR o.status = 'PENDING' AND o.expires_at <= {})", now)
    elif wanted.status is not None:
        where.add("o.status = {}", wanted.status)
    if wanted.listing_id is not None:
        where.add("o.listing_id = {}", wanted.listing_id)
    if part.after is not None:
        where.add("(o.created_at, o.id) < ({}, {})", part.after.key, part.after.id)
    where.args.append(part.limit)
    return await database.fetch(
        f"{SELECT_OFFERS} WHERE {' AND '.join(where.conditions)}"
        f" ORDER BY o.created_at DESC, o.id DESC LIMIT ${len(where.args)}",
        *where.args,
    )


SELECT_OFFERS = (
    f"SELECT {offer_rows.COLUMNS_OF_O}, l.status AS listing_status, c.id AS contract_id,"  # noqa: S608
    " b.display_name AS buyer_name, b.avatar_url AS buyer_avatar, b.tier AS buyer_tier,"
    " v.display_name AS seller_name, v.avatar_url AS seller_avatar, v.tier AS seller_tier"
    " FROM offers o JOIN listings l ON l.id = o.listing_id"
    " JOIN users b ON b.id = o.buyer_id JOIN users v ON v.id = o.seller_id"
    " LEFT JOIN contracts c ON c.offer_id = o.id"
)


async def offer(name: str | UUID, tx: Transaction | None = None) -> offer_rows.Row | None:
    """Return one offer by id or reference as a reader is shown it; None when there is none."""
    column = "id" if isinstance(name, UUID) else "ref"
    return await (tx or database).fetchrow(f"{SELECT_OFFERS} WHERE o.{column} = $1", name)


async def thread(root_id: UUID) -> Sequence[offer_rows.Row]:
    """Return all rounds of a negotiation, the first first."""
    return await database.fetch(f"{SELECT_OFFERS} WHERE o.root_id = $1 ORDER BY o.round", root_id)
