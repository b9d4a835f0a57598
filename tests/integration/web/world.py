"""People, trades and a client: the API in this process over a real database and broker."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from bloxtr8 import ids
from bloxtr8.access import AccessTokens, Session, StaffRole, open_session
from bloxtr8.clock import ManualClock
from bloxtr8.config import Settings
from bloxtr8.escrow import Context, Decision, decide
from bloxtr8.messaging.publisher import Publisher, PublishTimeout
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import TopicSpec
from bloxtr8.store import database
from bloxtr8.store.mirror import Mirror
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import record_pb2 as records
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.story import SYSTEM, Story
from web.deps import DEPS, Deps

REASON = "Looked at the case together with both sides."
VERDICT = "Both sides were heard; what was shown supports this outcome for both of them."
STATEMENT = "The game in the group is not the one of the listing: places and passes are missing."


class Recorded:
    """The real publisher; what the broker has acknowledged is also kept here."""

    def __init__(self, publisher: Publisher) -> None:
        self.inner = publisher
        self.sent: list[tuple[TopicSpec, Any]] = []
        self.silent = False

    async def publish(self, spec: TopicSpec, message: Any) -> None:
        if self.silent:
            raise PublishTimeout("no acknowledgement")
        await self.inner.publish(spec, message)
        self.sent.append((spec, message))


class TestProcess:
    """The worker around the views."""

    __test__ = False

    def __init__(self, settings: Settings, clock: ManualClock) -> None:
        self.settings = settings
        self.clock = clock
        self.keyring = Keyring.load(settings.keys.directory, create=True)
        self.publisher = Recorded(Publisher(settings.kafka, self.keyring))
        self.records: dict[str, records.EscrowRecord] = {}
        self.facts: dict[str, bool | float] = {
            "kafka_assignment": True,
            "recovery": True,
            "tick_age_s": 0.0,
        }
        self.owner: str | None = None

    def health(self) -> Mapping[str, bool | float]:
        return self.facts

    def escrow_record(self, escrow_id: str) -> records.EscrowRecord | None:
        return self.records.get(escrow_id)

    def escrow_owner(self, _escrow_id: str) -> str | None:
        return self.owner


@dataclass(frozen=True)
class Someone:
    """A person with a session."""

    id: str
    session: Session
    token: str

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class Trade(Story):
    """A trade whose events go to the mirror."""

    def __init__(self, world: "World", buyer: Someone, seller: Someone) -> None:
        super().__init__()
        self.world = world
        self.clock = world.clock
        self.buyer_id, self.seller_id = buyer.id, seller.id
        self.buyer_person, self.seller_person = buyer, seller
        self.mirrored = 0

    def create_for(self, price: common.Money, rail: "common.Rail.ValueType") -> "Trade":
        network = (
            common.NETWORK_BASE if rail == common.RAIL_USDC_BASE else common.NETWORK_UNSPECIFIED
        )
        self.tell(
            SYSTEM,
            create_escrow=commands.CreateEscrow(
                contract_id=self.contract_id,
                contract_sha256="ab" * 32,
                buyer=commands.Party(user_id=self.buyer_id, tier=1),
                seller=commands.Party(user_id=self.seller_id, tier=1),
                price=price,
                rail=rail,
                network=network,
                delivery_days=7,
                fee_schedule="v1",
                payee=types.Payee(payout_method_id=str(uuid4()), destination="acct_1"),
            ),
        )
        return self

    def take(self, command: commands.EscrowCommand) -> Decision:
        """Decide a command as the escrow agent would."""
        context = Context(self.clock.now(), self.fencing_token, records.Origin())
        decision = decide(self.record, command, context)
        self._take(decision)
        return decision

    async def mirror(self) -> "Trade":
        """Write what has happened since the last time."""
        fresh = self.events[self.mirrored :]
        self.mirrored = len(self.events)
        assert all(fate is None for fate in await self.world.mirror.apply(fresh))
        return self

    async def answer(self) -> Decision:
        """Decide the last command that was published, and mirror the outcome."""
        command = self.world.commands[-1]
        assert command.escrow_id == self.escrow_id
        decision = self.take(command)
        await self.mirror()
        return decision

    @property
    def path(self) -> str:
        return f"/api/v1/escrows/{self.escrow_id}"

    @property
    def staff_path(self) -> str:
        return f"/api/v1/staff/escrows/{self.escrow_id}"


class World:
    """Everything a test of the API needs."""

    def __init__(self, process: TestProcess, client: "TestClient[Any, Any]") -> None:
        self.process = process
        self.client = client
        self.clock = process.clock
        self.tokens = AccessTokens.from_settings(process.settings, process.clock)
        self.mirror = Mirror(process.clock)

    @property
    def deps(self) -> Deps:
        """What the views use."""
        assert self.client.app is not None, "the API is served"
        deps: Deps = self.client.app[DEPS]
        return deps

    @property
    def commands(self) -> list[commands.EscrowCommand]:
        """Commands that the broker has acknowledged."""
        sent = self.process.publisher.sent
        return [message for _, message in sent if isinstance(message, commands.EscrowCommand)]

    def limit_to(self, percent: int) -> None:
        """Grant `percent` of the rates from now on, of which no time gives anything back."""
        limiter, now = self.deps.limiter, time.monotonic()
        limiter._percent, limiter._monotonic = percent, lambda: now

    async def person(self, role: StaffRole | None = None, *, mfa: bool | None = None) -> Someone:
        """Return somebody new who has just signed in."""
        user_id, now = str(ids.uuid7()), self.clock.now()
        async with database.transaction() as tx:
            await tx.execute(
                "INSERT INTO users (id, display_name, tier) VALUES ($1, 'Someone', 'TIER_1')",
                UUID(user_id),
            )
            if role is not None:
                await tx.execute(
                    "INSERT INTO staff_members (user_id, role, granted_at) VALUES ($1, $2, $3)",
                    UUID(user_id),
                    role.name,
                    now,
                )
        return await self.sign_in(user_id, role, mfa=role is not None if mfa is None else mfa)

    async def sign_in(
        self, user_id: str, role: StaffRole | None = None, *, mfa: bool = False
    ) -> Someone:
        async with database.transaction() as tx:
            session = await open_session(tx, user_id, self.clock.now(), mfa=mfa)
        return Someone(user_id, session, self.tokens.mint(session, role))

    async def again(self, someone: Someone) -> Someone:
        """Return the person with a fresh sign-in."""
        return await self.sign_in(someone.id, mfa=someone.session.mfa)

    async def trade(
        self,
        buyer: Someone | None = None,
        seller: Someone | None = None,
        *,
        price: common.Money | None = None,
        rail: "common.Rail.ValueType" = common.RAIL_STRIPE,
        mirrored: bool = True,
    ) -> Trade:
        """Return a trade that waits for money, with its contract.

        Of one that is not `mirrored`, just made, the mirror knows the contract only.
        """
        trade = Trade(self, buyer or await self.person(), seller or await self.person())
        trade.create_for(price or common.Money(minor=100_000, currency=common.CURRENCY_USD), rail)
        await self._contract(trade)
        return await trade.mirror() if mirrored else trade

    async def held(self, **options: Any) -> Trade:
        trade = await self.trade(**options)
        trade.pay()
        return await trade.mirror()

    async def delivered(self, **options: Any) -> Trade:
        trade = await self.held(**options)
        trade.deliver()
        return await trade.mirror()

    async def disputed(self, **options: Any) -> Trade:
        trade = await self.delivered(**options)
        trade.dispute()
        return await trade.mirror()

    async def reviewed(self) -> Trade:
        """Return a trade whose money has come and is not cleared."""
        trade = await self.trade()
        trade.fact(
            funds_under_review=payments.FundsUnderReview(
                operation_id=trade.escrow.intent.operation_id,
                payment_ref="pi_1",
                amount=common.Money(minor=trade.due_minor, currency=common.CURRENCY_USD),
                reason="RISK",
                risk="MEDIUM",
            )
        )
        return await trade.mirror()

    async def large_disputed(self) -> Trade:
        """Return a disputed trade of 20,000 USDC."""
        price = common.Money(minor=20_000_000_000, currency=common.CURRENCY_USDC)
        trade = await self.trade(price=price, rail=common.RAIL_USDC_BASE)
        trade.fact(
            payment_succeeded=payments.PaymentSucceeded(
                operation_id=trade.escrow.intent.operation_id,
                payment_ref="0xabc:1",
                amount=common.Money(minor=trade.due_minor, currency=common.CURRENCY_USDC),
            )
        )
        trade.deliver().dispute()
        return await trade.mirror()

    async def get(
        self, path: str, someone: Someone | None = None, **options: Any
    ) -> ClientResponse:
        headers = someone.bearer if someone else {}
        return await self.client.get(path, headers=headers | options.pop("headers", {}), **options)

    async def post(
        self, path: str, someone: Someone | None, body: Any = None, *, key: str | None = "new"
    ) -> ClientResponse:
        """Send a change under a new idempotency key, under `key`, or (None) without one."""
        headers = dict(someone.bearer) if someone else {}
        if key is not None:
            headers["Idempotency-Key"] = secrets.token_hex(16) if key == "new" else key
        return await self.client.post(path, headers=headers, json={} if body is None else body)

    async def _contract(self, trade: Trade) -> None:
        async with database.transaction() as tx:
            await tx.execute(
                "INSERT INTO contracts (id, ref, offer_id, listing_id, buyer_id, seller_id,"
                " escrow_id, status, price_minor, rail, settle_currency, settle_minor,"
                " fee_schedule, buyer_fee_minor, seller_fee_minor, delivery_days)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, 'EXECUTED', 100000, 'STRIPE', 'USD', 100000,"
                " 'v1', 0, 0, 7)",
                UUID(trade.contract_id),
                f"C-{secrets.token_hex(4)[:7].upper()}",
                uuid4(),
                uuid4(),
                UUID(trade.buyer_id),
                UUID(trade.seller_id),
                UUID(trade.escrow_id),
            )


async def problem(answer: ClientResponse, status: int, code: str) -> dict[str, Any]:
    """Assert that `answer` is the problem `code` with `status`; return the document."""
    document: dict[str, Any] = await answer.json(content_type="application/problem+json")
    assert (answer.status, document["code"]) == (status, code), document
    assert document["status"] == status
    assert document["trace_id"] == answer.headers["X-Request-Id"]
    return document


async def accepted(answer: ClientResponse) -> dict[str, Any]:
    """Assert that `answer` is 202 with an operation; return the operation."""
    document: dict[str, Any] = await answer.json()
    assert answer.status == 202, document
    assert answer.headers["Location"] == f"/api/v1/operations/{document['id']}"
    return document
