"""Which keys that a caller presses reach the model."""

from collections import deque
from enum import StrEnum
from typing import Final

__all__ = ["MAX_DIGITS_PER_S", "DigitGate", "DigitOutcome"]

MAX_DIGITS_PER_S: Final = 20
"""More than a telephone can send: a tone and the pause behind it take about 40 ms
each. Source: ITU-T Q.24."""

_DIGITS = frozenset("0123456789*#ABCD")


class DigitOutcome(StrEnum):
    """What becomes of a key; labels of a metric."""

    DELIVERED = "delivered"
    UNUSABLE = "unusable"
    """Not a key of a telephone."""
    FLOOD = "flood"


class DigitGate:
    """Lets through what is a key, up to `MAX_DIGITS_PER_S` in any second."""

    def __init__(self) -> None:
        self._delivered_at: deque[float] = deque(maxlen=MAX_DIGITS_PER_S)

    def check(self, digit: str, *, now: float) -> DigitOutcome:
        """Return what becomes of *digit*, pressed at *now* (monotonic s)."""
        if digit not in _DIGITS:
            return DigitOutcome.UNUSABLE
        times = self._delivered_at
        if len(times) == MAX_DIGITS_PER_S and now - times[0] < 1.0:
            return DigitOutcome.FLOOD
        times.append(now)
        return DigitOutcome.DELIVERED
