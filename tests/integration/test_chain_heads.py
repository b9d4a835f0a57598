"""Once an hour the audit chain's head goes where nobody can change it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError
from pydantic import SecretStr

from bloxtr8.clock import ManualClock
from bloxtr8.config import PostgresSettings, S3Settings, Settings
from bloxtr8.errors import UpstreamUnavailable
from bloxtr8.market import audit, chain_heads
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed
from bloxtr8.market.chain_heads import ChainHeads
from bloxtr8.store import audit_chain, database
from bloxtr8.store.audit_chain import Sealer
from bloxtr8.store.objects import ObjectMissing, ObjectStore

NOW = datetime(2026, 3, 1, 10, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Log:
    """A log with a clock, its sealer and a store of files."""

    def __init__(self, objects: ObjectStore) -> None:
        self.clock = ManualClock(NOW)
        self.objects = objects
        self.sealer = Sealer(self.clock)

    async def write(self) -> None:
        async with database.transaction() as tx:
            await audit.record(tx, Actor.system(), Deed("test.done", ("thing", "1")), NOW)
        assert await self.sealer.seal() == 1

    async def head(self, hour: int) -> dict[str, Any]:
        key = chain_heads.key_of(NOW.replace(hour=hour, minute=0))
        found: dict[str, Any] = json.loads(await self.objects.get(key, bytes_max=1_000))
        return found


@pytest.fixture
async def log(postgres_dsn: str, s3: S3Settings) -> AsyncIterator[Log]:
    settings = Settings(postgres=PostgresSettings(dsn=SecretStr(postgres_dsn)))
    await database.open_database(settings)
    objects = ObjectStore(s3)
    yield Log(objects)
    await objects.close()
    await database.close_database()


async def test_each_hour_has_the_head_that_was_sealed_before_it(log: Log) -> None:
    heads = ChainHeads(log.objects, log.clock)
    assert await heads.write() == 0, "nothing is sealed yet"
    await log.write()
    assert await heads.write() == 0, "nothing was sealed before this hour"
    log.clock.advance(HOUR)
    await log.write()
    assert [await heads.write() for _ in range(2)] == [1, 0]
    first = await log.head(11)
    verdict = await audit_chain.verify()
    assert (first["seq"], first["before"][:13]) == (1, "2026-03-01T11")
    assert first["hash"] != verdict.head.hex()
    log.clock.advance(HOUR)
    assert await heads.write() == 1
    assert (await log.head(12))["hash"] == verdict.head.hex()


async def test_many_workers_write_the_same(log: Log) -> None:
    await log.write()
    log.clock.advance(HOUR)
    workers = [ChainHeads(log.objects, log.clock) for _ in range(8)]
    done = await asyncio.gather(*(worker.write() for worker in workers))
    assert sum(done) >= 1
    first = await log.head(11)
    await log.write()
    assert [await worker.write() for worker in workers] == [0] * 8
    assert await ChainHeads(log.objects, log.clock).write() == 0
    assert await log.head(11) == first


async def test_without_the_store_it_is_tried_again(log: Log, s3: S3Settings) -> None:
    await log.write()
    log.clock.advance(HOUR)
    nowhere = ObjectStore(s3.model_copy(update={"endpoint_url": "http://127.0.0.1:1"}))
    heads = ChainHeads(nowhere, log.clock)
    for _ in range(2):
        with pytest.raises(UpstreamUnavailable):
            await heads.write()
    await nowhere.close()
    with pytest.raises(ObjectMissing):
        await log.head(11)


async def test_a_bucket_that_locks_keeps_heads_for_seven_years(log: Log, s3: S3Settings) -> None:
    name = "locks-heads"
    enabled = {"x-amz-bucket-object-lock-enabled": "true"}
    async with aiohttp.ClientSession() as http:
        made = await http.put(f"{s3.endpoint_url}/{name}", headers=enabled)
        assert made.status == 200, await made.text()
    objects = ObjectStore(s3.model_copy(update={"bucket": name, "object_lock": True}))
    await log.write()
    log.clock.advance(HOUR)
    assert await ChainHeads(objects, log.clock).write() == 1
    key = chain_heads.key_of(NOW.replace(hour=11, minute=0))
    client = await objects._opened()
    kept = await client.head_object(Bucket=name, Key=key)
    assert kept["ObjectLockMode"] == "COMPLIANCE"
    assert kept["ObjectLockRetainUntilDate"] >= NOW.replace(year=2033)
    with pytest.raises(ClientError, match="AccessDenied"):
        await client.delete_object(Bucket=name, Key=key, VersionId=kept["VersionId"])
    await objects.close()
