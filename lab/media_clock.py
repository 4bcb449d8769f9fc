"""One steady 20 ms clock for every call of a stand-in."""

import asyncio
from collections.abc import Callable

from backhaul.clock import monotonic_s

__all__ = ["FRAME_S", "MediaClock"]

FRAME_S = 0.020
_SLOTS = 5
"""Calls are spread over the frame, as unrelated callers are; one instant for all of
them would be a burst that no carrier sends."""


class MediaClock:
    """Ticks every subscriber each 20 ms against absolute deadlines, so without drift.

    A clock that was kept from running catches up tick by tick: no frame is lost.
    """

    def __init__(self) -> None:
        self._slots: list[list[Callable[[float], None]]] = [[] for _ in range(_SLOTS)]
        self._has_work = asyncio.Event()

    def add(self, tick: Callable[[float], None]) -> None:
        """Call *tick* with its own lateness (s) every 20 ms, from the next slot on."""
        min(self._slots, key=len).append(tick)
        self._has_work.set()

    def remove(self, tick: Callable[[float], None]) -> None:
        """Stop calling *tick*; unknown ones are ignored."""
        for slot in self._slots:
            if tick in slot:
                slot.remove(tick)

    async def run(self) -> None:
        """Tick until cancelled; asleep while there are no subscribers."""
        deadline = monotonic_s()
        while True:
            for slot in self._slots:
                if not any(self._slots):
                    self._has_work.clear()
                    await self._has_work.wait()
                    deadline = monotonic_s()
                deadline += FRAME_S / _SLOTS
                await asyncio.sleep(max(deadline - monotonic_s(), 0))
                for tick in tuple(slot):
                    tick(max(monotonic_s() - deadline, 0.0))
