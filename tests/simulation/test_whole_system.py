"""Whole fabrics on a virtual clock: whatever goes wrong, no call is lost by it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.broken import BROKEN
from tests.simulation.run import play_one
from tests.simulation.world import World

ROOT = Path(__file__).parents[2]
SEEDS = 2000
"""Worlds that every change has to survive; `make sim` plays many more."""
CHUNK = 250


@pytest.mark.timeout(240)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_is_violated_in_any_world(first: int) -> None:
    played = (play_one(seed) for seed in range(first, first + CHUNK))
    violated = {seed: violations for seed, violations in played if violations}
    assert violated == {}, "python -m tests.simulation.run --seed N shows what happened"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("broken", BROKEN)
def test_a_machine_that_is_broken_is_found(broken: str) -> None:
    machines, violation = BROKEN[broken]
    assert any(
        violation in World(seed, machines).play().checker.violations
        for seed in range(SEEDS)
    )


@pytest.mark.parametrize("seed", [3, 62, 394])
def test_a_seed_plays_the_same_world_in_every_process(seed: int) -> None:
    digests = {World(seed).play().digest, World(seed).play().digest}
    command = (
        "from tests.simulation.world import World; "
        f"print(World({seed}).play().digest, end='')"
    )
    for hash_seed in ("1", "2"):
        played = subprocess.run(  # noqa: S603
            [sys.executable, "-c", command],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
        )
        digests.add(played.stdout)
    assert len(digests) == 1


def test_worlds_are_not_all_alike() -> None:
    worlds = [World(seed).play() for seed in range(150)]
    assert len({world.digest for world in worlds}) == len(worlds)
    happened = {kind for world in worlds for kind in world.faults.happened}
    assert happened == set(World(0).faults.kinds)
    calls = [carrier.call for world in worlds for carrier in world.carriers]
    assert sum(call is not None and call.machine.moves > 0 for call in calls) > 50
