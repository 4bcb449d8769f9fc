"""How what the peer sends on a link arrives: what is lost, and how late the rest is.

Every batch carries a stamp: its number, and the sender's clock. Gaps between numbers
are loss on the way here; a stamp's delay beyond the shortest one is lateness, and needs
no clocks that agree.
"""

import struct
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import add
from typing import Final

from backhaul.core.messages import Receipt
from backhaul.errors import RemoteProtocolError

__all__ = ["ArrivalEstimator", "pack_stamp", "unpack_stamp"]

_TICKS_PER_S: Final = 10_000
"""Resolution of a stamp's clock, which wraps at 2**32 ticks (5 days)."""
_STAMP: Final = struct.Struct("!I")
_CLOCK_MODULUS: Final = 1 << 32
_WINDOW_S: Final = 10.0
"""Figures are of the last one or two windows (s): short, since clocks drift apart."""
_BRIEF_S: Final = 0.6
"""Loss that sets in is seen in the last one or two of these (s) ..."""
_BRIEF_COUNT: Final = 40
"""... once so many batches should have come: fewer say nothing of a share ..."""
_SUDDEN_LOSS: Final = 0.1
"""... and is told if it is at least this; the rest is a matter of the long windows."""
_BOUNDS_S: Final = tuple(
    bound / 1000
    for bound in (0.5, 1, 2, 3, 5, 8, 12, 20, 30, 45, 70, 100, 150, 250, 500, 1000)
)
_LONGEST_S: Final = 2.0


def pack_stamp(now: float) -> bytes:
    """Return the payload of a stamp made at *now* (s)."""
    return _STAMP.pack(_ticks(now))


def unpack_stamp(payload: bytes) -> int:
    """Return the sender's clock in a stamp, in its own ticks.

    Raises:
        RemoteProtocolError: If it is no stamp.
    """
    if len(payload) != _STAMP.size:
        raise RemoteProtocolError("stamp of a wrong size")
    ticks: int = _STAMP.unpack(payload)[0]
    return ticks


@dataclass(slots=True)
class _Count:
    """What came of the batches of some time."""

    began_at: float
    first: int
    highest: int
    arrived: int = 0

    def add(self, number: int) -> None:
        self.arrived += 1
        self.highest = max(self.highest, number)

    @property
    def sent(self) -> int:
        return self.highest - self.first + 1


@dataclass(slots=True)
class _Window(_Count):
    shortest: int = 0
    late: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS_S) + 1))


class ArrivalEstimator:
    """Takes the stamps of one link.

    Source of the loss: RFC 3550, appendix A.3, with numbers that do not wrap in the
    life of a link.
    """

    def __init__(self) -> None:
        self._present: _Window | None = None
        self._past: _Window | None = None
        self._brief: _Count | None = None
        self._brief_past: _Count | None = None

    def on_stamp(self, number: int, ticks: int, *, now: float) -> None:
        """Take note of the stamp on a batch that has just arrived."""
        delay = _signed(_ticks(now) - ticks)
        window = self._window(number, delay, now)
        window.add(number)
        self._brief_count(number, now).add(number)
        window.shortest = min(window.shortest, delay)
        late_s = (delay - self._shortest(window)) / _TICKS_PER_S
        window.late[bisect_left(_BOUNDS_S, late_s)] += 1

    def receipt(self) -> Receipt | None:
        """Return how things arrive lately, None before anything did."""
        present, past = self._present, self._past
        if present is None:
            return None
        windows, arrived, late = [present], present.arrived, present.late
        if past is not None:
            windows.append(past)
            arrived += past.arrived
            late = list(map(add, past.late, late))
        return Receipt(
            loss=max(_loss(windows), self._sudden_loss()),
            late_p50_s=_late(late, 0.50 * arrived),
            late_p99_s=_late(late, 0.99 * arrived),
        )

    def _window(self, number: int, delay: int, now: float) -> _Window:
        window = self._present
        if window is not None and now - window.began_at < _WINDOW_S:
            return window
        # What overtook the turn of a window must not count as lost in the next one.
        first = number if window is None else min(window.highest + 1, number)
        opened = _Window(now, first, number, shortest=delay)
        self._past, self._present = window, opened
        return opened

    def _brief_count(self, number: int, now: float) -> _Count:
        brief = self._brief
        if brief is not None and now - brief.began_at < _BRIEF_S:
            return brief
        first = number if brief is None else min(brief.highest + 1, number)
        opened = _Count(now, first, number)
        self._brief_past, self._brief = brief, opened
        return opened

    def _sudden_loss(self) -> float:
        """Return the loss of this moment, 0 if it is nothing out of the common."""
        counts = [one for one in (self._brief_past, self._brief) if one is not None]
        if sum(one.sent for one in counts) < _BRIEF_COUNT:
            return 0.0
        loss = _loss(counts)
        return loss if loss >= _SUDDEN_LOSS else 0.0

    def _shortest(self, window: _Window) -> int:
        past = self._past
        return window.shortest if past is None else min(past.shortest, window.shortest)


def _ticks(now: float) -> int:
    return int(now * _TICKS_PER_S) % _CLOCK_MODULUS


def _loss(counts: Sequence[_Count]) -> float:
    sent = sum(count.sent for count in counts)
    return max(1.0 - sum(count.arrived for count in counts) / sent, 0.0)


def _late(counts: list[int], wanted: float) -> float:
    """Return the bound below which *wanted* of the arrivals lie."""
    for bound_s, count in zip(_BOUNDS_S, counts, strict=False):
        wanted -= count
        if wanted <= 0:
            return bound_s
    return _LONGEST_S


def _signed(ticks: int) -> int:
    half = _CLOCK_MODULUS // 2
    return (ticks + half) % _CLOCK_MODULUS - half
