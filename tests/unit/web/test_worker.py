"""What a worker's web server answers to."""

from pathlib import Path

import pytest

from app import make_app
from bloxtr8.config import KeysSettings, Settings
from bloxtr8.messaging.signatures import Keyring
from web.application import ROUTES
from web.routes import Route
from web.views import internal, system


@pytest.mark.parametrize(
    ("role", "routes"), [("all", ROUTES), ("agents", (*system.ROUTES, *internal.ROUTES))]
)
async def test_every_address_of_a_worker_is_one_of_ours(
    tmp_path: Path, role: str, routes: tuple[Route, ...]
) -> None:
    settings = Settings(data_dir=tmp_path, keys=KeysSettings(directory=tmp_path / "keys"))
    settings.role = role  # type: ignore[assignment]
    worker = make_app(settings, keyring=Keyring.load(tmp_path / "keys", create=True))
    # As the engine does once everything is registered.
    worker.web.init_server()
    served = {
        f"{route.method} {route.resource.canonical}"
        for route in worker.web.web_app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert served == {route.name for route in routes}
