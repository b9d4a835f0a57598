"""Running seeds, and saying which one broke an invariant."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable

import structlog

from tests.sim.checks import Checks
from tests.sim.escrow_worker import Broken
from tests.sim.world import World


def quiet() -> None:
    """Refusals, crashes and repetitions are meant here; their log lines would fill the disk."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


def run_seed(seed: int, *, trace: bool = False) -> World:
    """Run one seed and check it; raises AssertionError that names the seed."""
    world = World(seed, print if trace else None)
    try:
        asyncio.run(world.run())
        Checks(world).all()
    except (Exception, Broken) as error:
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    return world


def run_seeds(seeds: Iterable[int]) -> Counter[str]:
    """Run all of `seeds`; return how often what happened."""
    happened: Counter[str] = Counter()
    for seed in seeds:
        happened.update(run_seed(seed).happened)
    return happened
