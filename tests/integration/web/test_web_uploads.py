"""Uploads that broke off, sent again while others clean up after them."""

from datetime import timedelta
from typing import IO, Any

from bloxtr8.disputes import files
from bloxtr8.store import database
from bloxtr8.store.objects import ObjectStore
from tests.integration.web.test_web_disputes import PNG, send
from tests.integration.web.world import World


class Swept:
    """A file store beside which another process sweeps as soon as a file has arrived."""

    def __init__(self, objects: ObjectStore, world: World) -> None:
        self._objects = objects
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)

    async def put(self, key: str, body: bytes | IO[bytes], *, content_type: str) -> None:
        await self._objects.put(key, body, content_type=content_type)
        await files.EvidenceFiles(self._objects, self._world.clock).sweep()


async def test_a_sweep_leaves_alone_what_is_being_sent_again(world: World) -> None:
    trade, deps = await world.disputed(), world.deps
    buyer = trade.buyer_person
    assert (await send(world, trade, buyer, PNG)).status == 201
    # The process ended between the store and the answer; it is sent again an hour later.
    async with database.transaction() as tx:
        await tx.execute("UPDATE evidence_files SET stored_at = NULL")
    world.clock.advance(files.ABANDONED_AFTER + timedelta(seconds=1))
    buyer = await world.again(buyer)
    deps.evidence._objects = Swept(deps.objects, world)  # type: ignore[assignment]
    answer = await send(world, trade, buyer, PNG)
    assert answer.status == 201, await answer.text()
    (sent,) = await answer.json()
    seen = await (await world.get(f"{trade.path}/dispute", buyer)).json()
    assert [file["id"] for file in seen["evidence"]] == [sent["id"]]
    key = f"evidence/{trade.escrow_id}/{sent['id']}"
    assert await deps.objects.get(key, bytes_max=1_000) == PNG
