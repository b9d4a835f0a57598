"""`python -m tests.bench.listings`: searching 100,000 listings over HTTP at a steady rate.

Prints one JSON line; exits with 1 when the aim is missed.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from bloxtr8 import ids, telemetry
from bloxtr8.clock import SystemClock
from bloxtr8.config import KafkaSettings, KeysSettings, PostgresSettings, Settings
from bloxtr8.dev.postgres import EmbeddedPostgres
from bloxtr8.dev.schema import migrate_database
from bloxtr8.store import database
from tests.integration.web.world import TestProcess
from web import make_web

P95_MS_MAX = 30.0
_WORDS = 2_000
_SELLERS = 2_000
# What people search for, as often as it stands here.
_QUERIES = (
    *("",) * 3,
    *("category=TYCOON", "category=RPG", "price_band=5k-20k", "tag=tag7"),
    *("sort=price_asc", "sort=price_desc&category=OBBY", "min_price=100000&max_price=300000"),
    *("q=word3", "q=word40", "q=word900", "q=word5+word60", "q=word12&category=RACING"),
)
_FILL = """
INSERT INTO listings (id, ref, seller_id, universe_id, title, summary, included_assets, category,
  tags, price_minor, visibility, status, snapshot_id, risk_level, last_verified_at, check_due_at,
  created_at)
SELECT gen_random_uuid(), 'L-' || lpad(n::text, 7, '0'), s.ids[1 + n % cardinality(s.ids)], n,
  'word' || floor(power(random(), 3) * $3)::int || ' word' || floor(power(random(), 3) * $3)::int,
  (SELECT string_agg('word' || floor(power(random(), 2) * $3)::int, ' ')
   FROM generate_series(1, 18 + n % 5)),
  'All of the experience', (ARRAY['SIMULATOR', 'TYCOON', 'OBBY', 'ROLEPLAY', 'RPG', 'FIGHTING',
  'SHOOTER', 'HORROR', 'RACING', 'SOCIAL', 'OTHER'])[1 + n % 11],
  ARRAY['tag' || n % 50, 'tag' || 50 + n % 7],
  100 + (power(random(), 4) * 9000000)::bigint, 'PUBLIC', 'ACTIVE', $2, 'LOW', now(), now(),
  now() - n * interval '20 seconds'
FROM generate_series(1, $1) n, (SELECT array_agg(id) AS ids FROM users) s
"""


async def _fill(count: int) -> None:
    """Make `count` listings of people whose experiences are all alike."""
    connection = await database.connect()
    try:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(
            "INSERT INTO users (id, display_name) SELECT gen_random_uuid(), 'Seller ' || n"
            " FROM generate_series(1, $1) n",
            _SELLERS,
        )
        snapshot_id = ids.uuid7()
        await connection.execute(
            "INSERT INTO roblox_snapshots (id, purpose, universe_id, name, creator_type,"
            " creator_id, risk_score, risk_level, risk_factors, risk_rules, taken_at, payload,"
            " payload_sha256) VALUES ($1, 'LISTING', 1, 'Game', 'USER', 1, 0, 'LOW', '[]', 'r1',"
            " now(), '{}', '\\x00')",
            snapshot_id,
        )
        await connection.execute(_FILL, count, snapshot_id, _WORDS, timeout=600)
        await connection.execute("VACUUM ANALYZE listings")
    finally:
        await connection.close()


async def _ask(session: aiohttp.ClientSession, url: str, query: str) -> float:
    """Return how long one search took, in milliseconds."""
    began = time.perf_counter()
    async with session.get(f"{url}?{query}") as answer:
        document = await answer.json()
        assert answer.status == 200, document
    return (time.perf_counter() - began) * 1_000


async def _load(url: str, rate: int, seconds: int) -> list[float]:
    """Ask `rate` times a second, whether or not the answers have come; return the times."""
    chooser = random.Random(7)
    async with aiohttp.ClientSession() as session:
        for query in _QUERIES:
            await _ask(session, url, query)
        began = time.perf_counter()
        asking: list[asyncio.Task[float]] = []
        for number in range(rate * seconds):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            query = chooser.choice(_QUERIES)
            asking.append(asyncio.create_task(_ask(session, url, query)))
        return sorted(await asyncio.gather(*asking))


def _percentile(times: Sequence[float], percent: int) -> float:
    return round(times[min(len(times) - 1, len(times) * percent // 100)], 1)


async def measure(count: int, rate: int, seconds: int) -> dict[str, float]:
    """Return the figures of a run, in milliseconds."""
    server = EmbeddedPostgres(durable=False)
    server.start()
    try:
        dsn = await server.fresh_database(migrate_database)
        with tempfile.TemporaryDirectory() as directory:
            settings = Settings(
                data_dir=Path(directory),
                kafka=KafkaSettings(bootstrap="127.0.0.1:1"),
                postgres=PostgresSettings(dsn=SecretStr(dsn)),
                keys=KeysSettings(directory=Path(directory) / "keys"),
            )
            settings.web.rate_percent = 100_000
            telemetry.configure_logging(settings)
            await database.open_database(settings)
            await _fill(count)
            process = TestProcess(settings, SystemClock())  # type: ignore[arg-type]
            times = await _served(make_web(process), rate, seconds)
            await database.close_database()
    finally:
        server.stop()
    return {
        "listings": count,
        "rate": rate,
        **{f"p{p}_ms": _percentile(times, p) for p in (50, 95, 99)},
        "max_ms": round(times[-1], 1),
    }


async def _served(application: web.Application, rate: int, seconds: int) -> list[float]:
    """Return the times that a process of its own has measured, as clients have one."""
    async with TestServer(application) as served:
        url = str(served.make_url("/api/v1/listings"))
        asking = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.listings", "--ask", url),
            *("--rate", str(rate), "--seconds", str(seconds)),
            stdout=asyncio.subprocess.PIPE,
        )
        told, _ = await asking.communicate()
        assert asking.returncode == 0, "the asking process ends well"
    times: list[float] = json.loads(told)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listings", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--ask", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        asked = _load(options.ask, options.rate, options.seconds)
        sys.stdout.write(json.dumps(asyncio.run(asked)))
        return 0
    figures = asyncio.run(measure(options.listings, options.rate, options.seconds))
    sys.stdout.write(json.dumps({**figures, "aim_p95_ms": P95_MS_MAX}) + "\n")
    return 0 if figures["p95_ms"] <= P95_MS_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
