"""People, experiences and a marketplace on a real database; who owns what is the test's to say."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from bloxtr8 import ids
from bloxtr8.clock import ManualClock
from bloxtr8.config import PolicySettings
from bloxtr8.errors import OwnershipUnknown
from bloxtr8.market import acceptance, evidence, listings, offers
from bloxtr8.market.acceptance import Accepted
from bloxtr8.market.actors import Actor, Channel
from bloxtr8.market.events import Events
from bloxtr8.market.listings import NewListing
from bloxtr8.market.offers import Proposal
from bloxtr8.market.place import Change, Kept, Marketplace, Proof, Purpose
from bloxtr8.messaging import envelope, metadata
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from proto.bloxtr8.common.v1 import common_pb2 as common

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
POLICY = PolicySettings(roblox_policy="2026-01")
Row = dict[str, Any]
_TRIES_MAX = 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    universe_id: int
    purpose: Purpose
    user_id: UUID


class Roblox:
    """Whose an experience is, as the test says; `silent`: Roblox does not answer."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.owners: dict[int, UUID] = {}
        self.roblox_ids: dict[UUID, int] = {}
        self.risk = "LOW"
        self.silent = False
        self.asked = 0
        self.patient = False

    async def verify(
        self, user_id: UUID, universe_id: int, *, fresh: bool, patient: bool = False
    ) -> Proof:
        self.asked += 1
        self.patient = patient
        if self.silent:
            raise OwnershipUnknown(retry_after_s=30)
        mine = self.owners.get(universe_id) == user_id
        return Proof(
            verified=mine,
            ownership="OWNER" if mine else None,
            checked_at=self._clock.now(),
            roblox_user_id=self.roblox_ids[user_id],
            reason=None if mine else "OTHER_USER",
        )

    async def look(self, user_id: UUID, universe_id: int, purpose: Purpose) -> Seen:
        return Seen(universe_id, purpose, user_id)

    async def keep(self, tx: Transaction, seen: Seen, now: datetime) -> Kept:
        kept = Kept(ids.uuid7(), self.risk)
        await tx.execute(
            "INSERT INTO roblox_snapshots (id, purpose, universe_id, name, creator_type,"
            " creator_id, for_user_id, ownership, risk_score, risk_level, risk_factors,"
            " risk_rules, taken_at, payload, payload_sha256) VALUES ($1, $2, $3, 'Skyline',"
            " 'USER', 1, $4, 'OWNER', 0, $5, '[]', 'r1', $6, '{}', $7)",
            kept.id,
            seen.purpose,
            seen.universe_id,
            seen.user_id,
            self.risk,
            now,
            kept.id.bytes,
        )
        return kept


class World:
    """A marketplace and what a test does in it."""

    def __init__(self, keyring: Keyring) -> None:
        self.clock = ManualClock(START)
        self.roblox = Roblox(self.clock)
        self.keyring = keyring
        signer = keyring.signer(common.PRODUCER_WEB)
        self.place = Marketplace(
            clock=self.clock,
            policy=POLICY,
            events=Events(signer),
            signer=signer,
            contracts=keyring.signer(common.PRODUCER_CONTRACTS),
            experiences=self.roblox,
        )
        self._numbers = count(1_000)

    async def person(self, tier: str = "TIER_1") -> Actor:
        """Return somebody with both accounts and all consents."""
        number, user_id, now = next(self._numbers), ids.uuid7(), self.clock.now()
        self.roblox.roblox_ids[user_id] = number
        async with database.transaction() as tx:
            await tx.execute(
                "INSERT INTO users (id, display_name, tier) VALUES ($1, $2, $3)",
                user_id,
                f"Person {number}",
                tier,
            )
            await tx.executemany(
                "INSERT INTO accounts (id, user_id, provider, external_id, username, linked_at)"
                " VALUES ($1, $2, $3, $4, 'somebody', $5)",
                [(ids.uuid7(), user_id, kind, str(number), now) for kind in ("DISCORD", "ROBLOX")],
            )
            await tx.executemany(
                "INSERT INTO consents (id, user_id, document, version, method, accepted_at)"
                " VALUES ($1, $2, $3, $4, 'WEB', $5)",
                [
                    (ids.uuid7(), user_id, document, version, now)
                    for document, version in (
                        ("TERMS", POLICY.terms),
                        ("PRIVACY", POLICY.privacy),
                        ("AGE_18", POLICY.age_18),
                        ("ROBLOX_POLICY", POLICY.roblox_policy),
                    )
                ],
            )
        return Actor(user_id, Channel.WEB, metadata.new_traceparent(), ip="203.0.113.9")

    async def change(self, actor: Actor, work: Callable[[Change], Awaitable[T]]) -> T:
        """Do `work` in a transaction of `actor`'s.

        Who waits for a lock for two seconds is told to try again, and does.
        """

        async def in_transaction(tx: Transaction) -> T:
            return await work(Change(tx, actor, self.place, self.clock.now()))

        for _ in range(_TRIES_MAX):
            try:
                return await database.run_in_transaction(in_transaction)
            except asyncpg.LockNotAvailableError:
                continue
        raise AssertionError("a lock is not held for that long")

    def new_listing(self, seller: Actor, **values: Any) -> NewListing:
        """Return a listing of an experience that is the seller's."""
        universe_id = values.pop("universe_id", None) or next(self._numbers)
        self.roblox.owners.setdefault(universe_id, seller.id)
        new = NewListing(
            universe_id=universe_id,
            title="Skyline Tycoon",
            summary="A complete tycoon with shop, pets and daily quests.",
            included_assets="The experience with all places and passes.",
            category="TYCOON",
            price_minor=150_000,
            tags=("tycoon",),
        )
        return replace(new, **values)

    async def listing(self, seller: Actor, **values: Any) -> Row:
        new = self.new_listing(seller, **values)
        found = await evidence.of_owner(self.place, seller.id, new.universe_id, "LISTING")
        return await self.change(seller, lambda change: listings.create(change, new, found))

    async def offer(self, buyer: Actor, listing: Row, amount: int = 120_000) -> Row:
        proposal = Proposal(amount)
        return await self.change(
            buyer, lambda change: offers.submit(change, listing["id"], proposal)
        )

    async def counter(self, actor: Actor, offer: Row, amount: int) -> Row:
        return await self.change(
            actor,
            lambda change: offers.counter(change, offer["id"], offer["version"], Proposal(amount)),
        )

    async def accept(self, actor: Actor, offer: Row) -> Accepted:
        found = await acceptance.prove(self.place, actor.id, offer["id"], offer["version"])
        return await self.change(
            actor, lambda change: acceptance.accept(change, offer["id"], offer["version"], found)
        )

    async def decline(self, actor: Actor, offer: Row, note: str | None = None) -> Row:
        return await self.change(
            actor, lambda change: offers.decline(change, offer["id"], offer["version"], note)
        )

    async def withdraw(self, actor: Actor, offer: Row) -> Row:
        return await self.change(
            actor, lambda change: offers.withdraw(change, offer["id"], offer["version"])
        )

    def later(self, by: timedelta) -> None:
        self.clock.advance(by)

    # --- what is written -----------------------------------------------------------------

    async def row(self, table: str, row_id: UUID) -> Row:
        found = await database.fetchrow(f"SELECT * FROM {table} WHERE id = $1", row_id)
        assert found is not None
        return found

    async def said(self, key: UUID | None = None) -> list[str]:
        """Return the types of the events in the outbox, in order."""
        rows = await database.fetch("SELECT key, event_type FROM outbox ORDER BY id")
        return [row["event_type"] for row in rows if key is None or row["key"] == str(key)]

    async def audited(self, subject_id: UUID) -> list[str]:
        """Return what was done to a listing, offer or contract, in order."""
        rows = await database.fetch(
            "SELECT action FROM audit_log WHERE subject_id = $1 ORDER BY id", str(subject_id)
        )
        return [row["action"] for row in rows]

    async def told(self, user_id: UUID) -> list[str]:
        """Return the templates of a person's notices, in order."""
        rows = await database.fetch(
            "SELECT template FROM notification_deliveries WHERE user_id = $1 AND channel = 'INBOX'"
            " ORDER BY created_at, template",
            user_id,
        )
        return [row["template"] for row in rows]

    async def check_outbox(self) -> None:
        """Every waiting message is signed by whom its topic trusts, and can be read."""
        from bloxtr8.messaging.topics import BY_NAME

        for row in await database.fetch("SELECT topic, key, payload, headers FROM outbox"):
            spec = BY_NAME[row["topic"]]
            message = spec.message.FromString(row["payload"])
            assert getattr(message, spec.key_field) == row["key"]
            assert message.metadata.schema_version == envelope.SCHEMA_VERSION
