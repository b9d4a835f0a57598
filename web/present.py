"""From an escrow's state to what its viewer may see of it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bloxtr8.access.identity import StaffRole
from bloxtr8.messaging.metadata import moment
from bloxtr8.money import currency_code
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import record_pb2 as record
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from web import answers
from web.cases import Case, side_of
from web.fields import MoneyOut, money

_DEADLINES = {
    types.DEADLINE_KIND_FUNDING: "fund_by",
    types.DEADLINE_KIND_DELIVERY: "deliver_by",
    types.DEADLINE_KIND_CONFIRMATION: "confirm_by",
    types.DEADLINE_KIND_DISPUTE: "review_by",
}


def name(enum: Any, number: int) -> str:
    """Return the short name of an enum's value: ESCROW_STATE_DELIVERED is "DELIVERED"."""
    full: str = enum.Name(number)
    values = enum.keys()
    # All values of an enum share a prefix: the one of its zero, "…_UNSPECIFIED".
    return full.removeprefix(values[0].removesuffix("UNSPECIFIED"))


def optional_name(enum: Any, number: int) -> str | None:
    """Return the short name, None for the unspecified value."""
    return name(enum, number) if number else None


def time_of(message: Any, field: str) -> datetime | None:
    """Return a Timestamp field as a datetime, None when it is not set."""
    return moment(getattr(message, field)) if message.HasField(field) else None


def actor_label(actor: common.Actor, escrow: record.Escrow) -> str:
    """Return BUYER, SELLER, STAFF or SYSTEM: parties do not learn which member of staff."""
    if actor.kind == common.ACTOR_KIND_SYSTEM:
        return "SYSTEM"
    if actor.kind == common.ACTOR_KIND_STAFF:
        return "STAFF"
    return side_of(escrow, actor.user_id) or "SYSTEM"


def escrow(
    case: Case,
    allowed: Iterable[str],
    role: StaffRole | None,
    delivery: answers.Delivery | None = None,
) -> answers.EscrowOut:
    """Return the escrow as the caller may see it; `role` is set for staff."""
    state = case.escrow
    return answers.EscrowOut(
        id=state.escrow_id,
        ref=case.ref,
        contract_id=state.contract_id,
        contract_ref=case.contract_ref,
        version=state.sequence,
        status=name(types.EscrowState, state.state),
        rail=name(common.Rail, state.rail),
        price=_amount(state, state.price.minor),
        costs=_costs(state),
        received=_amount(state, state.received_minor),
        held=_amount(state, state.held_minor),
        deadlines=_deadlines(state.deadline),
        hold=_hold(state, role),
        delivery=delivery,
        dispute=_dispute(state),
        settlement=settlement(state),
        buyer=state.buyer_id,
        seller=state.seller_id,
        allowed_actions=sorted(allowed),
        created_at=time_of(state, "created_at"),
        updated_at=time_of(state, "updated_at"),
    )


def settlement(state: record.Escrow) -> answers.SettlementOut | None:
    """Return the open settlement proposal."""
    open_one = state.settlement
    if not open_one.proposal_id:
        return None
    return answers.SettlementOut(
        id=open_one.proposal_id,
        by=side_of(state, open_one.by) or "SYSTEM",
        seller_amount=_amount(state, state.price.minor - open_one.refund_minor),
        lapses_at=time_of(open_one, "lapses_at"),
    )


def receipt(case: Case, staff: bool) -> answers.Receipt:
    """Return what moved, with the provider's references fit for the caller."""
    state = case.escrow
    buyer, seller = staff or case.side == "BUYER", staff or case.side == "SELLER"
    references = list(state.payment_refs) if buyer else []
    references += [state.refund.provider_ref] if buyer else []
    references += [state.payout.provider_ref] if seller else []
    return answers.Receipt(
        escrow_id=state.escrow_id,
        ref=case.ref,
        status=name(types.EscrowState, state.state),
        paid=_amount(state, state.received_minor) if buyer else None,
        held=_amount(state, state.held_minor),
        released=_amount(state, state.released_minor) if seller else None,
        refunded=_amount(state, state.refunded_minor),
        fees=_amount(state, state.fees_minor),
        references=[reference for reference in references if reference],
    )


def moves(state: record.Escrow) -> answers.MoneyMoves:
    """Return what a decided escrow has ordered."""
    return answers.MoneyMoves(
        payout=_amount(state, state.payout.amount_minor),
        refund=_amount(state, state.refund.amount_minor),
        fees=_amount(state, state.planned_fees_minor),
    )


def _amount(state: record.Escrow, minor: int) -> MoneyOut:
    return money(minor, currency_code(state.price.currency))


def _costs(state: record.Escrow) -> answers.Costs:
    return answers.Costs(
        buyer_pays=_amount(state, state.price.minor + state.buyer_fee_minor),
        buyer_fee=_amount(state, state.buyer_fee_minor),
        seller_fee=_amount(state, state.seller_fee_minor),
        seller_receives=_amount(state, state.price.minor - state.seller_fee_minor),
    )


def _deadlines(deadline: types.Deadline) -> answers.Deadlines:
    field = _DEADLINES.get(deadline.kind)
    at = time_of(deadline, "at")
    return answers.Deadlines(**{field: at}) if field and at else answers.Deadlines()


def _hold(state: record.Escrow, role: StaffRole | None) -> answers.HoldOut:
    kind = state.hold.kind
    if not kind:
        return answers.HoldOut(active=False)
    shown = name(types.HoldKind, kind) if role is not None else None
    return answers.HoldOut(active=True, since=time_of(state.hold, "since"), kind=shown)


def _dispute(state: record.Escrow) -> answers.DisputeSummary | None:
    dispute = state.dispute
    if not dispute.reason:
        return None
    return answers.DisputeSummary(
        reason=name(types.DisputeReason, dispute.reason),
        wanted=optional_name(types.Outcome, dispute.wanted),
        opened_by=actor_label(dispute.opened_by, state),
        opened_at=time_of(dispute, "opened_at"),
        overdue=dispute.overdue,
    )
