"""CreateEscrow: the business rules a trade must meet before it exists."""

import re
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.escrow import fees, orders, states
from bloxtr8.escrow.change import Change, Refused
from bloxtr8.escrow.deadlines import DELIVERY_DAYS_MAX, DELIVERY_DAYS_MIN
from bloxtr8.money import currency_number
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.escrow.v1 import types_pb2 as types

TIER_MIN = 1
PAYEE_FIELD_CHARS_MAX = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MALFORMED = types.REFUSAL_CODE_MALFORMED
_NOT_ALLOWED = types.REFUSAL_CODE_NOT_ALLOWED
_OUT_OF_RANGE = types.REFUSAL_CODE_AMOUNT_OUT_OF_RANGE


def create(change: Change, body: commands.CreateEscrow) -> None:
    """Begin an escrow and order its payment instrument."""
    _check_document(change.cause.escrow_id, body)
    _check_parties(body)
    _check_rail(body)
    buyer_fee = fees.buyer_fee(body.fee_schedule, body.rail, body.price.minor)
    _check_total(body, buyer_fee)
    change.emit(
        events.EscrowCreated(
            contract_id=body.contract_id,
            contract_sha256=body.contract_sha256,
            buyer_id=body.buyer.user_id,
            seller_id=body.seller.user_id,
            price=body.price,
            buyer_fee_minor=buyer_fee,
            seller_fee_minor=fees.seller_fee(body.fee_schedule, body.rail, body.price.minor),
            fee_schedule=body.fee_schedule,
            rail=body.rail,
            network=body.network,
            delivery_days=body.delivery_days,
            payee=body.payee if body.HasField("payee") else None,
        ),
        states.AWAIT_FUNDS,
    )
    escrow_id = change.escrow.escrow_id
    change.emit(
        events.EscrowAwaitFunds(
            deadline=change.deadline(types.DEADLINE_KIND_FUNDING),
            operation_id=ids.operation_id_for(escrow_id, orders.INTENT, 1),
            generation=1,
        )
    )
    orders.create_intent(change)


def check_payee(payee: types.Payee) -> None:
    """Refuse a payee that names no method or no destination, or goes on for too long."""
    for text in (payee.payout_method_id, payee.destination):
        if not text or len(text) > PAYEE_FIELD_CHARS_MAX:
            raise Refused(_MALFORMED, "The payout method is incomplete.")


def check_evidence(evidence: types.EvidenceRef) -> None:
    """Refuse a reference that does not name one document by id and hash."""
    if not evidence.id or not _SHA256.fullmatch(evidence.sha256):
        raise Refused(_MALFORMED, "The reference to a document is incomplete.")


def _check_document(escrow_id: str, body: commands.CreateEscrow) -> None:
    if not _is_uuid(body.contract_id) or not _SHA256.fullmatch(body.contract_sha256):
        raise Refused(_MALFORMED, "The contract is not named by its id and hash.")
    if escrow_id != ids.escrow_id_for(body.contract_id):
        raise Refused(_MALFORMED, "This escrow does not belong to that contract.")
    if not DELIVERY_DAYS_MIN <= body.delivery_days <= DELIVERY_DAYS_MAX:
        raise Refused(_MALFORMED, "Delivery takes between 1 and 30 days.")


def _check_parties(body: commands.CreateEscrow) -> None:
    buyer, seller = body.buyer, body.seller
    if not (_is_uuid(buyer.user_id) and _is_uuid(seller.user_id)):
        raise Refused(_MALFORMED, "A party is not named.")
    if buyer.user_id == seller.user_id:
        raise Refused(_NOT_ALLOWED, "Nobody can trade with themselves.")
    if min(buyer.tier, seller.tier) < TIER_MIN:
        raise Refused(_NOT_ALLOWED, "Both parties must have linked their Roblox account.")
    if buyer.frozen or seller.frozen:
        raise Refused(_NOT_ALLOWED, "The account of a party is frozen.")
    if body.HasField("payee"):
        check_payee(body.payee)


def _check_rail(body: commands.CreateEscrow) -> None:
    currency = fees.CURRENCY_OF_RAIL.get(body.rail)
    if currency is None or body.price.currency != currency_number(currency):
        raise Refused(_MALFORMED, "The currency is not that of the payment method.")
    if body.network != fees.NETWORK_OF_RAIL[body.rail]:
        raise Refused(_MALFORMED, "The network is not that of the payment method.")
    if body.fee_schedule not in fees.SCHEDULES:
        raise Refused(_MALFORMED, "The fee schedule is not known.")


def _check_total(body: commands.CreateEscrow, buyer_fee_minor: int) -> None:
    smallest, largest = (fees.units(body.rail, n) for n in (fees.PRICE_MIN, fees.PRICE_MAX))
    if not smallest <= body.price.minor <= largest:
        raise Refused(_OUT_OF_RANGE, "The price must be between 1.00 and 1,000,000.00.")
    total = body.price.minor + buyer_fee_minor
    if body.rail == common.RAIL_STRIPE and total > fees.units(body.rail, fees.STRIPE_TOTAL_MAX):
        raise Refused(_OUT_OF_RANGE, "Protected payments carry at most 10,000.00 USD in total.")


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
