"""The stand-in's API methods: each takes the world and the parameters, and answers an object."""

import operator
from collections.abc import Callable
from copy import deepcopy
from typing import Any
from urllib.parse import urlencode

from bloxtr8.sandbox.stripe.wire import (
    JSON,
    ApiError,
    metadata,
    missing,
    new_id,
    page,
    positive,
    text,
)
from bloxtr8.sandbox.stripe.world import World

Method = Callable[[World, JSON, str], JSON]

_CURRENCIES = ("usd", "eur")
_EXPANSIONS_MAX = 20
_TYPES_MAX = 20
_BOUNDS = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


def create_intent(world: World, params: JSON, _: str) -> JSON:
    made = world.make(
        "payment_intent",
        "pi",
        amount=positive(params, "amount"),
        amount_received=0,
        amount_capturable=0,
        currency=_currency(params),
        status="requires_payment_method",
        metadata=metadata(params),
        transfer_group=text(params, "transfer_group") or None,
        description=text(params, "description") or None,
        automatic_payment_methods={"enabled": True},
        capture_method="automatic_async",
        latest_charge=None,
        last_payment_error=None,
        canceled_at=None,
        cancellation_reason=None,
    )
    made["client_secret"] = f"{made['id']}_secret_{new_id('s')[2:]}"
    world.emit("payment_intent.created", made)
    return made


def confirm_intent(world: World, params: JSON, ref: str) -> JSON:
    method = text(params, "payment_method", required=True)
    if method == "pm_card_chargeDeclined":
        world.decline(ref)
        raise ApiError(
            402, "Your card was declined.", type_="card_error", code="card_declined", kept=True
        )
    return world.pay(ref)


def cancel_intent(world: World, params: JSON, ref: str) -> JSON:
    return world.cancel(ref, text(params, "cancellation_reason"))


def search_intents(world: World, params: JSON, _: str) -> JSON:
    """Answer queries of the one form `metadata['name']:'value'`."""
    query = text(params, "query", required=True)
    name, quote, value = query.partition("']:'")
    if not (name.startswith("metadata['") and quote and value.endswith("'")):
        raise ApiError(400, "We were unable to parse your search query.", param="query")
    wanted, content = name.removeprefix("metadata['"), value.removesuffix("'")
    found = [
        entry
        for entry in world.objects["payment_intent"].values()
        if entry["metadata"].get(wanted) == content
    ]
    result = page(found, params, "/v1/payment_intents/search")
    return result | {"object": "search_result", "next_page": None}


def create_transfer(world: World, params: JSON, _: str) -> JSON:
    amount, currency = positive(params, "amount"), _currency(params)
    destination = text(params, "destination", required=True)
    account = world.objects["account"].get(destination)
    if account is None:
        raise ApiError(
            400, f"No such destination: '{destination}'", code="resource_missing",
            param="destination", kept=True,
        )  # fmt: skip
    if account["capabilities"].get("transfers") != "active":
        raise ApiError(
            400,
            "Your destination account needs to have at least one of the following capabilities "
            "enabled: transfers.",
            code="insufficient_capabilities_for_transfer",
            kept=True,
        )
    source = text(params, "source_transaction")
    group = text(params, "transfer_group") or None
    if source:
        charge = world.get("charge", source)
        _check_source(world, charge, amount, currency)
        group = group or charge["transfer_group"]
    elif world.balance().get(currency, 0) < amount:
        raise ApiError(
            400,
            "Insufficient funds in your Stripe balance.",
            code="balance_insufficient",
            kept=True,
        )
    made = world.make(
        "transfer",
        "tr",
        amount=amount,
        amount_reversed=0,
        currency=currency,
        destination=destination,
        source_transaction=source or None,
        transfer_group=group,
        metadata=metadata(params),
        description=text(params, "description") or None,
        reversed=False,
    )
    made["balance_transaction"] = world.book("transfer", made, -amount)
    world.emit("transfer.created", made)
    return made


def _check_source(world: World, charge: JSON, amount: int, currency: str) -> None:
    taken = sum(
        entry["amount"] - entry["amount_reversed"]
        for entry in world.all("transfer", source_transaction=charge["id"])
    )
    if charge["currency"] != currency or taken + amount > charge["amount"]:
        raise ApiError(
            400,
            "Cannot use part of a charge as a source_transaction more than its amount.",
            code="balance_insufficient",
            kept=True,
        )


def reverse_transfer(world: World, params: JSON, ref: str) -> JSON:
    transfer = world.get("transfer", ref)
    left = transfer["amount"] - transfer["amount_reversed"]
    amount = positive(params, "amount", left or 1)
    if amount > left:
        raise ApiError(
            400, "The reversal is larger than what is left of the transfer.",
            code="transfer_already_reversed" if not left else "amount_too_large", kept=True,
        )  # fmt: skip
    made = world.make(
        "transfer_reversal",
        "trr",
        amount=amount,
        currency=transfer["currency"],
        transfer=ref,
        metadata=metadata(params),
    )
    transfer["amount_reversed"] += amount
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    made["balance_transaction"] = world.book("transfer_refund", made, amount)
    world.emit("transfer.reversed", transfer)
    return made


def create_refund(world: World, params: JSON, _: str) -> JSON:
    intent_ref = text(params, "payment_intent", required=True)
    intent = world.get("payment_intent", intent_ref)
    if not intent["latest_charge"]:
        raise ApiError(
            400,
            "This PaymentIntent does not have a successful charge to refund.",
            code="payment_intent_unexpected_state",
            kept=True,
        )
    charge = world.get("charge", intent["latest_charge"])
    left = charge["amount"] - charge["amount_refunded"]
    amount = positive(params, "amount", left or 1)
    if amount > left:
        code = "charge_already_refunded" if not left else "amount_too_large"
        raise ApiError(
            400, "Refund amount is greater than unrefunded amount.", code=code, kept=True
        )
    details = metadata(params)
    # A test's word for a bank that takes its time; Stripe does the same for some methods.
    status = "pending" if world.slow_refunds else "succeeded"
    made = world.make(
        "refund",
        "re",
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        payment_intent=intent_ref,
        metadata=details,
        reason=text(params, "reason") or None,
        status=status,
    )
    made["balance_transaction"] = world.book("refund", made, -amount)
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.emit("refund.created", made)
    world.emit("charge.refunded", charge)
    if status == "succeeded":
        world.emit("refund.updated", made)
    return made


def create_account(world: World, params: JSON, _: str) -> JSON:
    return world.make(
        "account",
        "acct",
        type=text(params, "type") or "express",
        country=text(params, "country") or "US",
        email=None,
        capabilities={"transfers": "inactive"},
        charges_enabled=False,
        details_submitted=False,
        payouts_enabled=False,
        metadata=metadata(params),
    )


def create_account_link(world: World, params: JSON, _: str) -> JSON:
    account = world.get("account", text(params, "account", required=True))
    url = text(params, "return_url", required=True)
    text(params, "refresh_url", required=True)
    query = {"return_url": url}
    return {
        "object": "account_link",
        "created": world.now(),
        "expires_at": world.now() + 300,
        "url": f"{world.base_url}/sandbox/onboarding/{account['id']}?{urlencode(query)}",
    }


def balance(world: World, _params: JSON, _: str) -> JSON:
    available = [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in sorted(world.balance().items())
    ]
    return {"object": "balance", "livemode": False, "available": available, "pending": []}


def retriever(kind: str) -> Method:
    def retrieve(world: World, _params: JSON, ref: str) -> JSON:
        return world.get(kind, ref)

    return retrieve


def lister(kind: str, *filters: str) -> Method:
    def list_all(world: World, params: JSON, _: str) -> JSON:
        wanted = {name: text(params, name) for name in filters if params.get(name)}
        found = _created_within(world.all(kind, **wanted), params)
        return page(found, params, f"/v1/{kind}s")

    return list_all


def list_reversals(world: World, params: JSON, ref: str) -> JSON:
    world.get("transfer", ref)
    found = world.all("transfer_reversal", transfer=ref)
    return page(found, params, f"/v1/transfers/{ref}/reversals")


def list_events(world: World, params: JSON, _: str) -> JSON:
    kind, kinds = text(params, "type"), params.get("types") or []
    if not isinstance(kinds, list) or len(kinds) > _TYPES_MAX or (kind and kinds):
        raise ApiError(400, "Invalid array: types", param="types")
    wanted = [kind] if kind else kinds
    found = [event for event in world.events if not wanted or event["type"] in wanted]
    return page(_created_within(found, params), params, "/v1/events")


def retrieve_event(world: World, _params: JSON, ref: str) -> JSON:
    for event in world.events:
        if event["id"] == ref:
            return event
    raise missing("event", ref)


def _created_within(objects: list[JSON], params: JSON) -> list[JSON]:
    """Return those that fit `created[gt]`, `[gte]`, `[lt]` and `[lte]`, in seconds."""
    span = params.get("created") or {}
    if not isinstance(span, dict) or not set(span) <= set(_BOUNDS):
        raise ApiError(400, "Invalid object: created", param="created")
    bounds = [(_BOUNDS[name], positive(span, name)) for name in span]
    return [
        entry for entry in objects if all(fits(entry["created"], second) for fits, second in bounds)
    ]


def _currency(params: JSON) -> str:
    currency = text(params, "currency", required=True).lower()
    if currency not in _CURRENCIES:
        raise ApiError(400, f"Invalid currency: {currency[:10]}", param="currency")
    return currency


# (method, path) → API method; `{ref}` is its last parameter.
ROUTES: dict[tuple[str, str], Method] = {
    ("POST", "/v1/payment_intents"): create_intent,
    ("GET", "/v1/payment_intents"): lister("payment_intent", "transfer_group"),
    ("GET", "/v1/payment_intents/search"): search_intents,
    ("GET", "/v1/payment_intents/{ref}"): retriever("payment_intent"),
    ("POST", "/v1/payment_intents/{ref}/confirm"): confirm_intent,
    ("POST", "/v1/payment_intents/{ref}/cancel"): cancel_intent,
    ("GET", "/v1/charges"): lister("charge", "transfer_group", "payment_intent"),
    ("GET", "/v1/charges/{ref}"): retriever("charge"),
    ("POST", "/v1/transfers"): create_transfer,
    ("GET", "/v1/transfers"): lister("transfer", "transfer_group", "destination"),
    ("GET", "/v1/transfers/{ref}"): retriever("transfer"),
    ("POST", "/v1/transfers/{ref}/reversals"): reverse_transfer,
    ("GET", "/v1/transfers/{ref}/reversals"): list_reversals,
    ("POST", "/v1/refunds"): create_refund,
    ("GET", "/v1/refunds"): lister("refund", "payment_intent", "charge"),
    ("GET", "/v1/refunds/{ref}"): retriever("refund"),
    ("POST", "/v1/accounts"): create_account,
    ("GET", "/v1/accounts/{ref}"): retriever("account"),
    ("POST", "/v1/account_links"): create_account_link,
    ("GET", "/v1/disputes"): lister("dispute", "charge", "payment_intent"),
    ("GET", "/v1/disputes/{ref}"): retriever("dispute"),
    ("GET", "/v1/balance"): balance,
    ("GET", "/v1/balance_transactions"): lister("balance_transaction", "source", "type"),
    ("GET", "/v1/balance_transactions/{ref}"): retriever("balance_transaction"),
    ("GET", "/v1/events"): list_events,
    ("GET", "/v1/events/{ref}"): retrieve_event,
}


def expand(world: World, answer: JSON, params: JSON) -> JSON:
    """Return a copy of `answer` with the ids that `expand[]` names replaced by objects."""
    paths = params.get("expand") or []
    answer = deepcopy(answer)
    if not isinstance(paths, list) or len(paths) > _EXPANSIONS_MAX:
        raise ApiError(400, "Invalid array: expand", param="expand")
    for path in sorted(str(entry) for entry in paths):
        _expand_path(world, answer, path.split("."))
    return answer


def _expand_path(world: World, target: Any, parts: list[str]) -> None:
    if isinstance(target, list):
        for entry in target:
            _expand_path(world, entry, parts)
        return
    if not isinstance(target, dict) or parts[0] not in target:
        raise ApiError(400, f"This property cannot be expanded ({parts[0]}).", param="expand")
    value = target[parts[0]]
    if isinstance(value, str):
        value = target[parts[0]] = deepcopy(_find(world, value))
    if len(parts) > 1 and value is not None:
        _expand_path(world, value, parts[1:])


def _find(world: World, ref: str) -> JSON:
    for objects in world.objects.values():
        if ref in objects:
            return objects[ref]
    raise missing("object", ref)
