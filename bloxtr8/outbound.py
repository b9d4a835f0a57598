"""HTTP to providers: one connection pool, no redirects, a time-out and a largest answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

ANSWER_BYTES_MAX = 1024 * 1024
CONNECT_S = 2.0
TOTAL_S = 5.0
_CONNECTIONS_MAX = 20
_CHUNK_BYTES = 16 * 1024
_USER_AGENT = "Bloxtr8"


class Unreachable(Exception):
    """There was no whole answer: no connection, a time-out, or more than we read."""


class Unreadable(Exception):
    """The answer is not the JSON that it should be."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. `form` is sent as application/x-www-form-urlencoded, `document` as JSON."""

    method: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    form: str | None = None
    document: Any = None


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    def object(self) -> dict[str, Any]:
        """Return the body as a JSON object; raises Unreadable."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            raise Unreadable("the answer is not JSON") from None
        if not isinstance(value, dict):
            raise Unreadable("the answer is not an object")
        return value


class Outbound:
    """Asks providers. Made anywhere, used in one event loop, closed by its owner."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, ask: Ask, *, total_s: float = TOTAL_S) -> Answer:
        """Return the provider's answer, whatever its status; raises Unreachable."""
        timeout = aiohttp.ClientTimeout(total=total_s, connect=min(CONNECT_S, total_s))
        headers = dict(ask.headers)
        body: bytes | None = None
        if ask.form is not None:
            body = ask.form.encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif ask.document is not None:
            body = json.dumps(ask.document).encode()
            headers["Content-Type"] = "application/json"
        try:
            async with self._opened().request(
                ask.method,
                ask.url,
                params=dict(ask.params),
                headers=headers,
                data=body,
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                names = {name.lower(): value for name, value in answer.headers.items()}
                return Answer(answer.status, names, await _read(answer))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # The type only: an error's text may hold the address, and that a code.
            raise Unreachable(type(error).__name__) from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS_MAX),
                headers={"User-Agent": _USER_AGENT, "Accept": "application/json"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise Unreachable("the answer is too large")
    return bytes(body)
