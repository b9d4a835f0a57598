"""Heads of the audit chain outside of the database: whoever rewrites the log cannot rewrite these.

Each names the last link before a full hour, so that every worker writes the same bytes.
"""

from datetime import datetime, timedelta

from bloxtr8.clock import Clock
from bloxtr8.store import audit_chain
from bloxtr8.store.canonical import canonical_json
from bloxtr8.store.objects import ObjectMissing, ObjectStore

KEPT = timedelta(days=7 * 366)
_BYTES_MAX = 4_096


class ChainHeads:
    """Writes a head once an hour. Several at once do no harm."""

    def __init__(self, objects: ObjectStore, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._written = ""

    async def write(self) -> int:
        """Write the head of the hour that has ended last; return 1 if that was still to do.

        Raises UpstreamUnavailable.
        """
        now = self._clock.now()
        hour = now.replace(minute=0, second=0, microsecond=0)
        key = key_of(hour)
        if key == self._written:
            return 0
        head = await audit_chain.head_before(hour)
        if head is None:
            return 0
        done = 0
        if not await self._is_there(key):
            body = canonical_json(
                {
                    "seq": head["seq"],
                    "hash": head["hash"].hex(),
                    "sealed_at": head["sealed_at"],
                    "before": hour,
                }
            )
            content_type = "application/json"
            await self._objects.put(key, body, content_type=content_type, locked_until=hour + KEPT)
            done = 1
        self._written = key
        return done

    async def _is_there(self, key: str) -> bool:
        try:
            await self._objects.get(key, bytes_max=_BYTES_MAX)
        except ObjectMissing:
            return False
        return True


def key_of(hour: datetime) -> str:
    """Return where the head before a full hour is."""
    return f"audit/heads/{hour:%Y-%m-%dT%H}Z.json"
