"""Speech in datagrams, as it is received: in order, each frame once, never late.

The sender's side is `backhaul.core.redundancy`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from backhaul.core.frames import SEQUENCE_MODULUS, Frame

__all__ = ["MAX_WAITING", "MAX_WAIT_S", "AudioReceiver"]

MAX_WAIT_S: Final = 0.040
"""Longest that speech waits for what should come before it (s)."""
MAX_WAITING: Final = 64
"""Most frames of one call that wait; 1.3 s of speech, far more than MAX_WAIT_S."""

_IDLE_S: Final = 30.0


@dataclass(slots=True)
class _Incoming:
    """What one call's receiver remembers."""

    used_at: float
    next: int = 0
    waiting: dict[int, tuple[Frame, float]] = field(
        default_factory=dict[int, tuple[Frame, float]]
    )
    """By sequence, with the time at which it waits no longer."""


class AudioReceiver:
    """Puts the audio frames of one link in order, each of them once.

    Frames come from datagrams, and from streams where they were too large or too early
    for a datagram. A frame waits at most MAX_WAIT_S for those before it.

    Attributes:
        frames_doubled: Copies that were not needed, and frames that came too late.
    """

    def __init__(self) -> None:
        self.frames_doubled = 0
        self._calls: dict[int, _Incoming] = {}
        self._holding: dict[int, _Incoming] = {}
        self._swept_at = 0.0

    def receive(self, frames: Sequence[Frame], *, now: float) -> list[Frame]:
        """Take *frames* and return those whose turn it is, in order."""
        out: list[Frame] = []
        for frame in frames:
            call = self._calls.get(frame.channel)
            if call is None:
                call = self._calls[frame.channel] = _Incoming(now)
            call.used_at = now
            if frame.sequence == call.next:
                call.next = (call.next + 1) % SEQUENCE_MODULUS
                out.append(frame)
                if call.waiting:
                    self._release(frame.channel, call, out)
            else:
                self._keep(frame, call, out, now=now)
        if now - self._swept_at > _IDLE_S:
            self._sweep(now)
        return out

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called, None when it does not."""
        return min(
            (
                until
                for call in self._holding.values()
                for _, until in call.waiting.values()
            ),
            default=None,
        )

    def expire(self, *, now: float) -> list[Frame]:
        """Return the frames that have waited long enough at *now*, in order."""
        out: list[Frame] = []
        for channel, call in list(self._holding.items()):
            # What waits has come before the half of all numbers that lies ahead.
            order = sorted(call.waiting, key=lambda number: _ahead(number, call.next))
            due = [number for number in order if call.waiting[number][1] <= now]
            if due:
                self._skip_to(order[: order.index(due[-1]) + 1], channel, call, out)
        return out

    def _keep(
        self, frame: Frame, call: _Incoming, out: list[Frame], *, now: float
    ) -> None:
        ahead = _ahead(frame.sequence, call.next)
        if ahead >= SEQUENCE_MODULUS // 2 or frame.sequence in call.waiting:
            self.frames_doubled += 1
            return
        call.waiting[frame.sequence] = (frame, now + MAX_WAIT_S)
        self._holding[frame.channel] = call
        if len(call.waiting) > MAX_WAITING:
            order = sorted(call.waiting, key=lambda number: _ahead(number, call.next))
            self._skip_to(order[:1], frame.channel, call, out)

    def _skip_to(
        self, numbers: list[int], channel: int, call: _Incoming, out: list[Frame]
    ) -> None:
        for number in numbers:
            out.append(call.waiting.pop(number)[0])
            call.next = (number + 1) % SEQUENCE_MODULUS
        self._release(channel, call, out)

    def _release(self, channel: int, call: _Incoming, out: list[Frame]) -> None:
        while (kept := call.waiting.pop(call.next, None)) is not None:
            out.append(kept[0])
            call.next = (call.next + 1) % SEQUENCE_MODULUS
        if not call.waiting:
            self._holding.pop(channel, None)

    def _sweep(self, now: float) -> None:
        self._swept_at = now
        for channel, call in list(self._calls.items()):
            if now - call.used_at > _IDLE_S and not call.waiting:
                del self._calls[channel]


def _ahead(number: int, start: int) -> int:
    return (number - start) % SEQUENCE_MODULUS
