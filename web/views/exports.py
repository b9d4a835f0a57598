"""Taking data out: a person's own, and the audit log."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from bloxtr8.errors import NotFound, RateLimited, ValidationFailed
from bloxtr8.market import exports
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.store import audit_chain, database
from bloxtr8.store.database import Transaction
from web import answers, pages, submission
from web.actors import actor_of
from web.call import Call
from web.exports import AuditExport, AuditList, AuditPage, AuditRow, AuditVerdict, ExportOut
from web.fields import findable
from web.limits import RateClass
from web.requests import Nothing, StaffAction
from web.routes import KeyRule, Reply, Route, Who

Row = dict[str, Any]
_STATUS = {"ACCEPTED": "ACCEPTED", "SUCCEEDED": "SUCCEEDED", "FAILED": "STALLED"}
_STORED = {shown: stored for stored, shown in _STATUS.items()}


async def ask_own(call: Call) -> Reply:
    """Ask for everything that is kept about oneself."""

    async def work(tx: Transaction) -> Reply:
        row = await exports.ask(tx, actor_of(call), "PERSON", {}, "", call.now)
        found = await operation_of(call, row)
        headers = {"Location": f"/api/v1/operations/{row['id']}"}
        return Reply(found.model_dump(mode="json"), submission.ACCEPTED, headers)

    return await submission.once(call, work)


async def own(call: Call, status: str | None) -> list[Row]:
    """Return the caller's own exports of a page of operations; `status` as operations have it."""
    if status is not None and status not in _STORED:
        return []
    at, last = pages.moment_position(call)
    return await exports.of_person(
        UUID(call.caller.user_id),
        _STORED[status] if status else None,
        (at, last) if at and last else None,
        call.query.limit + 1,
    )


async def operation_of(call: Call, row: Row) -> answers.OperationOut:
    """Return a person's export as an operation; its result leads to the file for a day."""
    url = await call.deps.exports.link(row)
    result = None
    if url is not None:
        result = {"url": url, "sha256": row["sha256"], "size": row["size_bytes"]}
    return answers.OperationOut(
        id=str(row["id"]),
        kind="EXPORT",
        escrow_id=None,
        status=_STATUS[row["status"]],
        approval_id=None,
        not_after=exports.ends_at(row) or row["created_at"] + exports.KEPT,
        submitted_at=row["created_at"],
        finished_at=row["finished_at"],
        result=result,
        error=None,
    )


async def ask_audit(call: Call) -> Reply:
    """Ask for the sealed rows of a span, in the order of the chain."""
    body: AuditExport = call.body
    if not timedelta(0) < body.until - body.since <= audit_chain.EXPORT_SPAN_MAX:
        message = "Give at most 400 days, the beginning first."
        entry = {"field": "/from", "code": "span", "message": message}
        raise ValidationFailed(message, errors=[entry])
    asked = {"from": body.since.isoformat(), "to": body.until.isoformat(), "format": body.format}

    async def work(tx: Transaction) -> Reply:
        row = await exports.ask(tx, actor_of(call), "AUDIT", asked, body.reason, call.now)
        found = await _export(call, row)
        return Reply(found.model_dump(mode="json", by_alias=True), submission.ACCEPTED)

    return await submission.once(call, work)


async def read_audit_export(call: Call) -> Reply:
    """An export of the audit log, with a link for a minute when it is ready."""
    row = await exports.one(_id(call, "export_id"), "AUDIT")
    return Reply(await _export(call, row))


async def read_audit(call: Call) -> Reply:
    """Rows of the audit log, the newest first, with their links in the chain."""
    query: AuditList = call.query
    at = pages.position(call)
    rows = await database.fetch(
        "SELECT a.*, c.seq, c.hash FROM audit_log a"
        " LEFT JOIN audit_chain c ON c.audit_id = a.id"
        " WHERE ($1::uuid IS NULL OR a.actor_id = $1)"
        " AND ($2::text IS NULL OR a.subject_id = $2)"
        " AND ($3::text IS NULL OR a.action = $3)"
        " AND ($4::uuid IS NULL OR a.escrow_id = $4)"
        " AND ($5::timestamptz IS NULL OR a.at >= $5)"
        " AND ($6::timestamptz IS NULL OR a.at < $6)"
        " AND ($7::bigint IS NULL OR a.id < $7) ORDER BY a.id DESC LIMIT $8",
        query.actor,
        findable(query.subject),
        query.action,
        query.escrow_id,
        query.since,
        query.until,
        int(at[0]) if at else None,
        query.limit + 1,
    )
    shown, cursor = pages.cut(call, rows, lambda row: [str(row["id"])])
    page = AuditPage(items=[_row(row) for row in shown], next_cursor=cursor)
    return Reply(page, headers=pages.link(call, cursor))


async def verify_audit(_call: Call) -> Reply:
    """Recompute the whole chain."""
    found = await audit_chain.verify()
    return Reply(
        AuditVerdict(
            ok=found.ok,
            checked=found.checked,
            head=found.head.hex(),
            first_bad_seq=found.bad_seq,
            why=found.why,
            unsealed=found.unsealed,
        )
    )


async def _export(call: Call, row: Row) -> ExportOut:
    asked = json.loads(row["asked"])
    facts = json.loads(row["facts"]) if row["facts"] else {}
    return ExportOut(
        id=str(row["id"]),
        status=_STATUS[row["status"]],
        since=datetime.fromisoformat(asked["from"]),
        until=datetime.fromisoformat(asked["to"]),
        format=asked["format"],
        rows=facts.get("rows"),
        size=row["size_bytes"],
        sha256=row["sha256"],
        chain_head=facts.get("chain_head"),
        url=await call.deps.exports.link(row),
        deleted_at=row["deleted_at"],
        submitted_at=row["created_at"],
        finished_at=row["finished_at"],
    )


def _row(row: Row) -> AuditRow:
    names = ("at", "actor_type", "channel", "action", "subject_type", "subject_id", "seq")
    more = ("reason", "ip", "user_agent", "trace_id")
    return AuditRow(
        id=str(row["id"]),
        hash=row["hash"].hex() if row["hash"] else None,
        actor_id=str(row["actor_id"]) if row["actor_id"] else None,
        escrow_id=str(row["escrow_id"]) if row["escrow_id"] else None,
        data=json.loads(row["data"]),
        **{name: row[name] for name in (*names, *more)},
    )


def _id(call: Call, name: str) -> UUID:
    text = call.parameter(name)
    if not is_uuid(text):
        raise NotFound
    return UUID(text)


ROUTES = (
    Route(
        "POST",
        "/api/v1/me/export",
        ask_own,
        Who.USER,
        "Take one's data out",
        RateClass.WRITE,
        body=Nothing,
        answer=answers.OperationOut,
        status=submission.ACCEPTED,
        key=KeyRule.OPTIONAL,
        step_up=True,
        errors=(RateLimited,),
    ),
    Route(
        "GET",
        "/api/v1/staff/audit",
        read_audit,
        Who.SUPPORT,
        "The audit log",
        RateClass.STAFF,
        query=AuditList,
        answer=AuditPage,
    ),
    Route(
        "POST",
        "/api/v1/staff/audit/verify",
        verify_audit,
        Who.ADMIN,
        "Check the audit log's chain",
        RateClass.STAFF,
        body=StaffAction,
        answer=AuditVerdict,
    ),
    Route(
        "POST",
        "/api/v1/staff/audit/exports",
        ask_audit,
        Who.ADMIN,
        "Take a part of the audit log out",
        RateClass.STAFF,
        body=AuditExport,
        answer=ExportOut,
        status=submission.ACCEPTED,
        key=KeyRule.OPTIONAL,
        errors=(RateLimited,),
    ),
    Route(
        "GET",
        "/api/v1/staff/audit/exports/{export_id}",
        read_audit_export,
        Who.ADMIN,
        "An export of the audit log",
        RateClass.STAFF,
        answer=ExportOut,
    ),
)
