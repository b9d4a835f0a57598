"""Files in an S3 store: put, read, handed out by links that end soon, deleted."""

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime
from typing import IO, Any
from urllib.parse import quote

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from bloxtr8.config import S3Settings
from bloxtr8.errors import UpstreamUnavailable

LINK_SECONDS = 60
_CONNECTIONS_MAX = 20
_ATTEMPTS_MAX = 3
_CHUNK_BYTES = 64 * 1024
_FAILURES = (BotoCoreError, ClientError, TimeoutError, OSError)


class ObjectMissing(Exception):
    """There is nothing under that key."""


class ObjectTooLarge(Exception):
    """The file is larger than the caller is willing to read."""


class ObjectStore:
    """One bucket. Made anywhere, used in one event loop, closed by its owner.

    Every method raises UpstreamUnavailable when the store does not answer or refuses.
    """

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._undo = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._client: Any = None
        self._signer: Any = None

    async def put(
        self,
        key: str,
        body: bytes | IO[bytes],
        *,
        content_type: str,
        locked_until: datetime | None = None,
    ) -> None:
        """Store `body` under `key`; what was there is replaced.

        `locked_until`: nobody can delete or change this version before, where the bucket can lock.
        """
        client = await self._opened()
        lock = _lock(locked_until) if locked_until and self._settings.object_lock else {}
        try:
            await client.put_object(
                Bucket=self._settings.bucket, Key=key, Body=body, ContentType=content_type, **lock
            )
        except _FAILURES as error:
            raise _unavailable(error) from error

    async def get(self, key: str, *, bytes_max: int) -> bytes:
        """Return the whole file; raises ObjectMissing, ObjectTooLarge."""
        client = await self._opened()
        try:
            answer = await client.get_object(Bucket=self._settings.bucket, Key=key)
            stream = answer["Body"]
            async with stream:
                return await _read(stream, bytes_max)
        except _FAILURES as error:
            if _is_missing(error):
                raise ObjectMissing(key) from error
            raise _unavailable(error) from error

    async def presign(
        self, key: str, *, filename: str, content_type: str, seconds: int = LINK_SECONDS
    ) -> str:
        """Return an address that hands out the file as an attachment for so many seconds."""
        assert 0 < seconds <= 24 * 3600
        await self._opened()
        link: str = await self._signer.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._settings.bucket,
                "Key": key,
                "ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(filename)}",
                "ResponseContentType": content_type,
                "ResponseCacheControl": "no-store",
            },
            ExpiresIn=seconds,
        )
        return link

    async def delete(self, key: str) -> None:
        """Delete the file; nothing happens where none is."""
        client = await self._opened()
        try:
            await client.delete_object(Bucket=self._settings.bucket, Key=key)
        except _FAILURES as error:
            raise _unavailable(error) from error

    async def close(self) -> None:
        self._client = self._signer = None
        await self._undo.aclose()

    async def _opened(self) -> Any:
        async with self._opening:
            if self._client is None:
                ours, public = self._settings.endpoint_url, self._settings.public_url
                client = await self._open(ours)
                # A link's signature covers the host, so browsers' address needs its own client.
                self._signer = await self._open(public) if public else client
                self._client = client
        return self._client

    async def _open(self, endpoint: str) -> Any:
        settings = self._settings
        return await self._undo.enter_async_context(
            aioboto3.Session().client(
                "s3",
                endpoint_url=endpoint or None,
                region_name=settings.region,
                aws_access_key_id=settings.access_key_id or None,
                aws_secret_access_key=settings.secret_access_key.get_secret_value() or None,
                config=_config(settings, own_host=bool(endpoint)),
            )
        )


def _lock(until: datetime) -> dict[str, Any]:
    # Stores take a lock only with a checksum of what is locked.
    return {
        "ObjectLockMode": "COMPLIANCE",
        "ObjectLockRetainUntilDate": until,
        "ChecksumAlgorithm": "SHA256",
    }


def _config(settings: S3Settings, *, own_host: bool) -> AioConfig:
    return AioConfig(
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.timeout_s,
        max_pool_connections=_CONNECTIONS_MAX,
        retries={"total_max_attempts": _ATTEMPTS_MAX, "mode": "standard"},
        signature_version="s3v4",
        # Stores other than Amazon's know neither names of buckets as hosts nor new checksums.
        s3={"addressing_style": "path" if own_host else "virtual"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


async def _read(stream: Any, bytes_max: int) -> bytes:
    body = bytearray()
    while chunk := await stream.read(_CHUNK_BYTES):
        body += chunk
        if len(body) > bytes_max:
            raise ObjectTooLarge
    return bytes(body)


def _is_missing(error: BaseException) -> bool:
    if not isinstance(error, ClientError):
        return False
    return error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404", "NotFound")


def _unavailable(error: BaseException) -> UpstreamUnavailable:
    # Only the cause says more: an error's text may hold the file's address.
    return UpstreamUnavailable(f"The file store does not answer ({type(error).__name__}).")
