"""Staff's queue, and what they do about a dispute before they decide it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from bloxtr8.disputes import statements
from bloxtr8.errors import AlreadyDecided, LimitReached, NotFound, VersionMismatch
from bloxtr8.market import tasks
from bloxtr8.market.tasks import Seen
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from web import answers, pages, requests, submission
from web.actors import actor_of
from web.call import Call
from web.limits import RateClass
from web.routes import Handler, KeyRule, Reply, Route, Who
from web.views.disputes import statement_out

Row = dict[str, Any]


async def queue(call: Call) -> Reply:
    """What waits for staff: the most urgent first, then what has waited longest."""
    query: requests.TaskList = call.query
    at = pages.position(call)
    rows = await database.fetch(
        "SELECT * FROM staff_tasks WHERE status <> 'CLOSED'"
        " AND ($1::text IS NULL OR kind = $1) AND (NOT $2 OR claimed_by = $3)"
        " AND (NOT $4 OR due_at <= $5)"
        " AND ($6::int IS NULL OR (-priority, created_at, id) > ($6, $7::timestamptz, $8::uuid))"
        " ORDER BY priority DESC, created_at, id LIMIT $9",
        query.kind,
        query.mine,
        call.caller.user_id,
        query.overdue,
        call.now,
        *((-int(at[0]), datetime.fromisoformat(at[1]), UUID(at[2])) if at else (None, None, None)),
        query.limit + 1,
    )
    counts = await database.fetch(
        "SELECT kind, count(*) AS number FROM staff_tasks WHERE status <> 'CLOSED' GROUP BY kind"
    )
    shown, cursor = pages.cut(call, rows, _place)
    page = answers.TaskPage(
        items=[_task(row) for row in shown],
        counts={row["kind"]: row["number"] for row in counts},
        next_cursor=cursor,
    )
    return Reply(page, headers=pages.link(call, cursor))


async def claim_task(call: Call) -> Reply:
    body: requests.TaskAction = call.body
    return await _on_task(
        call, lambda tx, id: tasks.claim(tx, actor_of(call), Seen(id, body.version), call.now)
    )


async def release_task(call: Call) -> Reply:
    body: requests.TaskAction = call.body
    return await _on_task(
        call, lambda tx, id: tasks.give_back(tx, actor_of(call), Seen(id, body.version), call.now)
    )


async def close_task(call: Call) -> Reply:
    body: requests.TaskClosed = call.body
    return await _on_task(
        call,
        lambda tx, id: tasks.close(
            tx, actor_of(call), Seen(id, body.version), body.outcome, body.reason, call.now
        ),
    )


async def claim_dispute(call: Call) -> Reply:
    """Make a dispute one's own to decide."""
    dispute_id = _id(call, "dispute_id")

    async def work(tx: Transaction) -> Reply:
        await statements.claim(tx, actor_of(call), dispute_id, call.now)
        return Reply(None, 204)

    return await submission.once(call, work)


async def ask(call: Call) -> Reply:
    """Put a question to a side."""
    body: requests.Question = call.body
    dispute_id = _id(call, "dispute_id")

    async def work(tx: Transaction) -> Reply:
        row = await statements.ask(tx, actor_of(call), dispute_id, body.side, body.text, call.now)
        return Reply(statement_out(row).model_dump(mode="json"), 201)

    return await submission.once(call, work)


async def _on_task(call: Call, act: Callable[[Transaction, UUID], Awaitable[Row]]) -> Reply:
    task_id = _id(call, "task_id")

    async def work(tx: Transaction) -> Reply:
        return Reply(_task(await act(tx, task_id)).model_dump(mode="json"))

    return await submission.once(call, work)


def _place(row: Row) -> list[str]:
    return [str(row["priority"]), row["created_at"].isoformat(), str(row["id"])]


def _task(row: Row) -> answers.TaskOut:
    optional = row["claimed_by"]
    names = (
        *("version", "kind", "subject_type", "subject_id", "amount_usd_minor", "priority"),
        *("due_at", "status", "claimed_at", "closed_at", "outcome", "created_at"),
    )
    return answers.TaskOut(
        id=str(row["id"]),
        claimed_by=str(optional) if optional else None,
        **{name: row[name] for name in names},
    )


def _id(call: Call, name: str) -> UUID:
    text = call.parameter(name)
    if not is_uuid(text):
        raise NotFound
    return UUID(text)


def _task_route(path: str, handler: Handler, summary: str, **more: Any) -> Route:
    return Route(
        "POST",
        f"/api/v1/staff/tasks/{{task_id}}/{path}",
        handler,
        Who.MODERATOR,
        summary,
        RateClass.STAFF,
        answer=answers.TaskOut,
        key=KeyRule.OPTIONAL,
        errors=(AlreadyDecided, VersionMismatch),
        **{"body": requests.TaskAction} | more,
    )


ROUTES = (
    Route(
        "GET",
        "/api/v1/staff/queue",
        queue,
        Who.SUPPORT,
        "What waits for staff",
        RateClass.STAFF,
        query=requests.TaskList,
        answer=answers.TaskPage,
    ),
    _task_route("claim", claim_task, "Take a task"),
    _task_route("release", release_task, "Give a task back"),
    _task_route("close", close_task, "Close a task", body=requests.TaskClosed),
    Route(
        "POST",
        "/api/v1/staff/disputes/{dispute_id}/claim",
        claim_dispute,
        Who.MODERATOR,
        "Take a dispute",
        RateClass.STAFF,
        body=requests.Nothing,
        status=204,
        key=KeyRule.OPTIONAL,
        errors=(AlreadyDecided,),
    ),
    Route(
        "POST",
        "/api/v1/staff/disputes/{dispute_id}/question",
        ask,
        Who.MODERATOR,
        "Ask a side",
        RateClass.STAFF,
        body=requests.Question,
        answer=answers.Statement,
        status=201,
        key=KeyRule.OPTIONAL,
        errors=(AlreadyDecided, LimitReached),
    ),
)
