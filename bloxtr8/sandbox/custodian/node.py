"""The custodian's own way to the chain: a few JSON-RPC calls, and the faucet for fees."""

from typing import Any

import aiohttp

_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=3)


class NodeError(Exception):
    """The node did not answer, or said no."""


class Node:
    def __init__(self, rpc_url: str) -> None:
        self._url = rpc_url
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(self, method: str, *params: Any) -> Any:
        """Raises NodeError."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = await self._post(self._url, body)
        if "error" in answer:
            raise NodeError(str(answer["error"].get("message", "")))
        return answer["result"]

    async def give_gas(self, address: str, wei: int) -> None:
        """Raises NodeError."""
        await self._post(f"{self._url}/sandbox/faucet", {"to": address, "wei": wei})

    async def _post(self, url: str, body: Any) -> Any:
        assert self._session is not None, "the node was started"
        try:
            async with self._session.post(url, json=body) as response:
                return await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise NodeError(type(error).__name__) from None
