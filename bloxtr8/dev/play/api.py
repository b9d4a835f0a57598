"""The HTTP API as a person's client uses it."""

import asyncio
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp

if TYPE_CHECKING:
    from bloxtr8.dev.play.people import Person

JSON = dict[str, Any]

_TIMEOUT = aiohttp.ClientTimeout(total=35, connect=3)
# How long a worker may be away (killed, restarting) before a client gives up.
_AWAY_SECONDS_MAX = 60.0
_AWAY_POLL_SECONDS = 0.2
_ANSWERS_TO_REPEAT = frozenset({429, 502, 503, 504})


class ApiProblem(Exception):
    """The API refused; `code` is the problem document's."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code


class Api:
    """A client of one origin. It repeats what did not get through, with the same key."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._http = aiohttp.ClientSession(timeout=_TIMEOUT)

    async def close(self) -> None:
        await self._http.close()

    async def get(self, path: str, caller: "Person") -> JSON:
        """Return the JSON at `path` (below /api/v1); raises ApiProblem."""
        return await self._send("GET", path, caller, None, {})

    async def post(self, path: str, caller: "Person", body: JSON | None = None) -> JSON:
        """Send a change under a new idempotency key; return the answer; raises ApiProblem."""
        return await self._send("POST", path, caller, body, {"Idempotency-Key": str(uuid4())})

    async def act(self, path: str, caller: "Person", body: JSON | None = None) -> JSON:
        """`post` a change of an escrow and wait for its outcome; raises ApiProblem."""
        operation = await self.post(path, caller, body)
        until = time.monotonic() + _AWAY_SECONDS_MAX
        while operation["status"] in ("ACCEPTED", "SENT") and time.monotonic() < until:
            operation = await self.get(f"/operations/{operation['id']}?wait=5", caller)
        if operation["status"] == "REJECTED":
            error = operation.get("error") or {}
            raise ApiProblem(409, str(error.get("code")), str(error.get("detail")))
        return operation

    async def _send(
        self, method: str, path: str, caller: "Person", body: JSON | None, headers: JSON
    ) -> JSON:
        until = time.monotonic() + _AWAY_SECONDS_MAX
        while True:
            bearer = {"Authorization": f"Bearer {await caller.token()}"}
            try:
                async with self._http.request(
                    method, f"{self._origin}/api/v1{path}", json=body, headers=headers | bearer
                ) as answer:
                    if answer.status < 400:
                        result: JSON = await answer.json()
                        return result
                    if answer.status not in _ANSWERS_TO_REPEAT or time.monotonic() > until:
                        raise await _problem(answer)
            except (aiohttp.ClientError, TimeoutError):
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(_AWAY_POLL_SECONDS)


async def _problem(answer: aiohttp.ClientResponse) -> ApiProblem:
    try:
        document = await answer.json(content_type=None)
        return ApiProblem(answer.status, str(document["code"]), str(document.get("detail")))
    except (ValueError, KeyError, TypeError):
        return ApiProblem(answer.status, "unknown", (await answer.text())[:200])
