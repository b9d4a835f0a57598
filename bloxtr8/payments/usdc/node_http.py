"""JSON-RPC over HTTP to one node: connections that are kept, answers that have a limit.

The library's own provider opens a connection for each question, which costs a TLS handshake each,
and reads answers of any length.
"""

from typing import Any

import aiohttp
from web3 import AsyncHTTPProvider
from web3.types import RPCEndpoint, RPCResponse

ANSWER_BYTES_MAX = 32 * 1024 * 1024
# Below what servers usually keep an idle connection for, so that none is used as it is closed.
_IDLE_S = 4.0
_JSON = {"Content-Type": "application/json"}


class NodeHttp(AsyncHTTPProvider):
    """`make_request` raises aiohttp.ClientError, TimeoutError and ValueError; repeats nothing."""

    def __init__(self, url: str, timeout: aiohttp.ClientTimeout) -> None:
        super().__init__(url, exception_retry_configuration=None)
        self._url = url
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        asked = self.encode_rpc_request(method, params)
        async with self._open().post(self._url, data=asked, headers=_JSON) as response:
            response.raise_for_status()
            raw = bytearray()
            async for part in response.content.iter_any():
                raw += part
                if len(raw) > ANSWER_BYTES_MAX:
                    raise ValueError("an answer longer than anybody can read")
        return self.decode_rpc_response(bytes(raw))

    async def disconnect(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        # Made with the first request: a session belongs to the loop that runs it.
        if self._session is None:
            connector = aiohttp.TCPConnector(keepalive_timeout=_IDLE_S)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self._session
