"""A stream of one's own changes (server-sent events)."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

from aiohttp import web

from bloxtr8.errors import BadHeader
from bloxtr8.store import live
from bloxtr8.store.live import Change, Listener
from web.call import Call
from web.routes import Reply, Route, Who
from web.system_answers import ChangeOut

_BEAT_S = 15.0
_LONGEST_S = 600.0
_RETRY_MS = 3_000
# Commits may become visible a little after the moment that they carry.
_OVERLAP = timedelta(seconds=10)
# Older than any stream is kept; the client looks at everything then.
_REMEMBERED = timedelta(hours=1)
_DIGITS_MAX = 15


async def events(call: Call) -> Reply:
    """Names each thing of the caller's that has changed: `{entity, id, seq}`.

    Entities: escrow, offer, contract, listing, operation, notice; `everything` when too much has
    changed to be named. Read the thing itself then. A comment comes every 15 seconds, the stream
    ends after ten minutes; return with `Last-Event-ID` to hear what was missed.
    """
    since = _since(call)
    caller = call.caller
    async with call.deps.live.listener(caller.user_id, caller.session_id) as listener:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )
        # Listening has begun: what is missed from here on is in the queue.
        earlier = await _earlier(call, since)
        await response.prepare(call.request)
        with contextlib.suppress(ConnectionError):
            await response.write(f"retry: {_RETRY_MS}\n: listening\n\n".encode())
            for change in earlier:
                await response.write(_event(call, change))
            await _follow(call, response, listener)
            await response.write_eof()
    return Reply(response)


async def _follow(call: Call, response: web.StreamResponse, listener: Listener) -> None:
    loop = asyncio.get_running_loop()
    # No longer than the caller's token is good for.
    ends_at = call.caller.expires_at or call.now
    end = loop.time() + min(_LONGEST_S, (ends_at - call.now).total_seconds())
    while not listener.ended and loop.time() < end:
        wait_s = min(_BEAT_S, max(0.01, end - loop.time()))
        try:
            async with asyncio.timeout(wait_s):
                change = await listener.waiting.get()
        except TimeoutError:
            await response.write(b": beat\n\n")
            continue
        if not listener.ended:
            await response.write(_event(call, change))


async def _earlier(call: Call, since: datetime | None) -> list[Change]:
    if since is None:
        return []
    if call.now - since > _REMEMBERED:
        return [live.EVERYTHING]
    return await live.missed(UUID(call.caller.user_id), since - _OVERLAP)


def _since(call: Call) -> datetime | None:
    """Return the moment in Last-Event-ID; raises BadHeader when it is none of ours."""
    given = call.request.headers.get("Last-Event-ID")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= _DIGITS_MAX):
        raise BadHeader("Last-Event-ID is not one of ours.")
    with contextlib.suppress(ValueError, OverflowError):
        return datetime.fromtimestamp(int(given) / 1000, UTC)
    raise BadHeader("Last-Event-ID is not one of ours.")


def _event(call: Call, change: Change) -> bytes:
    moment_ms = int(call.deps.clock.now().timestamp() * 1000)
    data = json.dumps({"entity": change.entity, "id": change.id or None, "seq": change.seq})
    return f"id: {moment_ms}\nevent: change\ndata: {data}\n\n".encode()


ROUTES = (
    Route(
        "GET",
        "/api/v1/me/events",
        events,
        Who.USER,
        "Hear of one's own changes",
        answer=ChangeOut,
        content="text/event-stream",
        stream=True,
    ),
)
