"""Reading escrows: lists, one of them, its history, its money."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from bloxtr8.access.identity import StaffRole
from bloxtr8.contracts import receiving
from bloxtr8.disputes import files
from bloxtr8.errors import NotFound
from bloxtr8.escrow.actions import allowed_actions
from bloxtr8.market import handovers, remarks
from bloxtr8.messaging.metadata import moment
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import record_pb2 as record
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from web import answers, contract_present, pages, peers, present, timeline
from web.call import Call
from web.cases import Case, case_of
from web.fields import money
from web.orders import role_number
from web.requests import EscrowList, EscrowRead, Page
from web.routes import Reply, Route, Who

_TERMINAL = ("RELEASED", "REFUNDED", "SPLIT", "CANCELLED")
_LINES_MAX = 500
_GROUP_SQL = (
    "SELECT receiving_group_id, receiving_group, receiving_group_at FROM contracts"
    " WHERE escrow_id = $1"
)


async def list_own(call: Call) -> Reply:
    """The caller's trades, last changed first."""
    query: EscrowList = call.query
    rows = await database.fetch(
        "SELECT e.state_bytes, e.updated_at, e.id, c.ref FROM escrows e"
        " LEFT JOIN contracts c ON c.escrow_id = e.id"
        " WHERE (e.buyer_id = $1 AND $2 <> 'SELLER' OR e.seller_id = $1 AND $2 <> 'BUYER')"
        " AND ($3::text IS NULL OR e.state = $3) AND ($4::text IS NULL OR e.rail = $4)"
        " AND ($5::bool IS NULL OR (e.state <> ALL($6::text[])) = $5)"
        " AND ($7::timestamptz IS NULL OR (e.updated_at, e.id) < ($7, $8::uuid))"
        " ORDER BY e.updated_at DESC, e.id DESC LIMIT $9",
        call.caller.user_id,
        query.role or "",
        query.status,
        query.rail,
        query.open,
        list(_TERMINAL),
        *pages.moment_position(call),
        query.limit + 1,
    )
    return page_of(call, rows)


def page_of(call: Call, rows: list[dict[str, Any]]) -> Reply:
    """Return the page of escrows that `rows` (state_bytes, updated_at, id, ref) make."""
    shown, cursor = pages.cut(call, rows, pages.by_moment("updated_at"))
    items = [_item(call, row) for row in shown]
    body = answers.EscrowPage(items=items, next_cursor=cursor)
    return Reply(body, headers=pages.link(call, cursor))


async def read(call: Call) -> Reply:
    """One trade, from the mirror or (`consistency=stream`) from the worker that owns it."""
    case = call.trade
    query: EscrowRead | None = call.query
    if query is not None and query.consistency == "stream":
        found = await peers.read_record(call.deps, case.escrow.escrow_id)
        if found is None:
            raise NotFound
        case = case_of(found.escrow, case.contract_ref, call.caller.user_id)
    return Reply(await shown(call, case))


async def shown(call: Call, case: Case) -> answers.EscrowOut:
    """Return the escrow with its delivery, where to, and who was seen as owner since."""
    found = render(call, case, await _delivery(case.escrow))
    seen = await handovers.of_escrow(case.escrow.escrow_id)
    named = await database.fetchrow(_GROUP_SQL, case.escrow.escrow_id)
    group = contract_present.receiving_group(named) if named else None
    return found.model_copy(
        update={
            "ownership_seen": _seen(seen, group) if seen else None,
            "receiving_group": group,
        }
    )


def render(call: Call, case: Case, delivery: answers.Delivery | None = None) -> answers.EscrowOut:
    """Return the escrow as the caller sees it, with what they may do."""
    role = call.role if case.side is None else None
    return present.escrow(case, _allowed(call, case, role), role, delivery)


async def read_timeline(call: Call) -> Reply:
    """What happened, oldest first."""
    query: Page = call.query
    position = pages.position(call)
    rows = await database.fetch(
        "SELECT payload, occurred_at, sequence FROM ("
        " SELECT DISTINCT ON (sequence) payload, occurred_at, sequence FROM escrow_events"
        " WHERE escrow_id = $1 AND sequence >= $2"
        " ORDER BY sequence, fencing_token DESC) newest ORDER BY sequence LIMIT $3",
        call.trade.escrow.escrow_id,
        int(position[0]) if position else 1,
        query.limit + 2,
    )
    found = [events.EscrowEvent.FromString(row["payload"]) for row in rows]
    # The row before the page tells the state it starts from.
    earlier = found.pop(0) if position else None
    shown, cursor = pages.cut(call, found, lambda event: [str(event.sequence)])
    items = timeline.render(call.trade.escrow, shown, earlier, staff=call.trade.side is None)
    said = await _remarks(call.trade.escrow.escrow_id, found, len(shown), first=earlier is None)
    items = timeline.with_remarks(items, shown, said)
    body = answers.TimelinePage(items=items, next_cursor=cursor)
    return Reply(body, headers=pages.link(call, cursor))


async def _remarks(
    escrow_id: str, found: Sequence[events.EscrowEvent], count: int, *, first: bool
) -> Sequence[dict[str, Any]]:
    """Return what belongs to the page of the first `count` events: until the next one."""
    if not count:
        return ()
    times = [moment(event.metadata.occurred_at) for event in found[: count + 1]]
    since = None if first else times[0]
    return await remarks.between(
        UUID(escrow_id), since, times[count] if len(times) > count else None
    )


async def read_ledger(call: Call) -> Reply:
    """The bookings of the trade: all for staff, their own for a party."""
    side = call.trade.side
    prefixes = ["escrow_held:%", f"{side.lower()}:%"] if side else ["%"]
    rows = await database.fetch(
        "SELECT occurred_at, transaction_id, kind, account, currency, amount_minor"
        " FROM ledger_entries WHERE escrow_id = $1 AND account LIKE ANY($2::text[])"
        " ORDER BY id LIMIT $3",
        call.trade.escrow.escrow_id,
        prefixes,
        _LINES_MAX,
    )
    sums: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (_account(row["account"], side), row["currency"])
        sums[key] = sums.get(key, 0) + row["amount_minor"]
    items = [_line(row, side) for row in rows]
    totals = {account: money(minor, currency) for (account, currency), minor in sums.items()}
    return Reply(answers.Ledger(items=items, sums=totals))


def _line(row: dict[str, Any], side: str | None) -> answers.LedgerLine:
    return answers.LedgerLine(
        at=row["occurred_at"],
        transaction_id=str(row["transaction_id"]),
        kind=row["kind"],
        account=_account(row["account"], side),
        amount=money(row["amount_minor"], row["currency"]),
    )


def _account(account: str, side: str | None) -> str:
    """Parties see the kind of an account, not whose it is."""
    return account.partition(":")[0] if side else account


def _item(call: Call, row: dict[str, Any]) -> answers.EscrowOut:
    state = record.Escrow.FromString(row["state_bytes"])
    return render(call, case_of(state, row["ref"], call.caller.user_id))


def _allowed(call: Call, case: Case, role: StaffRole | None) -> list[str]:
    number = role_number(role) if role else common.STAFF_ROLE_UNSPECIFIED
    user_id = call.caller.user_id
    found = allowed_actions(case.escrow, call.now, user_id=user_id, staff_role=number)
    # What is no command of the escrow.
    state = present.name(types.EscrowState, case.escrow.state)
    if case.side and state in files.STATES:
        found.append("add_evidence")
    if case.side == "BUYER" and state in receiving.STATES:
        found.append("name_receiving_group")
    return found


async def _delivery(escrow: record.Escrow) -> answers.Delivery | None:
    row = await database.fetchrow(
        "SELECT payload FROM escrow_events WHERE escrow_id = $1 AND type = 'escrow_delivered'"
        " ORDER BY sequence DESC, fencing_token DESC LIMIT 1",
        escrow.escrow_id,
    )
    if row is None:
        return None
    event = events.EscrowEvent.FromString(row["payload"])
    delivered = event.escrow_delivered
    return answers.Delivery(
        method=present.name(types.DeliveryMethod, delivered.method),
        at=present.time_of(event.metadata, "occurred_at"),
        evidence_ids=[shown.id for shown in delivered.evidence],
    )


def _seen(row: dict[str, Any], group: answers.ReceivingGroupOut | None) -> answers.OwnershipSeen:
    owner_id = str(row["owner_id"])
    expected = group is not None and (row["owner_type"], owner_id) == ("GROUP", group.id)
    owner = answers.OwnerSeen(
        type=row["owner_type"], id=owner_id, name=row["owner_name"], expected=expected
    )
    return answers.OwnershipSeen(
        buyer=row["ownership"],
        at=row["checked_at"],
        owner=owner,
        snapshot_id=str(row["snapshot_id"]),
    )


ROUTES = (
    Route(
        "GET",
        "/api/v1/escrows",
        list_own,
        Who.USER,
        "Own trades",
        query=EscrowList,
        answer=answers.EscrowPage,
    ),
    Route(
        "GET",
        "/api/v1/escrows/{escrow_id}",
        read,
        Who.PARTY_OR_SUPPORT,
        "One trade",
        query=EscrowRead,
        answer=answers.EscrowOut,
    ),
    Route(
        "GET",
        "/api/v1/escrows/{escrow_id}/timeline",
        read_timeline,
        Who.PARTY_OR_SUPPORT,
        "What happened in a trade",
        query=Page,
        answer=answers.TimelinePage,
    ),
    Route(
        "GET",
        "/api/v1/escrows/{escrow_id}/ledger",
        read_ledger,
        Who.PARTY_OR_SUPPORT,
        "The bookings of a trade",
        answer=answers.Ledger,
    ),
)
