"""What the relay of an emulated path tells its owner, and the orders it takes."""

import math
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from lab.path_rules import Conditions, Drop

__all__ = [
    "Failed",
    "Lateness",
    "LineReport",
    "Order",
    "PathReport",
    "Ready",
    "Side",
    "Tally",
]

Side = Literal["a", "b"]
"""One end of a path."""

_BUCKET_US: Final = 10
_BUCKETS: Final = 2000
"""Lateness is counted up to 20 ms; beyond, only the largest is known."""


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Conditions from now on, by the end that packets leave; the rest stays."""

    number: int
    conditions: dict[Side, Conditions]


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The path carries."""

    namespaces: dict[Side, str]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The path could not be made."""

    reason: str


class LineReport(msgspec.Struct, frozen=True):
    """What happened so far to what left one end."""

    taken: int
    """Packets read from the end's device."""
    delivered: int
    lost: int
    blocked: int
    queue_full: int
    refused: int
    """Packets the other end's device did not take; 0 unless something is wrong."""
    overflowed: int
    """Packets the kernel dropped before the relay; 0 unless it was overloaded."""
    late_p50_us: float
    """From the time of arrival decided on until the packet was handed over (us)."""
    late_p99_us: float
    late_max_us: float


class PathReport(msgspec.Struct, frozen=True, tag="report"):
    """Both directions, by the end that packets leave, and what the relay cost."""

    number: int
    """Of the order that it answers."""
    lines: dict[Side, LineReport]
    cpu_s: float
    """Process time of the relay, kernel work for both ends included (s)."""


class Lateness:
    """Percentiles of a duration in constant memory, to 10 microseconds."""

    def __init__(self) -> None:
        self._counts = [0] * (_BUCKETS + 1)
        self._largest_s = 0.0
        self._total = 0

    def add(self, late_s: float) -> None:
        """Count one duration (s)."""
        self._counts[min(int(late_s * 1e6 / _BUCKET_US), _BUCKETS)] += 1
        self._largest_s = max(self._largest_s, late_s)
        self._total += 1

    @property
    def largest_us(self) -> float:
        """The largest one (us)."""
        return round(self._largest_s * 1e6, 1)

    def percentile_us(self, percent: float) -> float:
        """Return the nearest-rank percentile (us), rounded up; 0 of nothing."""
        rank = max(math.ceil(percent / 100 * self._total), 1)
        seen = 0
        for bucket, count in enumerate(self._counts[:_BUCKETS]):
            seen += count
            if seen >= rank:
                return min(float((bucket + 1) * _BUCKET_US), self.largest_us)
        return self.largest_us


@dataclass(slots=True)
class Tally:
    """Counts of one direction."""

    taken: int = 0
    delivered: int = 0
    refused: int = 0
    dropped: dict[Drop, int] = field(default_factory=lambda: dict.fromkeys(Drop, 0))
    lateness: Lateness = field(default_factory=Lateness)

    def report(self, overflowed: int) -> LineReport:
        """Return the counts so far."""
        return LineReport(
            taken=self.taken,
            delivered=self.delivered,
            lost=self.dropped[Drop.LOST],
            blocked=self.dropped[Drop.BLOCKED],
            queue_full=self.dropped[Drop.QUEUE_FULL],
            refused=self.refused,
            overflowed=overflowed,
            late_p50_us=self.lateness.percentile_us(50),
            late_p99_us=self.lateness.percentile_us(99),
            late_max_us=self.lateness.largest_us,
        )
