"""Where the caller is paid: connected accounts and wallets."""

from typing import Any
from uuid import UUID

from bloxtr8.errors import NotFound
from bloxtr8.messaging.envelope import is_uuid
from bloxtr8.payments.payout_methods import BASE_WALLET, Added
from bloxtr8.store.database import Transaction
from web import answers, requests
from web.actors import actor_of
from web.call import Call
from web.limits import RateClass
from web.routes import KeyRule, Reply, Route, Who
from web.submission import once
from web.trading import told

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
        address = wanted.address

        async def work(tx: Transaction) -> Reply:
            return _added(await methods.add_wallet(tx, actor, address, call.now))
    else:
        opened = await methods.open_account(actor)

        async def work(tx: Transaction) -> Reply:
            return _added(await methods.add_account(tx, actor, opened, call.now))

    return await once(call, work)


async def verify(call: Call) -> Reply:
    """Prove a wallet by its signature over the text."""
    body: requests.WalletSignature = call.body
    actor, methods = actor_of(call), call.deps.payout_methods
    proven = await methods.check(actor, _id(call), body.signature, call.now)

    async def work(tx: Transaction) -> Reply:
        return told(_shown(await methods.prove(tx, actor, proven, call.now)))

    return await once(call, work)


async def make_default(call: Call) -> Reply:
    """Be paid there from now on, in trades that have no payee yet."""
    actor, methods, method_id = actor_of(call), call.deps.payout_methods, _id(call)

    async def work(tx: Transaction) -> Reply:
        return told(_shown(await methods.make_default(tx, actor, method_id, call.now)))

    return await once(call, work)


async def disable(call: Call) -> Reply:
    """Never be paid there again."""
    await call.deps.payout_methods.disable(actor_of(call), _id(call), call.now)
    return Reply(None, 204)


def _id(call: Call) -> UUID:
    text = call.parameter("method_id")
    if not is_uuid(text):
        raise NotFound
    return UUID(text)


def _added(added: Added) -> Reply:
    answer = answers.PayoutMethodAdded(
        method=_shown(added.method),
        onboarding_url=added.onboarding_url or None,
        message=added.message or None,
        token_expires_at=added.expires_at,
    )
    return told(answer, 201)


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
        key=KeyRule.OPTIONAL,
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
        key=KeyRule.OPTIONAL,
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
        key=KeyRule.OPTIONAL,
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
