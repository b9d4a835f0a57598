"""The workers that are measured: `faust -A tests.bench.apps worker`, chosen by BENCH_APP.

escrow: the escrow agent, its table and its deadlines. noop: a stock agent that does nothing.
whole: everything that a production worker runs.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import faust

from agents import deadlines, escrow
from app import make_app
from bloxtr8 import telemetry
from bloxtr8.config import Settings
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.topics import ESCROW_COMMANDS
from bloxtr8.store import database
from tables import escrows

READY, COUNTED = "ready", "counted"


def tell(what: str, **facts: Any) -> None:
    """Leave word for the process that measures."""
    path = Path(os.environ["BENCH_STATUS"]) / what
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps({"at": time.time(), **facts}))
    unfinished.rename(path)


def _escrow_only(settings: Settings) -> BloxtrApp:
    app = BloxtrApp(settings)
    app.is_transient = database.is_transient
    app.on_open(lambda: database.open_database(settings))
    app.on_close(database.close_database)
    service = deadlines.register(app)
    escrow.register(app, escrows.register(app), service)
    return _telling(app)


def _whole(settings: Settings) -> BloxtrApp:
    return _telling(make_app(settings))


def _telling(app: BloxtrApp) -> BloxtrApp:
    async def say_ready() -> None:
        while not app.recovered:
            await app.sleep(0.02)
        tell(READY)
        await app.wait_for_stopped()

    app.background("bench", say_ready)
    return app


def _noop(settings: Settings) -> faust.App:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        settings.kafka.app_id,
        broker=f"kafka://{settings.kafka.bootstrap}",
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
        datadir=settings.data_dir / "noop",
    )
    topic = app.topic(ESCROW_COMMANDS.name, value_type=bytes, key_type=bytes)
    wanted = int(os.environ["BENCH_COUNT"])
    seen = {"count": 0, "first": 0.0}

    @app.agent(topic)  # type: ignore[untyped-decorator, unused-ignore]
    async def nothing(stream: Any) -> None:
        async for _ in stream:
            if not seen["count"]:
                seen["first"] = time.time()
            seen["count"] += 1
            if seen["count"] == wanted:
                tell(COUNTED, seconds=time.time() - seen["first"])

    @app.task  # type: ignore[untyped-decorator, unused-ignore]
    async def ready() -> None:
        tell(READY)

    return app


_APPS = {"escrow": _escrow_only, "whole": _whole, "noop": _noop}


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    settings = Settings()
    telemetry.configure_logging(settings)
    globals()["app"] = made = _APPS[os.environ["BENCH_APP"]](settings)
    return made
