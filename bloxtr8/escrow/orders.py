"""Orders to the payments agent, and the legs of money they are about."""

from google.protobuf.timestamp_pb2 import Timestamp

from bloxtr8 import ids
from bloxtr8.escrow.change import Change
from bloxtr8.escrow.deadlines import later
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.payments.v1 import payments_pb2 as payments

# After so many failed attempts in a row a human decides.
ATTEMPTS_MAX = 5
BACKOFF_SECONDS_MIN, BACKOFF_SECONDS_MAX = 60, 3600

INTENT, CANCEL, PAYOUT, REFUND, STRAY_REFUND = (
    "INTENT",
    "CANCEL",
    "PAYOUT",
    "REFUND",
    "STRAY_REFUND",
)


def backoff_seconds(failures: int) -> int:
    """Return the wait after `failures` (>= 1) failed attempts: 1 min doubling to 1 h."""
    return min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_MIN << min(failures - 1, 10))


def new_leg(change: Change, kind: str, amount_minor: int, *, deferred: bool = False) -> types.Leg:
    """Return the first leg of `kind` for `amount_minor` > 0."""
    assert amount_minor > 0, "a leg moves something"
    return types.Leg(
        amount_minor=amount_minor,
        generation=1,
        attempt=1,
        status=types.LEG_STATUS_DEFERRED if deferred else types.LEG_STATUS_ORDERED,
        operation_id=ids.operation_id_for(change.escrow.escrow_id, kind, 1),
    )


def next_leg(
    change: Change, leg: types.Leg, kind: str, generation: int, not_before: Timestamp | None
) -> types.Leg:
    """Return the leg for its next attempt, under `generation`."""
    result = types.Leg()
    result.CopyFrom(leg)
    result.attempt = leg.attempt + 1
    result.generation = generation
    result.operation_id = ids.operation_id_for(change.escrow.escrow_id, kind, generation)
    result.status = types.LEG_STATUS_ORDERED
    result.nothing_happened = False
    result.ClearField("not_before")
    if not_before is not None:
        result.not_before.CopyFrom(not_before)
    return result


def after_backoff(change: Change, attempt: int) -> Timestamp:
    """Return when the attempt after `attempt` may start."""
    return later(change.now, backoff_seconds(attempt))


def money(change: Change, amount_minor: int) -> common.Money:
    return common.Money(minor=amount_minor, currency=change.escrow.price.currency)


def create_intent(change: Change) -> None:
    """Order the payment instrument that the escrow's intent names."""
    escrow = change.escrow
    change.order(
        escrow.intent.operation_id,
        1,
        create_payment_intent=payments.CreatePaymentIntent(
            operation_id=escrow.intent.operation_id,
            generation=escrow.intent.generation,
            amount=money(change, change.terms.due_minor),
            contract_id=escrow.contract_id,
            buyer_id=escrow.buyer_id,
        ),
    )


def cancel_intent(change: Change) -> str:
    """Order the cancellation of the current intent; return the operation's id."""
    intent = change.escrow.intent
    operation_id = ids.operation_id_for(change.escrow.escrow_id, CANCEL, intent.generation)
    change.order(
        operation_id,
        1,
        cancel_payment=payments.CancelPayment(
            operation_id=operation_id,
            generation=intent.generation,
            intent_operation_id=intent.operation_id,
        ),
    )
    return operation_id


def payout(change: Change) -> None:
    """Order the payout leg as the escrow has it now."""
    escrow, leg = change.escrow, change.escrow.payout
    change.order(
        leg.operation_id,
        leg.attempt,
        transfer_to_seller=payments.TransferToSeller(
            operation_id=leg.operation_id,
            generation=leg.generation,
            attempt=leg.attempt,
            amount=money(change, leg.amount_minor),
            destination=escrow.payee.destination,
            seller_id=escrow.seller_id,
            not_before=leg.not_before if leg.HasField("not_before") else None,
            fees_minor=escrow.planned_fees_minor,
        ),
    )


def refund(change: Change) -> None:
    """Order the refund leg as the escrow has it now."""
    escrow = change.escrow
    amount = money(change, escrow.refund.amount_minor)
    _refund(change, escrow.refund, escrow.funding_ref, amount, payments.OPERATION_KIND_REFUND)


def stray_refund(
    change: Change, stray: records.StrayFunds, not_before: Timestamp | None = None
) -> None:
    """Order that stray funds go back, as the escrow has them now."""
    leg = stray_leg(stray)
    if not_before is not None:
        leg.not_before.CopyFrom(not_before)
    amount = common.Money(minor=stray.amount_minor, currency=stray.currency)
    _refund(change, leg, stray.payment_ref, amount, payments.OPERATION_KIND_STRAY_REFUND)


def stray_leg(stray: records.StrayFunds) -> types.Leg:
    """Return stray funds as the leg that returns them."""
    return types.Leg(
        amount_minor=stray.amount_minor,
        generation=stray.generation,
        attempt=stray.attempt,
        status=stray.status,
        operation_id=stray.operation_id,
        nothing_happened=stray.nothing_happened,
    )


def _refund(
    change: Change,
    leg: types.Leg,
    payment_ref: str,
    amount: common.Money,
    kind: "payments.OperationKind.ValueType",
) -> None:
    change.order(
        leg.operation_id,
        leg.attempt,
        initiate_refund=payments.InitiateRefund(
            operation_id=leg.operation_id,
            generation=leg.generation,
            attempt=leg.attempt,
            amount=amount,
            payment_ref=payment_ref,
            buyer_id=change.escrow.buyer_id,
            kind=kind,
            not_before=leg.not_before if leg.HasField("not_before") else None,
        ),
    )
