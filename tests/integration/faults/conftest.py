from collections.abc import Iterator

import pytest
import structlog

from tests.sim.run import quiet


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    quiet()
    yield
    structlog.configure(**before)
