"""How people want to be told, what others see of them, and what they were told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from bloxtr8.market import audit, standing
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.notices import Category
from bloxtr8.store.database import Transaction

Place = Literal["DISCORD_DM", "THREAD", "INBOX"]

CATEGORIES: tuple[Category, ...] = (
    "ESCROW",
    "DISPUTES",
    "ACCOUNT",
    "CONTRACTS",
    "OFFERS",
    "NEWS",
)
# Money, disputes and the account itself are always told, and not in the inbox alone.
NEVER_OFF = frozenset({"ESCROW", "DISPUTES", "ACCOUNT"})
SHOWN_FOR = timedelta(days=90)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wish:
    """Where the notices of a category go beside the inbox; `enabled` false: nowhere."""

    place: Place = "DISCORD_DM"
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Quiet:
    """From `start` to `end` ("HH:MM" in the IANA zone) notices wait; it may cross midnight."""

    start: str
    end: str
    zone: str


@dataclass(frozen=True, slots=True)
class Preferences:
    """`quiet_money`: quiet hours also for money and disputes. `discreet`: no amounts or names."""

    wishes: dict[Category, Wish] = field(default_factory=dict)
    quiet: Quiet | None = None
    quiet_money: bool = False
    discreet: bool = False
    show_roblox: bool = True
    show_trades: bool = True
    offers_from_new: bool = True


async def read(tx: Transaction, user_id: UUID) -> Preferences:
    """Return what the user wants; every category has a wish."""
    rows = await tx.fetch(
        "SELECT category, place, enabled FROM notification_preferences WHERE user_id = $1", user_id
    )
    known = {row["category"]: Wish(row["place"], row["enabled"]) for row in rows}
    wishes = {category: known.get(category, Wish()) for category in CATEGORIES}
    row = await tx.fetchrow("SELECT * FROM user_settings WHERE user_id = $1", user_id)
    if row is None:
        return Preferences(wishes)
    quiet = None
    if row["quiet_start"] is not None:
        quiet = Quiet(row["quiet_start"], row["quiet_end"], row["quiet_zone"])
    names = ("quiet_money", "discreet", "show_roblox", "show_trades", "offers_from_new")
    return Preferences(wishes, quiet, **{name: row[name] for name in names})


async def write(tx: Transaction, actor: Actor, wanted: Preferences, now: datetime) -> None:
    """Keep what the actor wants; a category without a wish is as by default."""
    for category, wish in wanted.wishes.items():
        assert category not in NEVER_OFF or (wish.enabled and wish.place != "INBOX")
    # The user's row is held: of two who write at once, each writes all of it.
    await standing.hold(tx, actor.id)
    await tx.execute("DELETE FROM notification_preferences WHERE user_id = $1", actor.id)
    await tx.executemany(
        "INSERT INTO notification_preferences (user_id, category, place, enabled, created_at,"
        " updated_at) VALUES ($1, $2, $3, $4, $5, $5)",
        [
            (actor.id, category, wish.place, wish.enabled, now)
            for category, wish in wanted.wishes.items()
        ],
    )
    quiet = wanted.quiet
    await tx.execute(
        "INSERT INTO user_settings (user_id, quiet_start, quiet_end, quiet_zone, quiet_money,"
        " discreet, show_roblox, show_trades, offers_from_new, created_at, updated_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) ON CONFLICT (user_id) DO UPDATE"
        " SET quiet_start = $2, quiet_end = $3, quiet_zone = $4, quiet_money = $5, discreet = $6,"
        " show_roblox = $7, show_trades = $8, offers_from_new = $9, updated_at = $10",
        actor.id,
        quiet.start if quiet else None,
        quiet.end if quiet else None,
        quiet.zone if quiet else None,
        wanted.quiet_money,
        wanted.discreet,
        wanted.show_roblox,
        wanted.show_trades,
        wanted.offers_from_new,
        now,
    )
    deed = Deed("preferences.changed", audit.on_user(actor.id))
    await audit.record(tx, actor, deed, now)


async def inbox(
    tx: Transaction,
    user_id: UUID,
    now: datetime,
    after: tuple[datetime | None, UUID | None],
    limit: int,
) -> list[Row]:
    """Return the notices of the last 90 days, the newest first, and how they were delivered."""
    return await tx.fetch(
        "SELECT i.id, i.template, i.category, i.entity, i.data, i.created_at, i.read_at,"
        " p.channel, p.status, p.sent_at FROM notification_deliveries i"
        " LEFT JOIN notification_deliveries p ON p.event_id = i.event_id"
        " AND p.user_id = i.user_id AND p.template = i.template AND p.channel <> 'INBOX'"
        " WHERE i.user_id = $1 AND i.channel = 'INBOX' AND i.created_at > $2"
        " AND ($3::timestamptz IS NULL OR (i.created_at, i.id) < ($3, $4::uuid))"
        " ORDER BY i.created_at DESC, i.id DESC LIMIT $5",
        user_id,
        now - SHOWN_FOR,
        *after,
        limit,
    )


async def mark_read(
    tx: Transaction, user_id: UUID, notice_ids: Sequence[UUID], now: datetime
) -> int:
    """Note that the user has read these of their notices; return how many were new."""
    return await tx.execute(
        "UPDATE notification_deliveries SET read_at = $3, updated_at = $3"
        " WHERE user_id = $1 AND id = ANY($2) AND channel = 'INBOX' AND read_at IS NULL",
        user_id,
        list(notice_ids),
        now,
    )
