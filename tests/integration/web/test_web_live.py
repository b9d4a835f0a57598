"""The stream of one's own changes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientResponse

from bloxtr8.store import database, live
from tests.integration.web.world import Someone, World, problem
from web.deps import DEPS

PATH = "/api/v1/me/events"
WAIT_S = 60.0


@asynccontextmanager
async def _stream(world: World, who: Someone, **headers: str) -> AsyncIterator[ClientResponse]:
    answer = await world.get(
        PATH, who, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )
    assert answer.status == 200, await answer.text()
    try:
        await _line(answer, ": listening")
        yield answer
    finally:
        answer.close()


async def _line(answer: ClientResponse, start: str) -> str:
    async with asyncio.timeout(WAIT_S):
        while True:
            line = (await answer.content.readline()).decode().rstrip("\n")
            if line.startswith(start):
                return line


async def _change(answer: ClientResponse) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((await _line(answer, "data: "))[6:])
    return document


async def test_both_parties_hear_of_their_trade_and_nobody_else_does(world: World) -> None:
    buyer, seller, outsider = [await world.person() for _ in range(3)]
    async with (
        _stream(world, buyer) as of_buyer,
        _stream(world, seller) as of_seller,
        _stream(world, outsider) as of_outsider,
    ):
        assert of_buyer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert of_buyer.headers["Cache-Control"] == "no-store"
        assert of_buyer.headers["X-Content-Type-Options"] == "nosniff"
        trade = await world.trade(buyer, seller)
        for answer in (of_buyer, of_seller):
            heard = [await _change(answer), await _change(answer)]
            named = {(change["entity"], change["id"]) for change in heard}
            assert named == {("contract", trade.contract_id), ("escrow", trade.escrow_id)}
        other = await world.trade(outsider, seller)
        heard = [await _change(of_outsider) for _ in range(2)]
        assert {c["id"] for c in heard} == {other.contract_id, other.escrow_id}


async def test_who_returns_hears_what_was_missed(world: World) -> None:
    trade = await world.trade()
    buyer = trade.buyer_person
    async with _stream(world, buyer) as answer:
        trade.pay()
        await trade.mirror()
        last = (await _line(answer, "id: "))[4:]
    world.clock.advance(timedelta(seconds=30))
    trade.deliver()
    await trade.mirror()
    buyer = await world.again(buyer)
    version = (await (await world.get(trade.path, buyer)).json())["version"]
    async with _stream(world, buyer, Last_Event_ID=last) as answer:
        seen = [await _change(answer)]
        while seen[-1]["seq"] != version:
            seen.append(await _change(answer))
    assert seen[-1] == {"entity": "escrow", "id": trade.escrow_id, "seq": version}


async def test_who_was_away_for_long_is_told_to_look_at_everything(world: World) -> None:
    who = await world.person()
    before = str(int((world.clock.now() - timedelta(hours=2)).timestamp() * 1000))
    async with _stream(world, who, Last_Event_ID=before) as answer:
        assert await _change(answer) == {"entity": "everything", "id": None, "seq": 0}


async def test_a_last_event_id_of_others_is_refused(world: World) -> None:
    who = await world.person()
    for given in ("x", "-1", "9" * 15, "٣"):
        answer = await world.get(PATH, who, headers={"Last-Event-ID": given})
        await problem(answer, 400, "bad_header")


async def test_a_session_has_five_streams_at_most(world: World) -> None:
    who = await world.person()
    open_ones = []
    try:
        for _ in range(live.LISTENERS_PER_SESSION_MAX):
            open_ones.append(await world.get(PATH, who))
        refused = await world.get(PATH, who)
        document = await problem(refused, 503, "unavailable")
        assert document["retry_after_s"] == 10
    finally:
        for answer in open_ones:
            answer.close()


async def test_streams_end_with_the_server(world: World) -> None:
    who = await world.person()
    async with _stream(world, who) as answer:
        application = world.client.server.app  # type: ignore[attr-defined]
        await application[DEPS].live.close()
        async with asyncio.timeout(WAIT_S):
            assert (await answer.content.read()).strip() == b""


async def test_too_many_waiting_changes_become_one(world: World) -> None:
    listener = live.Listener("somebody", "session")
    for number in range(live.WAITING_MAX + 1):
        listener.tell(live.Change("escrow", "1", number))
    assert listener.waiting.get_nowait() == live.EVERYTHING
    assert listener.waiting.empty()


class Ending:
    """A connection whose server ends while it is asked whether it is there."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, *_asked: Any, **_options: Any) -> None:
        raise asyncpg.AdminShutdownError("terminating connection due to administrator command")


async def test_streams_go_on_when_the_server_ends_in_the_middle_of_a_check(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, made = database.connect, []

    async def connected() -> Any:
        made.append(await connect())
        return made[-1] if len(made) > 1 else Ending(made[-1])

    monkeypatch.setattr(database, "connect", connected)
    monkeypatch.setattr(live, "_CHECK_S", 0.1)
    monkeypatch.setattr(live, "_RETRY_S", 0.1)
    buyer = await world.person()
    async with _stream(world, buyer) as answer:
        assert (await _change(answer))["entity"] == "everything", "something may have been missed"
        trade = await world.trade(buyer)
        heard = await _change(answer)
        while heard["entity"] == "everything":
            heard = await _change(answer)
        assert heard["id"] in (trade.contract_id, trade.escrow_id)
