"""Speech of one channel as it is received: in order, each frame once, never late.

The sender's side is `backhaul.core.redundancy`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from backhaul.core.frames import SEQUENCE_MODULUS, Frame

__all__ = ["MAX_WAITING", "MAX_WAIT_S", "AudioReceiver", "ChannelCounters"]

MAX_WAIT_S: Final = 0.040
"""Longest that speech waits for what should come before it (s)."""
MAX_WAITING: Final = 64
"""Most frames of one channel that wait; 1.3 s of speech, far more than MAX_WAIT_S."""


@dataclass(slots=True)
class ChannelCounters:
    """What became of the frames of channels."""

    frames_doubled: int = 0
    """Copies that were not needed, and frames that came too late."""
    frames_missing: int = 0
    """Frames that nobody waits for any more."""


class AudioReceiver:
    """Puts the audio frames of one channel in order, each of them once.

    Frames come from datagrams and from streams, and from more than one link when the
    channel moves. A frame waits at most MAX_WAIT_S for those before it.

    Attributes:
        next: Sequence number of the frame whose turn it is.
        missing: Frames that nobody waits for any more.
    """

    __slots__ = ("_counters", "_waiting", "missing", "next")

    def __init__(self, counters: ChannelCounters) -> None:
        self.next = 0
        self.missing = 0
        self._counters = counters
        self._waiting: dict[int, tuple[Frame, float]] = {}
        """By sequence, with the time at which it waits no longer."""

    def take_next(self, frame: Frame) -> bool:
        """Take *frame* if it is its turn and no other waits; tell whether it was so."""
        if frame.sequence != self.next or self._waiting:
            return False
        self.next = (frame.sequence + 1) % SEQUENCE_MODULUS
        return True

    def receive(self, frame: Frame, *, now: float) -> Sequence[Frame]:
        """Take *frame* and return those whose turn it is, in order."""
        if frame.sequence == self.next:
            self.next = (frame.sequence + 1) % SEQUENCE_MODULUS
            return (frame, *self._release()) if self._waiting else (frame,)
        if self._ahead(frame.sequence) >= SEQUENCE_MODULUS // 2:
            self._counters.frames_doubled += 1
            return ()
        if frame.sequence in self._waiting:
            self._counters.frames_doubled += 1
            return ()
        self._waiting[frame.sequence] = (frame, now + MAX_WAIT_S)
        if len(self._waiting) > MAX_WAITING:
            return self._skip_to(self._in_order()[:1])
        return ()

    def has_all_before(self, number: int) -> bool:
        """Tell whether nothing is missing before the frame with this *number*."""
        return not 0 < self._ahead(number) < SEQUENCE_MODULUS // 2

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called, None when it does not."""
        if not self._waiting:
            return None
        return min(until for _, until in self._waiting.values())

    def expire(self, *, now: float) -> Sequence[Frame]:
        """Return the frames that have waited long enough at *now*, in order."""
        order = self._in_order()
        due = [number for number in order if self._waiting[number][1] <= now]
        return self._skip_to(order[: order.index(due[-1]) + 1]) if due else ()

    def flush(self) -> Sequence[Frame]:
        """Return the frames that still wait, in order."""
        return self._skip_to(self._in_order())

    def _ahead(self, number: int) -> int:
        return (number - self.next) % SEQUENCE_MODULUS

    def _in_order(self) -> list[int]:
        # What waits has come before the half of all numbers that lies ahead.
        return sorted(self._waiting, key=self._ahead)

    def _skip_to(self, numbers: list[int]) -> list[Frame]:
        out: list[Frame] = []
        for number in numbers:
            self.missing += self._ahead(number)
            self._counters.frames_missing += self._ahead(number)
            out.append(self._waiting.pop(number)[0])
            self.next = (number + 1) % SEQUENCE_MODULUS
        return out + self._release()

    def _release(self) -> list[Frame]:
        out: list[Frame] = []
        while (kept := self._waiting.pop(self.next, None)) is not None:
            out.append(kept[0])
            self.next = (self.next + 1) % SEQUENCE_MODULUS
        return out
