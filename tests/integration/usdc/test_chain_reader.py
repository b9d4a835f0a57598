"""The chain as reconciliation reads it, whatever others send to our wallets."""

from types import ModuleType

import pytest

from bloxtr8.payments.reconciliation.chain_reader import ChainReader
from bloxtr8.payments.reconciliation.model import ProviderSilent
from bloxtr8.payments.usdc import chain as chains
from bloxtr8.sandbox.chain import rpc
from tests.integration.usdc.world import World


@pytest.mark.parametrize(("module", "limit"), [(rpc, "LOGS_MAX"), (chains, "_LOGS_MAX")])
async def test_a_flood_of_transfers_is_read_in_smaller_parts(
    world: World, monkeypatch: pytest.MonkeyPatch, module: ModuleType, limit: str
) -> None:
    sent = [world.pay(world.hot, 20_000 + extra, wallet="mallory") for extra in range(9)]
    world.mine(1)
    monkeypatch.setattr(module, limit, 5)
    reader = ChainReader(world.prover, world.network, 200)
    pages = reader.moved_by([world.hot], 0, world.local.chain.head.number)
    found = [transfer.tx_hash async for page in pages for transfer in page]
    assert found == sent


async def test_more_than_can_be_read_of_one_block_is_silence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.pay(world.hot, 20_000)
    monkeypatch.setattr(chains, "_LOGS_MAX", 0)
    reader = ChainReader(world.prover, world.network, 200)
    with pytest.raises(ProviderSilent):
        async for _ in reader.moved_by([world.hot], 0, world.local.chain.head.number):
            pass
