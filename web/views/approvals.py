"""Listing second approvals and deciding about them."""

import contextlib
from typing import Any
from uuid import UUID

from bloxtr8.errors import ApprovalStale, Conflict, Forbidden, NotFound
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.store import database
from bloxtr8.store import operations as store
from bloxtr8.store.database import Transaction
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from web import answers, approvals, cases, pages, requests, submission
from web.call import Call
from web.limits import RateClass
from web.orders import judge, role_number
from web.routes import KeyRule, Reply, Route, Who


async def list_all(call: Call) -> Reply:
    query: requests.ApprovalList = call.query
    rows = await database.fetch(
        "SELECT * FROM approvals WHERE ($1::text IS NULL OR status = $1)"
        " AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))"
        " ORDER BY created_at DESC, id DESC LIMIT $4",
        query.status,
        *pages.moment_position(call),
        query.limit + 1,
    )
    shown, cursor = pages.cut(call, rows, pages.by_moment("created_at"))
    items = [_render(row) for row in shown]
    body = answers.ApprovalPage(items=items, next_cursor=cursor)
    return Reply(body, headers=pages.link(call, cursor))


async def approve(call: Call) -> Reply:
    """Agree, and send the stored command with both ids in it."""
    body: requests.Decision = call.body
    approval_id = _id(call)
    agreed = commands.EscrowCommand()

    async def work(tx: Transaction) -> dict[str, Any]:
        row = await approvals.lock(tx, approval_id, body.payload_sha256, call)
        if row["escrow_version"] != row["subject_version"]:
            raise ApprovalStale
        agreed.CopyFrom(await _agreed(tx, call, approval_id))
        await _judge(tx, call, agreed)
        await approvals.decide(tx, call, row, "APPROVED", body.reason)
        return await store.approve(tx, agreed, call.now)

    return await submission.release_waiting(call, agreed, work)


async def reject(call: Call) -> Reply:
    """Disagree: the stored command ends."""
    body: requests.Decision = call.body
    approval_id = _id(call)

    async def work(tx: Transaction) -> Reply:
        row = await approvals.lock(tx, approval_id, body.payload_sha256, call)
        # What has become impossible since is nobody's to approve, and may be turned down.
        with contextlib.suppress(Conflict):
            await _judge(tx, call, await _agreed(tx, call, approval_id))
        decided = await approvals.decide(tx, call, row, "REJECTED", body.reason)
        await approvals.reject_waiting(tx, approval_id, call.now)
        return Reply(_render(decided).model_dump(mode="json"))

    return await submission.once(call, work)


async def _agreed(tx: Transaction, call: Call, approval_id: UUID) -> commands.EscrowCommand:
    """Return the command that waits, as it is when the caller agrees; raises AlreadyDecided."""
    command = await approvals.waiting_command(tx, approval_id)
    assert call.role is not None, "the route is for staff"
    command.approvals.add(user_id=call.caller.user_id, staff_role=role_number(call.role))
    return command


async def _judge(tx: Transaction, call: Call, command: commands.EscrowCommand) -> None:
    """Raises what the rules say against it now, Forbidden when this role cannot approve it."""
    case = await cases.load(command.escrow_id, call.caller.user_id, tx)
    judged = judge(call, case, command)
    if judged.needs_approval:
        raise Forbidden("Your role does not decide about this.")


def _id(call: Call) -> UUID:
    text = call.parameter("approval_id")
    if not is_uuid(text):
        raise NotFound
    return UUID(text)


def _render(row: dict[str, Any]) -> answers.ApprovalOut:
    return answers.ApprovalOut(
        id=str(row["id"]),
        action=row["action"],
        escrow_id=row["subject_id"],
        escrow_version=row["subject_version"],
        payload=approvals.loaded(row["payload"]),
        payload_sha256=row["payload_sha256"].hex(),
        amount_usd_minor=row["amount_usd_minor"],
        requested_by=str(row["requested_by"]),
        reason=row["reason"],
        status=row["status"],
        expires_at=row["expires_at"],
        decided_by=str(row["decided_by"]) if row["decided_by"] else None,
        decided_at=row["decided_at"],
    )


ROUTES = (
    Route(
        "GET",
        "/api/v1/staff/approvals",
        list_all,
        Who.SUPPORT,
        "Second approvals",
        RateClass.STAFF,
        query=requests.ApprovalList,
        answer=answers.ApprovalPage,
    ),
    Route(
        "POST",
        "/api/v1/staff/approvals/{approval_id}/approve",
        approve,
        Who.MODERATOR,
        "Agree to what another member of staff asked for",
        RateClass.STAFF,
        body=requests.Decision,
        answer=answers.OperationOut,
        status=submission.ACCEPTED,
        key=KeyRule.REQUIRED,
    ),
    Route(
        "POST",
        "/api/v1/staff/approvals/{approval_id}/reject",
        reject,
        Who.MODERATOR,
        "Disagree with it",
        RateClass.STAFF,
        body=requests.Decision,
        answer=answers.ApprovalOut,
        key=KeyRule.OPTIONAL,
    ),
)
