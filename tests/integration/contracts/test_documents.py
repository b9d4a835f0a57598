"""Making documents while things break: the file store, the drawing, the process."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from aiohttp import web
from pydantic import SecretStr

from agents.contracts import ContractsAgent
from bloxtr8.config import S3Settings
from bloxtr8.contracts.desk import Desk
from bloxtr8.contracts.paper import pdf
from bloxtr8.contracts.paper.renderer import Renderer
from bloxtr8.contracts.paper.sheet import NotDrawn
from bloxtr8.contracts.paper.wordings import TemplateChanged
from bloxtr8.contracts.vault import Vault, key_of
from bloxtr8.dev import process
from bloxtr8.errors import ContractNotReady, UpstreamUnavailable
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.handling import Delivery
from bloxtr8.store import database
from bloxtr8.store.objects import ObjectStore
from proto.bloxtr8.contracts.v1.contracts_pb2 import ContractEvent
from tests.integration.contracts.world import ContractWorld, Deal
from tests.unit.contracts.sheets import sheet

MINUTE = timedelta(minutes=1)


@asynccontextmanager
async def _store(world: ContractWorld, s3: S3Settings) -> AsyncIterator[tuple[Desk, Vault]]:
    objects = ObjectStore(s3)
    vault = Vault(objects, world.clock)
    renderer = Renderer(seconds_max=60.0)
    try:
        yield Desk(world.place, vault, renderer, "https://bloxtr8.example"), vault
    finally:
        await renderer.close()
        await objects.close()


def _nowhere(port: int) -> S3Settings:
    return S3Settings(
        endpoint_url=f"http://127.0.0.1:{port}",
        access_key_id="sandbox",
        secret_access_key=SecretStr("sandbox"),
        connect_timeout_s=0.2,
        timeout_s=0.2,
    )


@asynccontextmanager
async def _slow_store() -> AsyncIterator[S3Settings]:
    """A store that takes the file and never answers."""
    stopped = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        await request.read()
        await stopped.wait()
        return web.Response(status=503)

    application = web.Application(client_max_size=10**8)
    application.router.add_route("*", "/{path:.*}", never)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    port = process.free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield _nowhere(port)
    finally:
        stopped.set()
        await runner.cleanup()


async def test_another_wording_of_a_released_version_is_not_drawn(
    world: ContractWorld, s3: S3Settings
) -> None:
    now = world.clock.now()
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO contract_templates (version, source_sha256, active_from)"
            " VALUES ('v1', $1, $2)",
            bytes(32),
            now,
        )
    async with _store(world, s3) as (desk, _vault):
        with pytest.raises(TemplateChanged):
            await desk.run()


async def test_without_the_file_store_it_waits_and_then_goes_on(world: ContractWorld) -> None:
    deal = await world.agreed()
    async with _store(world, _nowhere(process.free_port())) as (desk, _):
        assert await desk.work() == 1
        # Put off, not spun on.
        assert await desk.work() == 0
    assert (await world.contract(deal))["pdf_sha256"] is None
    with pytest.raises(ContractNotReady):
        await world.sign(deal.buyer, deal, b"\0" * 32)
    world.later(MINUTE)
    assert await world.desk.work() == 1
    row = await world.contract(deal)
    await world.vault.check(deal.id, row["pdf_sha256"])
    assert row["sign_deadline_at"] == world.clock.now() + timedelta(hours=72)


async def test_a_file_store_that_never_answers_is_given_up_on(world: ContractWorld) -> None:
    deal = await world.ready()
    waiting = await world.agreed()
    async with _slow_store() as s3, _store(world, s3) as (desk, vault):
        assert await desk.work() == 1
        with pytest.raises(UpstreamUnavailable):
            await vault.link(deal.row, deal.sha256)
    assert (await world.contract(waiting))["pdf_sha256"] is None


async def test_staff_hear_of_a_document_that_does_not_come(world: ContractWorld) -> None:
    deal = await world.agreed()
    world.later(15 * MINUTE - timedelta(seconds=1))
    assert await world.sweeper.report_late() == 0
    world.later(timedelta(seconds=1))
    assert await world.sweeper.report_late() == 1
    assert await world.sweeper.report_late() == 0
    assert await world.desk.work() == 1
    rows = await database.fetch("SELECT kind, subject_id, status, outcome FROM staff_tasks")
    assert rows == [
        {
            "kind": "RENDER_FAILED",
            "subject_id": str(deal.id),
            "status": "CLOSED",
            "outcome": "RENDERED",
        }
    ]


async def test_a_crash_between_drawing_and_storing_is_made_up_for(world: ContractWorld) -> None:
    deal = await world.agreed()

    class Crash(BaseException):
        pass

    class DyingVault(Vault):
        async def keep(self, contract_id: object, document: bytes) -> bytes:
            raise Crash

    dying = Desk(
        world.place,
        DyingVault(world.objects, world.clock),
        world.desk._renderer,
        "https://bloxtr8.example",
    )
    with pytest.raises(Crash):
        await dying.work()
    # Another has it in hand, as far as anybody knows; then its lease is over.
    assert await world.desk.work() == 0
    world.later(MINUTE)
    assert await world.desk.work() == 1
    row = await world.contract(deal)
    await world.vault.check(deal.id, row["pdf_sha256"])


async def test_a_crash_between_storing_and_noting_gives_the_same_document(
    world: ContractWorld,
) -> None:
    deal = await world.agreed()
    kept: list[bytes] = []

    class Crash(BaseException):
        pass

    class LastGasp(Vault):
        async def keep(self, contract_id: object, document: bytes) -> bytes:
            kept.append(await super().keep(deal.id, document))
            raise Crash

    dying = Desk(
        world.place,
        LastGasp(world.objects, world.clock),
        world.desk._renderer,
        "https://bloxtr8.example",
    )
    with pytest.raises(Crash):
        await dying.work()
    world.later(MINUTE)
    await world.desk.work()
    assert (await world.contract(deal))["pdf_sha256"] == kept[0]
    assert await world.objects.get(key_of(deal.id, kept[0]), bytes_max=10**7)


async def test_a_contract_that_cannot_be_drawn_does_not_stop_others(world: ContractWorld) -> None:
    broken, whole = await world.agreed(), await world.agreed()
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE contracts SET terms = terms - 'law', render_due_at = render_due_at"
            " - interval '1 hour' WHERE id = $1",
            broken.id,
        )
    assert await world.desk.work() == 2
    assert (await world.contract(broken))["pdf_sha256"] is None
    assert (await world.contract(whole))["pdf_sha256"] is not None


def _agent(world: ContractWorld) -> ContractsAgent:
    # It needs its app for executed contracts only.
    return ContractsAgent(cast(BloxtrApp, None), world.desk)


async def test_asking_again_and_again_makes_one_document(world: ContractWorld) -> None:
    deal = await world.agreed()
    row = await database.fetchrow(
        "SELECT payload FROM outbox WHERE event_type = 'contract_requested'"
    )
    assert row is not None
    request = ContractEvent.FromString(row["payload"])
    made = 0
    for attempt in range(3):
        delivery = Delivery("contracts.events.v1", 0, attempt, request.contract_id.encode())
        await _agent(world).handle(request, delivery)
        made += await world.desk.work()
    assert made == 1
    deal = replace(deal, row=await world.contract(deal))
    assert (await world.contract(deal))["pdf_sha256"] == deal.sha256
    assert (await world.audited(deal.id)).count("contract.rendered") == 1


async def test_what_was_called_off_meanwhile_stays_so(world: ContractWorld) -> None:
    deal = await world.agreed()
    await world.call_off(deal.buyer, deal)
    assert await world.desk.work() == 0
    assert (await world.contract(deal))["pdf_sha256"] is None


async def _made(world: ContractWorld, deal: Deal) -> None:
    # Only the row tells.
    while (await world.contract(deal))["pdf_sha256"] is None:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def test_a_worker_makes_what_is_due_by_itself(world: ContractWorld) -> None:
    deal = await world.agreed()
    running = asyncio.create_task(world.desk.run())
    try:
        async with asyncio.timeout(60):
            await _made(world, deal)
            late = await world.agreed()
            world.desk.nudge()
            await _made(world, late)
    finally:
        running.cancel()
    templates = await database.fetch("SELECT version FROM contract_templates")
    assert templates == [{"version": "v1"}]


@pytest.fixture
def _uncollected() -> Iterator[None]:
    """Nothing of the tests before is tidied up while work is measured."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_uncollected")
async def test_the_event_loop_goes_on_while_a_document_is_drawn(renderer: Renderer) -> None:
    await renderer.draw(sheet())
    long = sheet(conditions="漢字かな交じり文。" * 600)
    stretches: list[float] = []

    async def tick() -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.thread_time()
            stretches.append(now - last)
            last = now

    ticking = asyncio.create_task(tick())
    await renderer.draw(long)
    ticking.cancel()
    pdf.draw(sheet())
    before = time.thread_time()
    pdf.draw(long)
    work = time.thread_time() - before
    # Work, not time: a busy machine may keep this loop waiting, but drawing in it would be one
    # stretch of nearly all the work there is.
    assert len(stretches) > 10
    assert max(stretches) < work / 2


async def test_a_drawing_that_hangs_or_dies_is_replaced() -> None:
    renderer = Renderer(seconds_max=0.01)
    try:
        # Nobody starts a process and loads typefaces in ten milliseconds.
        with pytest.raises(NotDrawn, match="TimeoutError"):
            await renderer.draw(sheet())
        renderer._seconds_max = 60.0
        first = await renderer.draw(sheet())
        assert renderer._pool is not None
        (child,) = renderer._pool._processes.values()
        child.kill()
        child.join(60)
        with pytest.raises(NotDrawn, match="BrokenProcessPool"):
            await renderer.draw(sheet())
        assert await renderer.draw(sheet()) == first
    finally:
        await renderer.close()
