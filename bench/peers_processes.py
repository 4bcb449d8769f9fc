"""What processes cost, read from /proc: processor time and resident memory."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from peers_bed import FailedRunError

__all__ = ["Cost", "cost_of"]

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_KB: Final = os.sysconf("SC_PAGE_SIZE") / 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process and its children have used so far, and hold now."""

    cpu_s: float
    rss_kb: float


def cost_of(roles: Mapping[str, Sequence[int]]) -> dict[str, Cost]:
    """Return for each role what its processes, by id, and their children cost.

    Raises:
        FailedRunError: If one of them is gone.
    """
    stats = dict(_all_stats())
    for role, pids in roles.items():
        if not stats.keys() >= set(pids):
            raise FailedRunError(f"a process is gone: {role}")
    return {role: _sum(pids, stats) for role, pids in roles.items()}


@dataclass(frozen=True, slots=True)
class _Stat:
    parent: int
    cpu_s: float
    """User and system time of all threads, ended ones included."""
    rss_kb: float


def _sum(pids: Sequence[int], stats: Mapping[int, _Stat]) -> Cost:
    costs = [_cost(pid, stats) for pid in pids]
    cpu_s = sum(cost.cpu_s for cost in costs)
    return Cost(cpu_s, sum(cost.rss_kb for cost in costs))


def _cost(pid: int, stats: Mapping[int, _Stat]) -> Cost:
    own = stats[pid]
    children = [one for one, stat in stats.items() if stat.parent == pid]
    of_children = _sum(children, stats)
    return Cost(own.cpu_s + of_children.cpu_s, own.rss_kb + of_children.rss_kb)


def _all_stats() -> Iterator[tuple[int, _Stat]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # From the third field on; the second one may hold anything.
            fields = path.read_text().rpartition(")")[2].split()
            ticks = int(fields[11]) + int(fields[12])
            rss_kb = int(fields[21]) * _PAGE_KB
            stat = _Stat(int(fields[1]), ticks / _TICKS_PER_S, rss_kb)
            yield int(path.parent.name), stat
