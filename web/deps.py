"""What the views need from the process they run in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from bloxtr8.access.tokens import AccessTokens
from bloxtr8.clock import Clock
from bloxtr8.config import Settings
from bloxtr8.contracts.vault import Vault
from bloxtr8.disputes.files import EvidenceFiles
from bloxtr8.market.dead_letters import DeadLetters
from bloxtr8.market.exports import Exports
from bloxtr8.market.market import Market
from bloxtr8.market.place import Marketplace
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.topics import TopicSpec
from bloxtr8.payments.payout_methods import PayoutMethods
from bloxtr8.payments.service import PaymentPages
from bloxtr8.store.live import Live
from bloxtr8.store.objects import ObjectStore
from proto.bloxtr8.escrow.v1 import record_pb2 as record
from web.addresses import Network
from web.kept import KeptAnswers
from web.limits import Limiter
from web.openapi.page import Page
from web.routes import Route


class Publisher(Protocol):
    """Publishes one message and returns when the broker has it."""

    async def publish(self, spec: TopicSpec, message: Any) -> None: ...


class Process(Protocol):
    """The worker around the views; tests give a small one of their own."""

    @property
    def settings(self) -> Settings: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def keyring(self) -> Keyring: ...

    @property
    def publisher(self) -> Publisher: ...

    def health(self) -> Mapping[str, bool | float]:
        """Return what the stream side knows: names of checks and their outcome."""
        ...

    def escrow_record(self, escrow_id: str) -> record.EscrowRecord | None:
        """Return the record from this process's table, or None when it is not here."""
        ...

    def escrow_owner(self, escrow_id: str) -> str | None:
        """Return the origin of the other worker that owns the escrow; None: this one does."""
        ...


@dataclass(slots=True)
class Deps:
    """Everything a view may use, built once for an application.

    `people`: the marketplace's services, None where no API is served; `trading`: what listings
    and offers stand on, likewise; `files`: the store of files,
    `evidence_files`: those of trades; `documents`: contracts.
    `proxies`: whose X-Forwarded-For is believed. `routes`: what is served; `docs`: the page
    about it, once somebody has asked for it; `live`: who is told of changes as they happen.
    `schema_current`: the database was seen to have every migration, which it then keeps.
    """

    process: Process
    tokens: AccessTokens
    limiter: Limiter
    payment_pages: PaymentPages
    dead_letters: DeadLetters
    payouts: PayoutMethods | None = None
    people: Market | None = None
    trading: Marketplace | None = None
    files: ObjectStore | None = None
    evidence_files: EvidenceFiles | None = None
    documents: Vault | None = None
    proxies: tuple[Network, ...] = ()
    kept: KeptAnswers = field(default_factory=KeptAnswers)
    routes: tuple[Route, ...] = ()
    docs: Page | None = None
    live: Live = field(default_factory=Live)
    schema_current: bool = False

    @property
    def settings(self) -> Settings:
        return self.process.settings

    @property
    def clock(self) -> Clock:
        return self.process.clock

    @property
    def payout_methods(self) -> PayoutMethods:
        assert self.payouts is not None, "the process serves the API"
        return self.payouts

    @property
    def market(self) -> Market:
        assert self.people is not None, "the process serves the API"
        return self.people

    @property
    def place(self) -> Marketplace:
        assert self.trading is not None, "the process serves the API"
        return self.trading

    @property
    def objects(self) -> ObjectStore:
        assert self.files is not None, "the process serves the API"
        return self.files

    @property
    def vault(self) -> Vault:
        assert self.documents is not None, "the process serves the API"
        return self.documents

    @property
    def exports(self) -> Exports:
        return Exports(self.objects, self.clock)

    @property
    def evidence(self) -> EvidenceFiles:
        assert self.evidence_files is not None, "the process serves the API"
        return self.evidence_files


DEPS: web.AppKey[Deps] = web.AppKey("deps", Deps)
