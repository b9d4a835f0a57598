"""Serving from a Faust worker: its web server, its table, its peers."""

from collections.abc import Mapping
from typing import Any

from faust.web.base import BlueprintManager

from bloxtr8.clock import Clock
from bloxtr8.config import Settings
from bloxtr8.errors import Unavailable
from bloxtr8.messaging.signatures import Keyring
from proto.bloxtr8.escrow.v1 import record_pb2 as record
from web.application import install
from web.deps import Publisher

_TABLE = "escrows"


class Worker:
    """A worker as the views see it."""

    def __init__(self, app: Any) -> None:
        self._app = app

    @property
    def settings(self) -> Settings:
        settings: Settings = self._app.settings
        return settings

    @property
    def clock(self) -> Clock:
        clock: Clock = self._app.clock
        return clock

    @property
    def keyring(self) -> Keyring:
        keyring: Keyring = self._app.keyring
        return keyring

    @property
    def publisher(self) -> Publisher:
        publisher: Publisher = self._app.publisher
        return publisher

    def health(self) -> Mapping[str, bool | float]:
        facts: Mapping[str, bool | float] = self._app.health()
        return facts

    def escrow_record(self, escrow_id: str) -> record.EscrowRecord | None:
        found: record.EscrowRecord | None = self._app.escrow_record(escrow_id)
        return found

    def escrow_owner(self, escrow_id: str) -> str | None:
        """Return the peer's origin, None when this worker owns the escrow; raises Unavailable."""
        try:
            url = self._app.router.key_store(_TABLE, escrow_id.encode())
        except (KeyError, TypeError):
            # No assignment yet, or a worker that only serves: who owns it is not known here.
            # A producer that has not heard of the table's topic yet answers with no partitions,
            # which the router then cannot count.
            raise Unavailable("The owner of this escrow is not known yet.") from None
        own = self._app.conf.canonical_url
        if (url.host, url.port) == (own.host, own.port):
            return None
        return f"http://{url.host}:{url.port}"


def register(app: Any) -> None:
    """Serve the API from `app`'s web server; the app opens the database."""
    # Every address is one of ours: of the engine's own pages none is served.
    app.web.blueprints = BlueprintManager()
    # Directly on the server's application: its middleware covers Faust's own addresses too.
    install(app.web.web_app, Worker(app))
