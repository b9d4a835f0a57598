"""Where documents lie: under their hash, and looked at again before anybody is shown one."""

import hashlib
from collections import OrderedDict
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from bloxtr8.clock import Clock
from bloxtr8.contracts.paper.sheet import BYTES_MAX
from bloxtr8.contracts.rows import Row
from bloxtr8.errors import ContractIntegrity
from bloxtr8.store.objects import ObjectMissing, ObjectStore, ObjectTooLarge
from bloxtr8.telemetry import CONTRACTS_BROKEN

CONTENT_TYPE = "application/pdf"
CHECKED_FOR = timedelta(minutes=15)
_CHECKED_MAX = 10_000

_log = structlog.get_logger(__name__)


def key_of(contract_id: UUID, sha256: bytes) -> str:
    """Return where the document with that hash lies."""
    return f"contracts/{contract_id}/{sha256.hex()}.pdf"


class Vault:
    """The documents in an object store. Owns nothing: whoever made the store closes it."""

    def __init__(self, objects: ObjectStore, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._checked: OrderedDict[str, datetime] = OrderedDict()

    async def keep(self, contract_id: UUID, document: bytes) -> bytes:
        """Store a document and return its SHA-256; raises UpstreamUnavailable."""
        digest = hashlib.sha256(document).digest()
        await self._objects.put(key_of(contract_id, digest), document, content_type=CONTENT_TYPE)
        return digest

    async def check(self, contract_id: UUID, sha256: bytes) -> None:
        """Hash the stored document again, unless that was done within 15 minutes.

        Raises ContractIntegrity, UpstreamUnavailable.
        """
        key, now = key_of(contract_id, sha256), self._clock.now()
        checked = self._checked.get(key)
        if checked is not None and now - checked < CHECKED_FOR:
            return
        try:
            stored = await self._objects.get(key, bytes_max=BYTES_MAX)
        except (ObjectMissing, ObjectTooLarge):
            stored = b""
        if hashlib.sha256(stored).digest() != sha256:
            CONTRACTS_BROKEN.inc()
            _log.error("contract_integrity", contract_id=str(contract_id))
            raise ContractIntegrity
        self._checked[key] = now
        self._checked.move_to_end(key)
        if len(self._checked) > _CHECKED_MAX:
            self._checked.popitem(last=False)

    async def link(self, row: Row, sha256: bytes) -> str:
        """Return the address of a checked document, good for a minute."""
        await self.check(row["id"], sha256)
        return await self._objects.presign(
            key_of(row["id"], sha256), filename=f"{row['ref']}.pdf", content_type=CONTENT_TYPE
        )
