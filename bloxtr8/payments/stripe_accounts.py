"""Sellers' connected accounts: Express on Connect, opened by Stripe's own pages.

Source of the parameters: docs.stripe.com/connect/express-accounts.
"""

from typing import Any

from bloxtr8 import ids
from bloxtr8.clock import Clock
from bloxtr8.config import StripeSettings
from bloxtr8.errors import UpstreamUnavailable
from bloxtr8.payments import stripe_objects as objects
from bloxtr8.payments.rails import Failed, Unknown
from bloxtr8.payments.stripe_calls import JSON, CallLimits, StripeCalls
from bloxtr8.payments.stripe_objects import BadObject


class StripeAccounts:
    """All methods raise UpstreamUnavailable when Stripe does not answer, or not as documented."""

    def __init__(
        self, settings: StripeSettings, clock: Clock, limits: CallLimits | None = None
    ) -> None:
        self._calls = StripeCalls(settings, clock, limits)
        self._clock = clock

    async def close(self) -> None:
        await self._calls.close()

    async def create(self, user_id: str) -> str:
        """Return the account of a user; asked again within a day it is the same one.

        Stripe keeps an error of its own under the key for that day, too. Rather than shut a seller
        out that long, a new key is used each hour then: at worst an account without an owner
        stays behind, through which nobody is ever paid. A time-out never leads to a new key.
        """
        answer = await self._create(user_id, f"acct:{user_id}")
        if isinstance(answer, Unknown) and answer.reason.startswith("HTTP_5"):
            answer = await self._create(user_id, f"acct:{user_id}:{self._clock.now():%Y%m%d%H}")
        return _text(answer, "id")

    async def _create(self, user_id: str, idempotency_key: str) -> JSON | Failed | Unknown:
        params: Any = {
            "type": "express",
            "capabilities": {"transfers": {"requested": True}},
            "metadata": {"user_id": user_id},
        }
        key: Any = {"idempotency_key": idempotency_key}
        return await self._calls.ask(
            "account_create", lambda: self._calls.v1.accounts.create_async(params, key)
        )

    async def onboarding(self, account: str, return_url: str, refresh_url: str) -> str:
        """Return the page on which the seller completes the account; it can be opened once."""
        params: Any = {
            "account": account,
            "type": "account_onboarding",
            "return_url": return_url,
            "refresh_url": refresh_url,
        }
        # Each link works once, so each request is another one; its retries are the same.
        key: Any = {"idempotency_key": f"link:{ids.uuid7()}"}
        answer = await self._calls.ask(
            "account_link_create", lambda: self._calls.v1.account_links.create_async(params, key)
        )
        return _text(answer, "url")

    async def is_ready(self, account: str) -> bool:
        """Tell whether the account can be paid now."""
        answer = await self._calls.ask(
            "account_retrieve", lambda: self._calls.v1.accounts.retrieve_async(account)
        )
        if isinstance(answer, Failed | Unknown):
            raise UpstreamUnavailable
        return can_be_paid(answer)


def can_be_paid(account: JSON) -> bool:
    """Tell what an Account object says of itself."""
    capabilities = objects.table(account, "capabilities")
    active = capabilities.get("transfers") == "active"
    return active and objects.flag(account, "payouts_enabled")


def _text(answer: JSON | Failed | Unknown, name: str) -> str:
    if isinstance(answer, Failed | Unknown):
        raise UpstreamUnavailable
    try:
        return objects.text(answer, name)
    except BadObject:
        raise UpstreamUnavailable from None
