"""When links send what they gathered: one clock for all links of a process."""

import asyncio
from collections.abc import Callable

from backhaul.clock import monotonic_s
from backhaul.core.arrival import pack_stamp
from backhaul.core.flush_tick import FlushTick
from backhaul.core.frames import (
    HEADER_BYTES,
    LINK_CHANNEL,
    MAX_BATCH_BYTES,
    FrameKind,
    append_frame,
)

__all__ = ["Batch", "Batcher"]


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
                self._loop.call_soon(flush)
                return
            self._loop.call_later(wait_s, self._flush_all)
        self._waiting.append(flush)

    def passed(self, frames: int) -> None:
        """Take note of *frames* that a link sent or received."""
        self._tick.passed(frames, now=monotonic_s())

    def _flush_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for flush in waiting:
            # By way of the loop: a link that fails must not hold up the others.
            self._loop.call_soon(flush)


class Batch:
    """What one link gathers until it is sent; each batch begins with a stamp."""

    def __init__(self, batcher: Batcher, send: Callable[[bytearray], None]) -> None:
        """Make it empty; *send* gets every batch when its time has come."""
        self._batcher = batcher
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._data = bytearray()
        self._frames = 0
        self._number = 0
        self._tick_due = False
        self._flush_due = False

    @property
    def size_bytes(self) -> int:
        """What is gathered (bytes)."""
        return len(self._data)

    def add(self, kind: FrameKind, channel: int, sequence: int, payload: bytes) -> None:
        """Gather one frame; a message makes the batch leave at the end of this turn."""
        if len(self._data) + HEADER_BYTES + len(payload) > MAX_BATCH_BYTES:
            self.flush()  # a larger batch would be refused
        if not self._data:
            stamp = pack_stamp(monotonic_s())
            append_frame(self._data, FrameKind.STAMP, LINK_CHANNEL, self._number, stamp)
        append_frame(self._data, kind, channel, sequence, payload)
        self._frames += 1
        if kind is FrameKind.AUDIO:
            if not self._tick_due:
                self._tick_due = True
                self._batcher.due(self._on_tick)
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what is gathered."""
        self._flush_due = False
        if not self._data:
            return
        self._batcher.passed(self._frames)
        data, self._data, self._frames = self._data, bytearray(), 0
        self._number += 1
        self._send(data)

    def _on_tick(self) -> None:
        self._tick_due = False
        self.flush()
