"""From a custodian's call to what is worth asking about: a claim of its own proves nothing."""

from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.payments.facts import Fact, Heard
from bloxtr8.payments.stripe_objects import BadObject
from bloxtr8.payments.usdc.custodian_webhooks import (
    DEPOSIT_TYPES,
    TRANSFER_TYPES,
    BadCall,
    CustodianCall,
    name_custodian,
)
from bloxtr8.store.database import fetchrow


def facts_of_call(body: bytes) -> list[Fact]:
    """Return what a call is about; [] for types that say nothing. Raises BadObject."""
    call = _named(body)
    if call.type in DEPOSIT_TYPES:
        return [Heard("", instrument_ref=call.about.lower())]
    return [Heard(call.about)] if call.type in TRANSFER_TYPES else []


async def escrow_of_call(body: bytes) -> str:
    """Return the escrow whose address or transfer a call is about, "" when it is none of ours.

    Raises BadObject.
    """
    call = _named(body)
    if call.type in DEPOSIT_TYPES:
        row = await fetchrow(
            "SELECT escrow_id FROM deposit_accounts WHERE address = $1", call.about.lower()
        )
    elif call.type in TRANSFER_TYPES and is_uuid(call.about):
        row = await fetchrow(
            "SELECT escrow_id FROM payment_operations WHERE operation_id = $1", call.about
        )
    else:
        return ""
    return "" if row is None else str(row["escrow_id"])


def _named(body: bytes) -> CustodianCall:
    try:
        return name_custodian(body)
    except BadCall as error:
        raise BadObject(str(error)) from None
