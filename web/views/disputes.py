"""Disputes and settlements between the parties."""

from typing import Any
from uuid import UUID

from bloxtr8.disputes import files, statements
from bloxtr8.errors import (
    AmountOutOfRange,
    DisputeExists,
    InvalidState,
    NotFound,
    ProposalStale,
)
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from web import answers, present, requests, settlements
from web.call import Call
from web.cases import side_of
from web.fields import money
from web.orders import order
from web.routes import Reply, Route, Who
from web.submission import submit
from web.texts import Text
from web.views.trade import money_route, with_text


async def open_dispute(call: Call) -> Reply:
    body: requests.Dispute = call.body
    if call.trade.escrow.state == types.ESCROW_STATE_DISPUTED:
        raise DisputeExists
    statement = Text.new("STATEMENT", body.statement)
    raised = commands.RaiseDispute(
        reason=types.DisputeReason.Value(f"DISPUTE_REASON_{body.reason}"),
        wanted=types.Outcome.Value(f"OUTCOME_{body.wanted}"),
        statement=statement.ref,
    )
    return await with_text(call, raised, statement)


async def withdraw_dispute(call: Call) -> Reply:
    """Go back to where the trade was; what staff or the system opened stays open."""
    state = call.trade.escrow
    by_somebody = state.dispute.opened_by.kind == common.ACTOR_KIND_USER
    if state.state == types.ESCROW_STATE_DISPUTED and not by_somebody:
        raise InvalidState("No side has opened this dispute.", current_status="DISPUTED")
    return await submit(call, order(call, commands.WithdrawDispute()))


async def read_dispute(call: Call) -> Reply:
    """The latest dispute of the trade with what was said in it."""
    escrow_id = call.trade.escrow.escrow_id
    async with database.transaction() as tx:
        row = await tx.fetchrow(
            "SELECT d.*, u.display_name AS claimer FROM disputes d"
            " LEFT JOIN users u ON u.id = d.claimed_by WHERE d.escrow_id = $1"
            " ORDER BY d.opened_at DESC LIMIT 1",
            escrow_id,
        )
        if row is None:
            raise NotFound
        said = await statements.of_escrow(tx, UUID(escrow_id))
        shown = await files.of_escrow(tx, UUID(escrow_id))
        proposed = await settlements.of_escrow(tx, call.trade.escrow)
    return Reply(_dispute(call, row, said, shown, proposed))


async def propose(call: Call) -> Reply:
    body: requests.Settlement = call.body
    price = call.trade.escrow.price.minor
    seller_minor = body.seller_amount.in_currency(call.trade.currency)
    if seller_minor > price:
        raise AmountOutOfRange("The seller cannot get more than the price.")
    note = Text.new("NOTE", body.note) if body.note else None
    return await with_text(
        call, commands.ProposeSettlement(refund_minor=price - seller_minor), note
    )


async def accept(call: Call) -> Reply:
    body = commands.AcceptSettlement(proposal_id=_proposal(call))
    return await submit(call, order(call, body))


async def reject(call: Call) -> Reply:
    body = commands.RejectSettlement(proposal_id=_proposal(call))
    return await submit(call, order(call, body))


async def withdraw(call: Call) -> Reply:
    body = commands.WithdrawSettlement(proposal_id=_proposal(call))
    return await submit(call, order(call, body))


def _proposal(call: Call) -> str:
    proposal_id = call.parameter("proposal_id")
    if not is_uuid(proposal_id):
        raise ProposalStale
    return proposal_id


def _dispute(
    call: Call,
    row: dict[str, Any],
    said: list[dict[str, Any]],
    shown: list[files.Row],
    proposed: list[answers.SettlementEntry],
) -> answers.DisputeOut:
    state = call.trade.escrow
    verdicts = {text["id"]: text["text"] for text in said if text["kind"] == "VERDICT"}
    disputed = state.state == types.ESCROW_STATE_DISPUTED
    return answers.DisputeOut(
        id=str(row["id"]),
        case_code=call.trade.case_code,
        status=row["status"],
        reason=row["reason"],
        wanted=row["wanted"],
        opened_by=_opened_by(call, row["opened_kind"], row["opened_by"]),
        opened_at=row["opened_at"],
        due_at=present.time_of(state.deadline, "at") if disputed else None,
        claimed=row["claimed_by"] is not None,
        claimed_by=row["claimer"],
        outcome=row["outcome"],
        verdict=verdicts.get(row["verdict_id"]),
        refund=(
            None if row["refund_minor"] is None else money(row["refund_minor"], call.trade.currency)
        ),
        closed_at=row["closed_at"],
        statements=[statement_out(text) for text in said],
        evidence=[evidence_out(file) for file in shown],
        settlement=present.settlement(state),
        settlements=proposed,
    )


def _opened_by(call: Call, kind: str, user_id: UUID | None) -> str:
    if kind.endswith("USER") and user_id is not None:
        return side_of(call.trade.escrow, str(user_id)) or "SYSTEM"
    return "STAFF" if kind.endswith("STAFF") else "SYSTEM"


def evidence_out(row: files.Row) -> answers.EvidenceOut:
    """Return a file as answers show it."""
    names = ("position", "side", "kind", "note", "content_type", "sha256")
    return answers.EvidenceOut(
        id=str(row["id"]),
        size=row["size_bytes"],
        at=row["created_at"],
        **{name: row[name] for name in names},
    )


def statement_out(row: dict[str, Any]) -> answers.Statement:
    """Return something said as answers show it."""
    return answers.Statement(
        id=str(row["id"]),
        side=row["side"],
        kind=row["kind"],
        text=row["text"],
        sha256=row["sha256"],
        at=row["created_at"],
        asked_side=row["asked_side"],
        question_id=str(row["question_id"]) if row["question_id"] else None,
    )


_ESCROW = "/api/v1/escrows/{escrow_id}"
_PROPOSAL = f"{_ESCROW}/settlements/{{proposal_id}}"
ROUTES = (
    money_route(
        f"{_ESCROW}/dispute", open_dispute, Who.PARTY, "Open a dispute", body=requests.Dispute
    ),
    Route(
        "GET",
        f"{_ESCROW}/dispute",
        read_dispute,
        Who.PARTY_OR_SUPPORT,
        "The dispute and what was said",
        answer=answers.DisputeOut,
    ),
    money_route(
        f"{_ESCROW}/dispute/withdraw",
        withdraw_dispute,
        Who.PARTY,
        "Take a dispute back",
        body=requests.Nothing,
    ),
    money_route(
        f"{_ESCROW}/settlements",
        propose,
        Who.PARTY,
        "Propose how to divide the money",
        body=requests.Settlement,
    ),
    money_route(
        f"{_PROPOSAL}/accept",
        accept,
        Who.PARTY,
        "Agree to a proposal",
        body=requests.Nothing,
        step_up=True,
    ),
    money_route(
        f"{_PROPOSAL}/reject", reject, Who.PARTY, "Refuse a proposal", body=requests.Nothing
    ),
    money_route(
        f"{_PROPOSAL}/withdraw",
        withdraw,
        Who.PARTY,
        "Take a proposal back",
        body=requests.Nothing,
    ),
)
