"""`python -m tests.bench.money [--parts calls,funding]`: provider calls and webhooks, measured.

calls: operations per second of one worker's executor while each provider call takes 200 ms.
funding: from a payment to its EscrowFundsHeld, through a whole worker, at a steady rate.
Prints one JSON line; exits with 1 when an aim is missed.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from bloxtr8 import ids
from bloxtr8.clock import SystemClock
from bloxtr8.config import PostgresSettings, Settings, StripeSettings
from bloxtr8.dev import process
from bloxtr8.dev.postgres import EmbeddedPostgres
from bloxtr8.dev.schema import migrate_database
from bloxtr8.messaging import metadata
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.payments.executor import IN_FLIGHT_MAX, Executor
from bloxtr8.payments.pg_store import PostgresStore
from bloxtr8.payments.service import PaymentService
from bloxtr8.payments.stripe_rail import StripeRail
from bloxtr8.store import database
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.bench.funding import funding

CALLS_PER_SECOND_MIN = 250.0
FUNDING_P95_MS_MAX = 100.0
_CALL_S = 0.2
_AT_ONCE = 8
_POLL_S = 0.05
_TIMEOUT_S = 120.0


async def calls(operations: int) -> dict[str, float]:
    """Return how many operations a second one executor carries out."""
    async with _executor(_CALL_S) as (executor, service):
        orders = [_order() for _ in range(operations)]
        for start in range(0, operations, _AT_ONCE):
            await asyncio.gather(*(service.handle(o) for o in orders[start : start + _AT_ONCE]))
        began = time.perf_counter()
        running = asyncio.create_task(executor.run())
        async with asyncio.timeout(_TIMEOUT_S):
            while await _left():  # noqa: ASYNC110 - the database is asked
                await asyncio.sleep(_POLL_S)
        seconds = time.perf_counter() - began
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    most = IN_FLIGHT_MAX / _CALL_S
    return {
        "operations": operations,
        "operations_per_second": round(operations / seconds, 1),
        "of_what_the_limit_allows": round(operations / seconds / most, 2),
    }


async def _left() -> int:
    row = await database.fetchrow(
        "SELECT count(*) AS n FROM payment_operations WHERE status <> 'CONFIRMED'"
    )
    return 0 if row is None else int(row["n"])


@asynccontextmanager
async def _executor(seconds: float) -> AsyncIterator[tuple[Executor, PaymentService]]:
    """An executor on a database of its own, and a provider in a process of its own."""
    server = EmbeddedPostgres(durable=False)
    server.start()
    port = process.free_port()
    directory = Path(tempfile.mkdtemp(prefix="bloxtr8-bench-"))
    command = [sys.executable, "-m", "tests.bench.slow_provider", str(port), str(seconds)]
    provider = process.spawn(command, directory / "provider.log")
    try:
        async with asyncio.timeout(20):
            while not process.accepts_connections(port):  # noqa: ASYNC110 - another process
                await asyncio.sleep(_POLL_S)
        dsn = await server.fresh_database(migrate_database)
        await database.open_database(Settings(postgres=PostgresSettings(dsn=SecretStr(dsn))))
        clock = SystemClock()
        connection = StripeSettings(
            api_base=f"http://127.0.0.1:{port}", api_key=SecretStr("sk_test_bench")
        )
        rail = StripeRail(connection, clock)
        store = PostgresStore(Keyring.generate().signer(common.PRODUCER_PAYMENTS), clock)
        executor = Executor(store, {"STRIPE": rail}, clock, owner="bench")
        yield executor, PaymentService(store, clock, executor.wake)
        await rail.close()
        await database.close_database()
    finally:
        process.stop(provider, signal.SIGTERM, timeout_seconds=5)
        server.stop()


def _order() -> payments.PaymentCommand:
    escrow_id = ids.escrow_id_for(str(ids.uuid7()))
    return payments.PaymentCommand(
        metadata=metadata.new(common.PRODUCER_ESCROW, SystemClock().now()),
        escrow_id=escrow_id,
        fencing_token=1,
        rail=common.RAIL_STRIPE,
        create_payment_intent=payments.CreatePaymentIntent(
            operation_id=ids.operation_id_for(escrow_id, "INTENT", 1),
            generation=1,
            amount=common.Money(minor=10_329, currency=common.CURRENCY_USD),
            contract_id=str(ids.uuid7()),
            buyer_id=str(ids.uuid7()),
        ),
    )


async def _measure(options: argparse.Namespace) -> tuple[dict[str, float], bool]:
    figures: dict[str, float] = {}
    holds = True
    if "calls" in options.parts.split(","):
        figures |= await calls(options.operations)
        holds = figures["operations_per_second"] >= CALLS_PER_SECOND_MIN
    if "funding" in options.parts.split(","):
        figures |= await funding(options.rate, options.seconds)
        holds = holds and figures["p95_ms"] <= FUNDING_P95_MS_MAX
    aims = {"aim_operations_per_second": CALLS_PER_SECOND_MIN, "aim_p95_ms": FUNDING_P95_MS_MAX}
    return {**figures, **aims}, holds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="calls,funding")
    parser.add_argument("--operations", type=int, default=2_000)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=10)
    figures, holds = asyncio.run(_measure(parser.parse_args()))
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
