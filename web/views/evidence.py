"""What the parties of a trade show and say: files, statements, answers to staff."""

from dataclasses import replace
from uuid import UUID

from aiohttp import web

from bloxtr8.disputes import files, statements
from bloxtr8.disputes.files import About
from bloxtr8.disputes.statements import Statement
from bloxtr8.errors import (
    BodyTooLarge,
    EvidenceRejected,
    InvalidState,
    LimitReached,
    NotFound,
    QuotaExceeded,
)
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.store.database import Transaction
from web import answers, idempotency, requests, submission
from web.actors import actor_of
from web.call import Call
from web.limits import RateClass
from web.multipart import read_files
from web.routes import KeyRule, Reply, Route, Who
from web.trading import told
from web.views.disputes import evidence_out, statement_out


async def add(call: Call) -> Reply:
    """Store files; one that this side has sent before is answered as it was."""
    actor, escrow_id = actor_of(call), UUID(call.trade.escrow.escrow_id)
    async with read_files(call.request, requests.EvidenceFields) as (fields, uploads):
        key = idempotency.with_files(call.key, fields, [upload.sha256 for upload in uploads])
        earlier = await idempotency.earlier_reply(key, call.now)
        if earlier is not None:
            return earlier
        about = About(fields.kind, fields.note)
        rows = await call.deps.evidence.put(actor, escrow_id, uploads, about)

    async def work(tx: Transaction) -> Reply:
        added = await call.deps.evidence.add(tx, actor, escrow_id, rows)
        return told(answers.EvidenceAdded([evidence_out(row) for row in added]), 201)

    return await submission.once(replace(call, key=key), work)


async def look(call: Call) -> Reply:
    """Lead to a file for a minute; the look is audited."""
    file_id = call.parameter("evidence_id")
    if not is_uuid(file_id):
        raise NotFound
    row = await files.one(UUID(call.trade.escrow.escrow_id), UUID(file_id))
    name = call.trade.case_code or "evidence"
    link = await call.deps.evidence.link(actor_of(call), row, name)
    return Reply(web.Response(status=302, headers={"Location": link}))


async def state(call: Call) -> Reply:
    """Say something in a dispute."""
    body: requests.Statement = call.body
    escrow_id = UUID(call.trade.escrow.escrow_id)
    question_id = UUID(body.question_id) if body.question_id else None

    async def work(tx: Transaction) -> Reply:
        statement = Statement(body.text, question_id)
        row = await statements.state(tx, actor_of(call), escrow_id, statement, call.now)
        return Reply(statement_out(row).model_dump(mode="json"), 201)

    return await submission.once(call, work)


_ESCROW = "/api/v1/escrows/{escrow_id}"
ROUTES = (
    Route(
        "POST",
        f"{_ESCROW}/evidence",
        add,
        Who.PARTY,
        "Add evidence",
        RateClass.UPLOAD,
        upload=requests.EvidenceFields,
        answer=answers.EvidenceAdded,
        status=201,
        key=KeyRule.OPTIONAL,
        frozen_may=True,
        errors=(BodyTooLarge, EvidenceRejected, QuotaExceeded, InvalidState),
    ),
    Route(
        "GET",
        f"{_ESCROW}/evidence/{{evidence_id}}",
        look,
        Who.PARTY_OR_SUPPORT,
        "Evidence, as a file",
        status=302,
    ),
    Route(
        "POST",
        f"{_ESCROW}/dispute/statements",
        state,
        Who.PARTY,
        "Say something in a dispute",
        RateClass.MONEY,
        body=requests.Statement,
        answer=answers.Statement,
        status=201,
        key=KeyRule.OPTIONAL,
        frozen_may=True,
        errors=(InvalidState, LimitReached),
    ),
)
