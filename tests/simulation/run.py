"""Plays many worlds: ``python -m tests.simulation.run --seeds 100000``.

Exits with 1 if anything was violated in any of them; each is printed with its seed,
and ``--seed N`` plays one again and prints all that happened in it.
"""

import argparse
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterator

from backhaul.clock import monotonic_s
from tests.simulation.world import World

_CHUNK = 50


def play_one(seed: int) -> tuple[int, tuple[str, ...]]:
    """Return *seed* and what was violated."""
    try:
        return seed, tuple(World(seed).play().checker.violations)
    except Exception as exc:  # noqa: BLE001 - the seed must be known, whatever it was
        return seed, (f"{type(exc).__name__}: {exc}",)


def play_all(
    first: int, count: int, processes: int
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield every seed and what was violated, in order."""
    seeds = range(first, first + count)
    with multiprocessing.Pool(processes) as pool:
        yield from pool.imap(play_one, seeds, chunksize=_CHUNK)


def show(seed: int) -> int:
    """Print what happens in one world."""
    world = World(seed).play()
    for line in world.log:
        sys.stdout.write(" ".join(map(str, line)) + "\n")
    sys.stdout.write(f"digest {world.digest}, {world.clock.steps} steps\n")
    return int(bool(world.checker.violations))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    if given.seed is not None:
        return show(given.seed)
    began_at, bad, kinds = monotonic_s(), 0, Counter[str]()
    for seed, violations in play_all(given.first, given.seeds, given.processes):
        if violations:
            bad += 1
            kinds.update(dict.fromkeys(violations, 1))
            sys.stdout.write(f"seed {seed}: {', '.join(violations)}\n")
    took_s = monotonic_s() - began_at
    per_s = given.seeds / took_s
    sys.stdout.write(f"{given.seeds} seeds in {took_s:.0f} s, {per_s:.0f} a second\n")
    for kind, count in kinds.most_common():
        sys.stdout.write(f"{count} x {kind}\n")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
