from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bloxtr8.sandbox.chain import LocalChain
from bloxtr8.sandbox.custodian import CustodianStandIn
from bloxtr8.sandbox.screening import ScreeningStandIn
from tests.integration.usdc.world import QUICK, Screens, World


@pytest.fixture
async def local() -> AsyncIterator[LocalChain]:
    chain = LocalChain()
    await chain.start()
    yield chain
    await chain.stop()


@pytest.fixture
async def world(local: LocalChain) -> AsyncIterator[World]:
    made = World(local)
    yield made
    await made.close()


@pytest.fixture
async def custodian(local: LocalChain) -> AsyncIterator[CustodianStandIn]:
    stand_in = CustodianStandIn(local.rpc_url)
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


@pytest.fixture
async def screening() -> AsyncIterator[ScreeningStandIn]:
    stand_in = ScreeningStandIn()
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


@pytest.fixture
async def screens(world: World, screening: ScreeningStandIn) -> AsyncIterator[Screens]:
    made = Screens(screening, world.clock, replace(QUICK, tries=1))
    yield made
    await made.close()
