"""Where trades are played: a running stack, its people, its payment stand-in."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp

from bloxtr8.access import StaffRole
from bloxtr8.dev.play.api import JSON, Api, ApiProblem
from bloxtr8.dev.play.contract import Terms, sign_contract
from bloxtr8.dev.play.people import People, Person
from bloxtr8.dev.play.trade import Trade
from bloxtr8.dev.stack import Stack
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.payments.reconciliation import wiring
from bloxtr8.payments.reconciliation.model import Report
from bloxtr8.sandbox.chain import wallets
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common

_EVENTUALLY_SECONDS_MAX = 60.0
_POLL_SECONDS = 0.1
_BROWSER_SECONDS_MAX = 30.0


class Stage:
    """Trades on `stack`. Made by `on_stage`."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        keys = stack.settings.keys.directory
        self.stack = stack
        self.api = Api(stack.url)
        self.people = People(stack.settings, stack.clock)
        self._http = http
        self._signer = Keyring.load(keys, create=False).signer(common.PRODUCER_CONTRACTS)
        self._trades = 0
        self._browsers: list[aiohttp.ClientSession] = []

    def browser(self) -> aiohttp.ClientSession:
        """Return a browser without cookies; it is closed with the stage."""
        jar = aiohttp.CookieJar(unsafe=True)
        browser = aiohttp.ClientSession(
            cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=_BROWSER_SECONDS_MAX)
        )
        self._browsers.append(browser)
        return browser

    async def close(self) -> None:
        for browser in self._browsers:
            await browser.close()
        await self.api.close()

    async def trade(self, price_minor: int, *, payee: bool = True) -> Trade:
        """Return a new trade between two new people; without `payee` the seller has no account."""
        self._trades += 1
        account = await self.payout_account() if payee else ""
        buyer = await self.people.join(f"buyer {self._trades}")
        seller = await self.people.join(f"seller {self._trades}", payout_account=account)
        return Trade(self, buyer, seller, Terms(price_minor))

    async def usdc_trade(self, price_minor: int) -> Trade:
        """Return a new trade that is paid in USDC; both people have a wallet of their own."""
        self._trades += 1
        names = f"buyer-{self._trades}", f"seller-{self._trades}"
        address = str(wallets.named(names[1]).address)
        buyer = await self.people.join(f"buyer {self._trades}", wallet=names[0])
        seller = await self.people.join(
            f"seller {self._trades}", payout_account=address, wallet=names[1]
        )
        return Trade(self, buyer, seller, Terms(price_minor, "USDC_BASE"))

    async def staff(self, role: StaffRole = StaffRole.ADMIN) -> Person:
        """Return a new member of staff."""
        return await self.people.join(role.name.lower(), role=role)

    async def payout_account(self) -> str:
        """Return a new connected account at the stand-in that can be paid."""
        return str((await self.stripe("POST", "/accounts", {}))["id"])

    async def sign(self, buyer: Person, seller: Person, terms: Terms) -> tuple[str, str]:
        """Let both sides sign; return (contract id, escrow id)."""
        now = self.stack.clock.now()
        return await sign_contract(buyer, seller, terms, self._signer, now)

    async def stripe(self, method: str, path: str, body: JSON) -> JSON:
        """Use the stand-in's controls: be the buyer, the buyer's bank, a broken network."""
        return await self._control(method, f"{self.stack.stripe.control_url}{path}", body)

    async def chain(self, method: str, path: str, body: JSON) -> JSON:
        """Use the local chain's controls: pay from a wallet, mine, reorganise."""
        url = f"{self.stack.stand_ins.chain.control_url}{path}"
        return await self._control(method, url, body)

    async def screening(self, address: str, kind: str) -> None:
        """Let the screening providers know a wallet as `kind`: low, medium, high, listed …"""
        url = f"{self.stack.stand_ins.screening.control_url}/wallets"
        await self._control("POST", url, {"address": address, "kind": kind})

    async def reconcile(self, escrow_id: str) -> Report:
        """Compare one trade with the provider and make up for what was missed."""
        settings = self.stack.settings
        keyring = Keyring.load(settings.keys.directory, create=False)
        made = wiring.make(settings, self.stack.clock, keyring)
        try:
            return await made.run(escrow_id)
        finally:
            await made.close()

    async def _control(self, method: str, url: str, body: JSON) -> JSON:
        async with self._http.request(method, url, json=body) as answer:
            answer.raise_for_status()
            result: JSON = await answer.json()
            return result

    def travel(self, by: timedelta) -> None:
        """Move the clock of every process forward."""
        self.stack.clock.advance(by)

    async def eventually(self, ask: Callable[[], Awaitable[JSON]], *codes: str) -> JSON:
        """Return `ask()` once it no longer answers one of the problem `codes`."""
        until = time.monotonic() + _EVENTUALLY_SECONDS_MAX
        while True:
            try:
                return await ask()
            except ApiProblem as problem:
                if problem.code not in codes or time.monotonic() > until:
                    raise
            await asyncio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def on_stage(stack: Stack) -> AsyncIterator[Stage]:
    """A stage on `stack`; this process's database is open as long."""
    await database.open_database(stack.settings)
    http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
    stage: Any = None
    try:
        stage = Stage(stack, http)
        yield stage
    finally:
        if stage is not None:
            await stage.close()
        await http.close()
        await database.close_database()
