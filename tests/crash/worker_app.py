"""The streams of a worker without web, payments and mirror: what the crash suite kills.

`faust -A tests.crash.worker_app worker`. There is no PostgreSQL: escrows go on without it.
"""

from typing import Any

from agents import deadlines, escrow
from app import _register_watchdog
from bloxtr8 import telemetry
from bloxtr8.config import Settings
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.store import database
from tables import escrows


def make_app(settings: Settings) -> BloxtrApp:
    result = BloxtrApp(settings)
    result.is_transient = database.is_transient
    result.on_open(lambda: database.open_database(settings))
    result.on_close(database.close_database)
    escrow.register(result, escrows.register(result), deadlines.register(result))
    _register_watchdog(result)
    return result


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    settings = Settings()
    telemetry.configure_logging(settings)
    globals()["app"] = made = make_app(settings)
    return made
