"""Where the caller is paid: connected accounts and wallets."""

from typing import Any
from uuid import UUID

from bloxtr8.errors import NotFound
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.payments.payout_methods import BASE_WALLET, Added
from web import answers, requests
from web.actors import actor_of
from web.call import Call
from web.limits import RateClass
from web.routes import Reply, Route, Who

_SHOWN_CHARACTERS = 4


async def list_all(call: Call) -> Reply:
    """The caller's methods that are not disabled."""
    rows = await call.deps.payout_methods.list_of(actor_of(call).id)
    return Reply(answers.PayoutMethodList(items=[_shown(row) for row in rows]))


async def add(call: Call) -> Reply:
    """Begin with an account or a wallet; again for the same one goes on where it was."""
    wanted: requests.NewAccount | requests.NewWallet = call.body.root
    actor, methods = actor_of(call), call.deps.payout_methods
    if isinstance(wanted, requests.NewWallet):
        added = await methods.add_wallet(actor, wanted.address, call.now)
    else:
        added = await methods.add_account(actor, call.now)
    return Reply(_added(added), 201)


async def verify(call: Call) -> Reply:
    """Prove a wallet by its signature over the text."""
    body: requests.WalletSignature = call.body
    actor, method_id = actor_of(call), _id(call)
    row = await call.deps.payout_methods.prove(actor, method_id, body.signature, call.now)
    return Reply(_shown(row))


async def make_default(call: Call) -> Reply:
    """Be paid there from now on, in trades that have no payee yet."""
    row = await call.deps.payout_methods.make_default(actor_of(call), _id(call), call.now)
    return Reply(_shown(row))


async def disable(call: Call) -> Reply:
    """Never be paid there again."""
    await call.deps.payout_methods.disable(actor_of(call), _id(call), call.now)
    return Reply(None, 204)


def _id(call: Call) -> UUID:
    text = call.parameter("method_id")
    if not is_uuid(text):
        raise NotFound
    return UUID(text)


def _added(added: Added) -> answers.PayoutMethodAdded:
    return answers.PayoutMethodAdded(
        method=_shown(added.method),
        onboarding_url=added.onboarding_url or None,
        message=added.message or None,
        token_expires_at=added.expires_at,
    )


def _shown(row: dict[str, Any]) -> answers.PayoutMethodOut:
    reference = str(row["external_ref"])
    if row["kind"] != BASE_WALLET:
        reference = "…" + reference[-_SHOWN_CHARACTERS:]
    return answers.PayoutMethodOut(
        id=str(row["id"]),
        kind=row["kind"],
        reference=reference,
        status=row["status"],
        is_default=row["is_default"],
        verified_at=row["verified_at"],
        usable_from=row["usable_from"],
        created_at=row["created_at"],
    )


_METHODS = "/api/v1/me/payout-methods"
ROUTES = (
    Route(
        "GET",
        _METHODS,
        list_all,
        Who.USER,
        "Where the caller is paid",
        answer=answers.PayoutMethodList,
    ),
    Route(
        "POST",
        _METHODS,
        add,
        Who.USER,
        "Add an account or a wallet to be paid to",
        RateClass.TOKEN,
        body=requests.NewPayoutMethod,
        answer=answers.PayoutMethodAdded,
        status=201,
        step_up=True,
    ),
    Route(
        "POST",
        f"{_METHODS}/{{method_id}}/verify",
        verify,
        Who.USER,
        "Prove a wallet by a signature",
        RateClass.TOKEN,
        body=requests.WalletSignature,
        answer=answers.PayoutMethodOut,
        step_up=True,
    ),
    Route(
        "POST",
        f"{_METHODS}/{{method_id}}/default",
        make_default,
        Who.USER,
        "Be paid there by default",
        RateClass.WRITE,
        body=requests.Nothing,
        answer=answers.PayoutMethodOut,
        step_up=True,
    ),
    Route(
        "DELETE",
        f"{_METHODS}/{{method_id}}",
        disable,
        Who.USER,
        "Never be paid there again",
        RateClass.WRITE,
        status=204,
        step_up=True,
    ),
)
