"""Reading Stripe's objects, whoever sent them: an answer, a look-up, a webhook.

Everything is taken as untrusted JSON: a field of another type than documented raises BadObject.
"""

from typing import Any

from bloxtr8.payments.rails import Instrument, InstrumentStatus, Receipt

JSON = dict[str, Any]
TEXT_CHARACTERS_MAX = 255

_STATUSES = {
    "succeeded": InstrumentStatus.PAID,
    "canceled": InstrumentStatus.CANCELLED,
    "processing": InstrumentStatus.PROCESSING,
}


class BadObject(Exception):
    """The object is not what Stripe documents."""


def text(source: JSON, name: str, *, required: bool = True) -> str:
    """Return a string field; "" for an absent one that is not required."""
    value = source.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or len(value) > TEXT_CHARACTERS_MAX or (required and not value):
        raise BadObject(f"{name} is not a text of that length")
    if not value.isprintable():
        # No store and no message takes a NUL or half a surrogate pair.
        raise BadObject(f"{name} has characters that no text has")
    return value


def minor(source: JSON, name: str) -> int:
    """Return an amount in minor units, ≥ 0."""
    value = source.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise BadObject(f"{name} is not an amount")
    return value


def flag(source: JSON, name: str) -> bool:
    return source.get(name) is True


def table(source: JSON, name: str) -> JSON:
    """Return an object field; {} for an absent one."""
    value = source.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadObject(f"{name} is not an object")
    return value


def metadata(source: JSON) -> dict[str, str]:
    return {
        str(key)[:40]: value[:500]
        for key, value in table(source, "metadata").items()
        if isinstance(value, str)
    }


def currency(source: JSON) -> str:
    return text(source, "currency").upper()[:5]


def reference(source: JSON, name: str) -> str:
    """Return the id of a field that holds an id or, expanded, the object; "" when absent."""
    value = source.get(name)
    if isinstance(value, dict):
        return text(value, "id")
    return text(source, name, required=False)


def read_intent(intent: JSON) -> Instrument:
    """Return what a PaymentIntent says; with `latest_charge.balance_transaction` also its fee."""
    ref = text(intent, "id")
    status = _STATUSES.get(text(intent, "status"), InstrumentStatus.OPEN)
    if status is not InstrumentStatus.PAID:
        return Instrument(ref, status)
    receipt = Receipt(
        payment_ref=ref,
        charge_ref=reference(intent, "latest_charge"),
        amount_minor=minor(intent, "amount_received"),
        currency=currency(intent),
        fee_minor=_fee(intent),
        livemode=flag(intent, "livemode"),
        metadata=metadata(intent),
        fee_currency=_fee_currency(intent),
    )
    return Instrument(ref, status, receipt)


def _fee(intent: JSON) -> int | None:
    booked = _booked(intent)
    return None if booked is None else minor(booked, "fee")


def _fee_currency(intent: JSON) -> str:
    booked = _booked(intent)
    return "" if booked is None else currency(booked)


def _booked(intent: JSON) -> JSON | None:
    """Return the balance transaction of the intent's charge, where it was asked for too."""
    charge = intent.get("latest_charge")
    booked = charge.get("balance_transaction") if isinstance(charge, dict) else None
    return booked if isinstance(booked, dict) else None
