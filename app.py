"""The worker's application: wiring only. `faust -A app worker`."""

from typing import Any

import web
from agents import (
    contracts,
    deadlines,
    debtors,
    escrow,
    listings,
    mirror,
    outbox,
    payments,
    people,
    reconciliation,
    webhooks,
)
from bloxtr8 import telemetry
from bloxtr8.config import Settings
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.messaging.watchdog import Watchdog
from bloxtr8.store import database
from tables import escrows, provider_refs


def make_app(settings: Settings, *, keyring: Keyring | None = None) -> BloxtrApp:
    """Return a worker's application for `settings`, with the parts that its role names."""
    result = BloxtrApp(settings, keyring=keyring)
    result.is_transient = database.is_transient
    result.on_open(lambda: database.open_database(settings))
    result.on_close(database.close_database)
    if settings.role in ("all", "agents"):
        _register_agents(result)
    # Of role `agents` it serves health, metrics and its table to other workers, no API.
    web.register(result)
    _register_watchdog(result)
    return result


def _register_agents(app: BloxtrApp) -> None:
    service = deadlines.register(app)
    escrow.register(app, escrows.register(app), service)
    payments.register(app)
    reconciliation.register(app)
    webhooks.register(app, provider_refs.register(app))
    mirror.register(app)
    debtors.register(app)
    contracts.register(app, listings.register(app))
    outbox.register(app)
    people.register(app)


def _register_watchdog(app: BloxtrApp) -> None:
    running: list[Watchdog] = []

    async def start() -> None:
        watchdog = Watchdog(app)
        watchdog.start()
        running.append(watchdog)

    async def stop() -> None:
        for watchdog in running:
            watchdog.close()

    app.on_open(start)
    app.on_close(stop)


def __getattr__(name: str) -> Any:
    # Made when asked for (`faust -A app`), not when a test imports this module.
    if name != "app":
        raise AttributeError(name)
    from bloxtr8.cli import inspect

    inspect.register()
    settings = Settings()
    telemetry.configure_logging(settings)
    globals()["app"] = made = make_app(settings)
    return made
