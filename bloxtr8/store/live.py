"""What changes for whom, told to this process as soon as it is committed.

Triggers notify one channel; every process hears all of it and passes on what its listeners
may know. A change is only named: whoever hears of it reads the thing itself, where it is judged
what they may see.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import InterfaceError

from bloxtr8 import telemetry
from bloxtr8.errors import Unavailable
from bloxtr8.store import database

CHANNEL = "bloxtr8_live"
LISTENERS_MAX = 2_000
LISTENERS_PER_SESSION_MAX = 5
WAITING_MAX = 200
_RETRY_S = 1.0
_CHECK_S = 30.0
_RETRY_AFTER_S = 10

_log = telemetry.get_logger(__name__)

# What of `$1` has changed since `$2`; `seq` rises with each change of a thing.
_MISSED = """
SELECT entity, id, seq, at FROM (
  SELECT 'escrow' AS entity, id, version AS seq, updated_at AS at FROM escrows
    WHERE buyer_id = $1 AND updated_at > $2
  UNION ALL SELECT 'escrow', id, version, updated_at FROM escrows
    WHERE seller_id = $1 AND updated_at > $2
  UNION ALL SELECT 'offer', id, version, updated_at FROM offers
    WHERE (buyer_id = $1 OR seller_id = $1) AND updated_at > $2
  UNION ALL SELECT 'contract', id, version, updated_at FROM contracts
    WHERE (buyer_id = $1 OR seller_id = $1) AND updated_at > $2
  UNION ALL SELECT 'listing', id, version, updated_at FROM listings
    WHERE seller_id = $1 AND updated_at > $2
  UNION ALL SELECT 'operation', id, (extract(epoch FROM updated_at) * 1000)::bigint, updated_at
    FROM operations WHERE requested_by = $1 AND created_at > $2 - interval '1 day'
    AND updated_at > $2
) changed ORDER BY at, entity, id LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class Change:
    """Something of a person's has changed. Without an id: too much has, look at everything."""

    entity: str
    id: str = ""
    seq: int = 0


EVERYTHING = Change("everything")


@dataclass(slots=True, eq=False)
class Listener:
    """One stream of a person's changes."""

    user_id: str
    session_id: str
    waiting: asyncio.Queue[Change] = field(default_factory=lambda: asyncio.Queue(WAITING_MAX))
    ended: bool = False

    def tell(self, change: Change) -> None:
        """Queue a change; when too many wait they become one: look at everything."""
        if self.waiting.full():
            while not self.waiting.empty():
                self.waiting.get_nowait()
            change = EVERYTHING
        self.waiting.put_nowait(change)


class Live:
    """The listeners of this process, over one connection that is open while there are any."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = {}
        self._count = 0
        self._task: asyncio.Task[None] | None = None
        self._hearing = asyncio.Event()

    @asynccontextmanager
    async def listener(self, user_id: str, session_id: str) -> AsyncIterator[Listener]:
        """Listen while the context is open; raises Unavailable when there are too many."""
        own = self._listeners.get(user_id, set())
        of_session = sum(1 for other in own if other.session_id == session_id)
        if self._count >= LISTENERS_MAX or of_session >= LISTENERS_PER_SESSION_MAX:
            raise Unavailable("Too many streams are open.", retry_after_s=_RETRY_AFTER_S)
        made = Listener(user_id, session_id)
        self._listeners.setdefault(user_id, set()).add(made)
        self._count += 1
        try:
            await self._listen()
            yield made
        finally:
            self._count -= 1
            left = self._listeners[user_id]
            left.discard(made)
            if not left:
                del self._listeners[user_id]

    async def close(self) -> None:
        """End every stream and the connection."""
        for listener in [one for group in self._listeners.values() for one in group]:
            listener.ended = True
            listener.tell(EVERYTHING)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        """Return once changes are heard; raises Unavailable when they are not in time."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(database.CONNECT_TIMEOUT_S):
                await self._hearing.wait()
        except TimeoutError:
            raise Unavailable(retry_after_s=_RETRY_AFTER_S) from None

    async def _run(self) -> None:
        heard_before = False
        while self._count:
            try:
                await self._hear(heard_before)
            except Exception as error:
                if not (database.is_transient(error) or isinstance(error, InterfaceError)):
                    raise
                _log.warning("live_unheard", error=type(error).__name__)
            finally:
                heard_before = heard_before or self._hearing.is_set()
                self._hearing.clear()
            if self._count:
                await asyncio.sleep(_RETRY_S)

    async def _hear(self, heard_before: bool) -> None:
        """Pass on what is said until the connection is lost or nobody listens."""
        connection = await database.connect()
        lost = asyncio.Event()
        connection.add_termination_listener(lambda *_: lost.set())
        try:
            await connection.add_listener(CHANNEL, self._said)
            self._hearing.set()
            if heard_before:
                # Not before: what was said while nobody heard would be missed for good.
                self._tell_all(EVERYTHING)
            while self._count and not lost.is_set():
                try:
                    async with asyncio.timeout(_CHECK_S):
                        await lost.wait()
                except TimeoutError:
                    await connection.execute("SELECT 1", timeout=database.CONNECT_TIMEOUT_S)
        finally:
            if not connection.is_closed():
                await connection.close(timeout=database.CONNECT_TIMEOUT_S)

    def _said(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        entity, thing_id, seq, *people = json.loads(payload)
        change = Change(entity, thing_id, seq)
        for user_id in {person for person in people if person is not None}:
            for listener in self._listeners.get(user_id, ()):
                listener.tell(change)

    def _tell_all(self, change: Change) -> None:
        for group in self._listeners.values():
            for listener in group:
                listener.tell(change)


async def missed(user_id: UUID, since: datetime) -> list[Change]:
    """Return what has changed since a moment, in order; EVERYTHING when that is too much."""
    rows = await database.fetch(_MISSED, user_id, since, WAITING_MAX)
    if len(rows) == WAITING_MAX:
        return [EVERYTHING]
    return [Change(row["entity"], str(row["id"]), row["seq"]) for row in rows]
