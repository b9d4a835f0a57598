"""Reading an escrow's record from whichever worker owns it."""

import hmac
from datetime import datetime

import aiohttp
from google.protobuf.message import DecodeError

from bloxtr8.access.tokens import TokenKeys
from bloxtr8.errors import Unavailable
from proto.bloxtr8.escrow.v1 import record_pb2 as record
from web.deps import Deps

HEADER = "X-Bloxtr8-Peer"
PATH = "/internal/escrows/{escrow_id}"
_VALID_SECONDS = 60
_TIMEOUT = aiohttp.ClientTimeout(total=5, connect=2)
_RECORD_BYTES_MAX = 4 * 1024 * 1024


async def read_record(deps: Deps, escrow_id: str) -> record.EscrowRecord | None:
    """Return the owner's record, None when there is none; raises Unavailable when nobody knows."""
    owner = deps.process.escrow_owner(escrow_id)
    if owner is not None:
        return await _ask(deps, owner, escrow_id)
    return local_record(deps, escrow_id)


def local_record(deps: Deps, escrow_id: str) -> record.EscrowRecord | None:
    """Return this process's record; raises Unavailable while its table is being recovered."""
    if not deps.process.health().get("recovery", False):
        raise Unavailable(retry_after_s=1)
    return deps.process.escrow_record(escrow_id)


def proof(keys: TokenKeys, escrow_id: str, now: datetime) -> str:
    """Return the header by which workers, who share the key directory, know each other."""
    seconds = str(int(now.timestamp()))
    return f"{seconds}.{keys.mac('peer', escrow_id, seconds).hex()}"


def is_proof(keys: TokenKeys, escrow_id: str, header: str, now: datetime) -> bool:
    """Tell whether `header` was made for this escrow within the last minute."""
    seconds, _, given = header.partition(".")
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 12):
        return False
    expected = keys.mac("peer", escrow_id, seconds).hex()
    recent = abs(now.timestamp() - int(seconds)) <= _VALID_SECONDS
    return recent and hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


async def _ask(deps: Deps, owner: str, escrow_id: str) -> record.EscrowRecord | None:
    headers = {HEADER: proof(deps.tokens.keys, escrow_id, deps.clock.now())}
    url = owner + PATH.format(escrow_id=escrow_id)
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as client,
            client.get(url, headers=headers, allow_redirects=False) as answer,
        ):
            if answer.status == 404:
                return None
            if answer.status != 200:
                raise Unavailable(retry_after_s=1)
            raw = await answer.content.read(_RECORD_BYTES_MAX)
            return record.EscrowRecord.FromString(raw)
    except (TimeoutError, aiohttp.ClientError, DecodeError):
        raise Unavailable("The worker that has this trade does not answer.") from None
