from collections.abc import AsyncIterator

import pytest

from tests.integration.wire.recorder import Recorder, recording


@pytest.fixture
async def provider() -> AsyncIterator[Recorder]:
    async with recording() as recorder:
        yield recorder
