"""Following a command: its operation, a list of them, taking one back."""

import contextlib
from uuid import UUID

from bloxtr8.access import sessions
from bloxtr8.errors import NotFound
from bloxtr8.market import exports
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.store import database
from bloxtr8.store import operations as store
from bloxtr8.store.database import Transaction
from web import answers, approvals, operations, pages
from web.audit import audit
from web.call import Call
from web.limits import RateClass
from web.requests import Nothing, OperationList, OperationRead
from web.routes import Reply, Route, Who
from web.views.exports import operation_of, own


async def list_own(call: Call) -> Reply:
    """The caller's commands and exports, newest first."""
    query: OperationList = call.query
    at, last = pages.moment_position(call)
    rows = await store.list_operations(
        UUID(call.caller.user_id),
        escrow_id=UUID(query.escrow_id) if query.escrow_id else None,
        status=query.status,
        before=(at, last) if at and last else None,
        limit=query.limit + 1,
    )
    taken = await own(call, query.status) if query.escrow_id is None else []
    both = sorted([*rows, *taken], key=lambda row: (row["created_at"], row["id"]), reverse=True)
    shown, cursor = pages.cut(call, both[: query.limit + 1], pages.by_moment("created_at"))
    exported = {row["id"] for row in taken}
    items = [
        await operation_of(call, row) if row["id"] in exported else operations.render(row)
        for row in shown
    ]
    body = answers.OperationPage(items=items, next_cursor=cursor)
    return Reply(body, headers=pages.link(call, cursor))


async def read(call: Call) -> Reply:
    """The operation, at once or (`wait`) as soon as it is finished."""
    query: OperationRead = call.query
    operation_id = _id(call)
    with contextlib.suppress(NotFound):
        asked = await exports.wait(operation_id, "PERSON", UUID(call.caller.user_id), query.wait)
        return Reply(await operation_of(call, asked))
    await _require_visible(call, operation_id)
    row = await store.wait(operation_id, float(query.wait))
    if row is None:
        raise NotFound
    return Reply(operations.render(row))


async def take_back(call: Call) -> Reply:
    """End what has not been sent."""
    operation_id, requester = _id(call), UUID(call.caller.user_id)

    async def work(tx: Transaction) -> Reply:
        # The approval first, as whoever decides it holds them.
        await approvals.withdraw(tx, operation_id, requester, call.now)
        row = await store.take_back(tx, operation_id, requester, call.now)
        await audit(tx, call, "operation.taken_back", ("operation", str(operation_id)))
        return Reply(operations.render(row))

    return await database.run_in_transaction(work)


def _id(call: Call) -> UUID:
    text = call.parameter("operation_id")
    if not is_uuid(text):
        raise NotFound
    return UUID(text)


async def _require_visible(call: Call, operation_id: UUID) -> None:
    """The requester, the parties of the trade and staff may see an operation."""
    async with database.transaction() as tx:
        row = await tx.fetchrow(
            "SELECT $2 IN (o.requested_by, e.buyer_id, e.seller_id) AS own"
            " FROM operations o LEFT JOIN escrows e ON e.id = o.escrow_id WHERE o.id = $1",
            operation_id,
            UUID(call.caller.user_id),
        )
        if row is None:
            raise NotFound
        if not row["own"] and await sessions.reading_role(tx, call.caller, call.now) is None:
            raise NotFound


ROUTES = (
    Route(
        "GET",
        "/api/v1/operations",
        list_own,
        Who.USER,
        "Own operations",
        query=OperationList,
        answer=answers.OperationPage,
    ),
    Route(
        "GET",
        "/api/v1/operations/{operation_id}",
        read,
        Who.USER,
        "One operation",
        query=OperationRead,
        answer=answers.OperationOut,
    ),
    Route(
        "DELETE",
        "/api/v1/operations/{operation_id}",
        take_back,
        Who.USER,
        "Take back what is not sent yet",
        RateClass.WRITE,
        body=Nothing,
        answer=answers.OperationOut,
    ),
)
