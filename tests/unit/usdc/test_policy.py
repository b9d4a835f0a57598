import pytest

from bloxtr8.config import BaseChainSettings
from bloxtr8.payments.usdc.networks import CANONICAL_USDC, Network
from bloxtr8.payments.usdc.policy import DepthPolicy, View

POLICY = DepthPolicy(((1_000, 1), (50_000, 12)))


@pytest.mark.parametrize(
    ("block", "amount", "view", "deep"),
    [
        (100, 1_000, View(100, 50), True),
        (100, 1_000, View(99, 50), False),
        (100, 1_001, View(110, 50), False),
        (100, 1_001, View(111, 50), True),
        (100, 50_001, View(10_000, 99), False),
        (100, 50_001, View(10_000, 100), True),
        (100, 50_000, View(101, 100), True),
        # A node that calls more final than it has seen is believed in neither.
        (100, 50_001, View(99, 100), False),
    ],
)
def test_depth_by_amount(block: int, amount: int, view: View, deep: bool) -> None:
    assert POLICY.is_deep(block, amount, view) is deep


def test_by_default_everything_waits_until_it_is_final() -> None:
    assert DepthPolicy.of(BaseChainSettings()).blocks(1) is None


def test_settings_name_the_steps() -> None:
    policy = DepthPolicy.of(BaseChainSettings(depths=["1000:1", "50000:12"]))
    assert policy == POLICY


@pytest.mark.parametrize("text", ["", "1000", "a:1", "1000:", "-1:2", "1.5:2"])
def test_steps_in_another_shape_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        DepthPolicy.of(BaseChainSettings(depths=[text]))


@pytest.mark.parametrize("steps", [((5, 1), (4, 2)), ((5, 0),)])
def test_policy_that_makes_no_sense(steps: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(AssertionError):
        DepthPolicy(steps)


def test_known_chains_have_one_usdc() -> None:
    for chain_id, address in CANONICAL_USDC.items():
        assert Network.of(BaseChainSettings(chain_id=chain_id)).usdc == address
        with pytest.raises(ValueError):
            Network.of(BaseChainSettings(chain_id=chain_id, usdc_address="0x" + "11" * 20))
    with pytest.raises(ValueError):
        Network.of(BaseChainSettings(chain_id=5))
    local = Network.of(BaseChainSettings(chain_id=5, usdc_address="0x" + "AB" * 20))
    assert local.usdc == "0x" + "ab" * 20
