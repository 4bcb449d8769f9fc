"""When a process reads callers and its links send: one clock for all of them."""

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Final

from backhaul.clock import monotonic_s
from backhaul.core.arrival import pack_stamp
from backhaul.core.flush_tick import FlushTick
from backhaul.core.frames import (
    LINK_CHANNEL,
    MAX_BATCH_BYTES,
    Frame,
    FrameKind,
    encoded_bytes,
)

__all__ = ["Batch", "Batcher"]

_LATE_S: Final = 0.02
"""A frame that was held for longer than it lasts is late (s)."""


_AUDIO: Final = FrameKind.AUDIO


class Batcher:
    """Has the links of one process flush together, and sets no timer when idle.

    All links share it, since what makes waiting worth while is the work of the whole
    process.

    Attributes:
        tick: How long frames wait; it is told of every frame that passes.
        sent: Frames that were sent.
        late: Those of them that this process held for 20 ms and more.
    """

    def __init__(self) -> None:
        self.tick = FlushTick(now=monotonic_s())
        self.sent = 0
        self.late = 0
        self._loop = asyncio.get_running_loop()
        self._first: list[Callable[[], None]] = []
        self._waiting: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._soon_at = math.inf

    def on_sent(self, frames: int, *, waited_s: float) -> None:
        """Count *frames*, the first of which waited for *waited_s* (s)."""
        self.tick.passed(frames)
        self.sent += frames
        if waited_s > _LATE_S:
            self.late += frames

    def due(self, flush: Callable[[], None]) -> None:
        """Call *flush* once with the next tick, or at the end of this turn."""
        if self._wind():
            self._waiting.append(flush)
        else:
            self._loop.call_soon(flush)

    def due_first(self, read: Callable[[], None]) -> bool:
        """Call *read* once with the next tick; what it makes due leaves with that.

        Returns:
            Whether there is a tick: an idle process has none, and calls nothing.
        """
        if not self._wind():
            return False
        self._first.append(read)
        return True

    def seize(self) -> None:
        """Flush now if the tick is half over: the process is awake anyway.

        To wake a process costs more than to send a batch, so two sides that talk to
        each other fall into step: each answers when it has heard, and needs no timer.
        """
        if self._timer is not None and monotonic_s() >= self._soon_at:
            self._timer.cancel()
            self._tick()

    def _wind(self) -> bool:
        """Set the timer unless it is set; tell whether there is a tick to wait for."""
        if self._timer is None:
            # uvloop rounds timers to whole milliseconds, as the tick is anyway.
            now = monotonic_s()
            wait_s = self.tick.wait_s(now=now)
            if not wait_s:
                return False
            self._soon_at = now + wait_s / 2
            self._timer = self._loop.call_later(wait_s, self._tick)
        return True

    def _tick(self) -> None:
        self._timer = None
        first, self._first = self._first, []
        self._call_all(first)
        waiting, self._waiting = self._waiting, []
        self._call_all(waiting)

    def _call_all(self, due: Iterable[Callable[[], None]]) -> None:
        for call in due:
            # Not by way of the loop, whose turns are dear; but one that fails must not
            # hold up the others, nor the link that seized the moment.
            try:
                call()
            except Exception as exc:  # noqa: BLE001 - handed on
                self._loop.call_exception_handler(
                    {"message": "a reader or a link failed", "exception": exc}
                )


class Batch:
    """What one link gathers until it is sent; each batch begins with a stamp."""

    def __init__(self, batcher: Batcher, send: Callable[[list[Frame]], None]) -> None:
        """Make it empty; *send* gets every batch when its time has come."""
        self.size_bytes = 0
        self._batcher = batcher
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._frames: list[Frame] = []
        self._number = 0
        self._began_at = 0.0
        self._tick_due = False
        self._flush_due = False

    def add(self, frame: Frame) -> None:
        """Gather one frame; a message makes the batch leave at the end of this turn.

        Raises:
            LocalProtocolError: If the frame is too large to be sent at all.
        """
        size_bytes = self.size_bytes + encoded_bytes(frame)
        if size_bytes > MAX_BATCH_BYTES:
            self.flush()  # a larger batch would be refused
            size_bytes = encoded_bytes(frame)
        if not self._frames:
            size_bytes += self._stamp()
        self.size_bytes = size_bytes
        self._frames.append(frame)
        if frame.kind is _AUDIO:
            if not self._tick_due:
                self._tick_due = True
                self._batcher.due(self._on_tick)
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what is gathered."""
        self._flush_due = False
        if not self._frames:
            return
        frames, self._frames, self.size_bytes = self._frames, [], 0
        waited_s = monotonic_s() - self._began_at
        self._batcher.on_sent(len(frames) - 1, waited_s=waited_s)  # without the stamp
        self._number += 1
        self._send(frames)

    def _stamp(self) -> int:
        self._began_at = monotonic_s()
        clock = pack_stamp(self._began_at)
        stamp = Frame(FrameKind.STAMP, LINK_CHANNEL, self._number, clock)
        self._frames.append(stamp)
        return encoded_bytes(stamp)

    def _on_tick(self) -> None:
        self._tick_due = False
        self.flush()
