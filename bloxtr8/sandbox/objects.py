"""An S3 store in memory: moto's server, on loopback in a thread of its own."""

import http.client
import logging

from pydantic import SecretStr

from bloxtr8.config import S3Settings

_WAIT_SECONDS = 5.0


class ObjectStandIn:
    """What an S3 store answers. `start()` and `stop()` block for a moment."""

    def __init__(self) -> None:
        # Takes a second, and only the sandbox has it.
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def bucket(self, name: str) -> S3Settings:
        """Make a bucket and return the settings for it."""
        host, port = self._server.get_host_and_port()
        connection = http.client.HTTPConnection(host, port, timeout=_WAIT_SECONDS)
        try:
            connection.request("PUT", f"/{name}")
            status = connection.getresponse().status
        finally:
            connection.close()
        if status != http.HTTPStatus.OK:
            raise RuntimeError(f"no bucket was made: {status}")
        return S3Settings(
            endpoint_url=f"http://{host}:{port}",
            region="us-east-1",
            bucket=name,
            access_key_id="sandbox",
            secret_access_key=SecretStr("sandbox"),
        )
