"""Bytes that are no text, and texts that no database takes."""

import asyncio

import pytest

from bloxtr8.access import StaffRole
from bloxtr8.store import database
from tests.integration.web.world import World, problem


async def _status(world: World, head: bytes, body: bytes = b"") -> int:
    """Send a request as it stands and return the answer's status."""
    server = world.client.server
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        lines = (head, b"Host: x", b"Connection: close", b"Content-Length: %d" % len(body))
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        async with asyncio.timeout(30):
            answer = await reader.read()
    finally:
        writer.close()
    return int(answer.split()[1])


async def test_a_browser_may_call_itself_anything(world: World) -> None:
    someone = await world.person()
    head = b"\r\n".join(
        (
            b"POST /api/v1/me/export HTTP/1.1",
            b"Content-Type: application/json",
            b"User-Agent: Navigateur \xe9l\xe9gant",
            b"Authorization: Bearer " + someone.token.encode(),
        )
    )
    assert await _status(world, head, b"{}") == 202
    (row,) = await database.fetch("SELECT user_agent FROM audit_log")
    assert row["user_agent"] == "Navigateur ?l?gant"


@pytest.mark.parametrize(
    "path", ["staff/users?q=%00", "staff/audit?subject=a%00", "listings?q=%00"]
)
async def test_what_no_text_can_hold_is_not_found(world: World, path: str) -> None:
    answer = await world.get(f"/api/v1/{path}", await world.person(StaffRole.SUPPORT))
    assert (answer.status, (await answer.json())["items"]) == (200, [])


async def test_no_guild_is_called_that(world: World) -> None:
    answer = await world.get("/api/v1/guilds/%00/stats", await world.person())
    await problem(answer, 404, "not_found")


async def test_a_field_whose_name_is_no_text(world: World) -> None:
    trade = await world.held()
    field = b'--x\r\nContent-Disposition: form-data; name="k\xff"\r\n\r\n1\r\n'
    head = b"\r\n".join(
        (
            b"POST " + trade.path.encode() + b"/evidence HTTP/1.1",
            b"Content-Type: multipart/form-data; boundary=x",
            b"Authorization: Bearer " + trade.buyer_person.token.encode(),
        )
    )
    assert await _status(world, head, field * 2 + b"--x--\r\n") == 422
