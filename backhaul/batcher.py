"""When links send what they gathered: one clock for all links of a process."""

import asyncio
from collections.abc import Callable

from backhaul.clock import monotonic_s
from backhaul.core.flush_tick import FlushTick
from backhaul.core.frames import MAX_BATCH_BYTES, Frame, FrameKind, encoded_bytes

__all__ = ["Batcher", "Outbox"]

_ROOM_FOR_STAMP_BYTES = 64


class Batcher:
    """Has the links of one process flush together, and sets no timer when idle.

    All links share it, since what makes waiting worth while is the work of the whole
    process.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tick = FlushTick(now=monotonic_s())
        self._waiting: list[Callable[[], None]] = []

    def due(self, flush: Callable[[], None]) -> None:
        """Call *flush* once with the next tick, or at the end of this turn."""
        if not self._waiting:
            # uvloop rounds timers to whole milliseconds, as the tick is anyway.
            wait_s = self._tick.wait_s(now=monotonic_s())
            if not wait_s:
                self.soon(flush)
                return
            self._loop.call_later(wait_s, self._flush_all)
        self._waiting.append(flush)

    def soon(self, flush: Callable[[], None]) -> None:
        """Call *flush* at the end of this turn of the event loop."""
        self._loop.call_soon(flush)

    def passed(self, frames: int) -> None:
        """Take note of *frames* that a link sent or received."""
        self._tick.passed(frames, now=monotonic_s())

    def _flush_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for flush in waiting:
            # By way of the loop: a link that fails must not hold up the others.
            self.soon(flush)


class Outbox:
    """The frames that one link is about to send.

    Audio waits for the batcher's tick. A message leaves in the same turn of the event
    loop, and takes along what waits before it.
    """

    def __init__(self, batcher: Batcher, send: Callable[[list[Frame]], None]) -> None:
        """Make an empty one.

        Args:
            batcher: Says when.
            send: Is given the frames of one batch.
        """
        self.waiting_bytes = 0
        self._batcher = batcher
        self._send = send
        self._frames: list[Frame] = []
        self._tick_due = False
        self._flush_due = False

    def put(self, frame: Frame) -> None:
        """Send *frame* with the next batch.

        Raises:
            LocalProtocolError: If it is too large to be sent at all.
        """
        size = self.waiting_bytes + encoded_bytes(frame)
        if size > MAX_BATCH_BYTES - _ROOM_FOR_STAMP_BYTES:
            size -= self.waiting_bytes
            self.flush()  # a larger batch would be refused
        self.waiting_bytes = size
        self._frames.append(frame)
        if frame.kind is FrameKind.AUDIO:
            if not self._tick_due:
                self._tick_due = True
                self._batcher.due(self._on_tick)
        elif not self._flush_due:
            self._flush_due = True
            self._batcher.soon(self.flush)

    def flush(self) -> None:
        """Send what there is now."""
        self._flush_due = False
        if not self._frames:
            return
        frames, self._frames = self._frames, []
        self.waiting_bytes = 0
        self._batcher.passed(len(frames))
        self._send(frames)

    def _on_tick(self) -> None:
        self._tick_due = False
        self.flush()
