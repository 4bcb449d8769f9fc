"""Brings what the sources say to every browser that looks on."""

import asyncio
from typing import Final

import orjson

from console.sources import Source

__all__ = ["Hub", "Viewer", "source_event"]

_MAX_WAITING: Final = 512
"""Events for one browser; one that reads more slowly is sent away, and comes back."""


class Viewer:
    """One browser."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_WAITING)
        self.overrun = False

    def put(self, event: bytes) -> None:
        """Send *event* as soon as it can be."""
        try:
            self._waiting.put_nowait(event)
        except asyncio.QueueFull:
            self.overrun = True

    async def next(self) -> bytes:
        """Return what has to be sent, all that waits in one piece; empty: the end."""
        first = await self._waiting.get()
        if first is None or self.overrun:
            return b""
        events = [first]
        while not self._waiting.empty():
            event = self._waiting.get_nowait()
            if event is None:
                break
            events.append(event)
        return b"".join(events)

    def close(self) -> None:
        """End it."""
        if self._waiting.full():
            self.overrun = True
        else:
            self._waiting.put_nowait(None)


class Hub:
    """All browsers that look on; a `SourceListener`."""

    def __init__(self) -> None:
        self._viewers: set[Viewer] = set()

    def __len__(self) -> int:
        return len(self._viewers)

    def add(self, viewer: Viewer) -> None:
        """Tell *viewer*, too."""
        self._viewers.add(viewer)

    def remove(self, viewer: Viewer) -> None:
        """Tell *viewer* no more."""
        self._viewers.discard(viewer)

    def close(self) -> None:
        """Send everybody away."""
        for viewer in self._viewers:
            viewer.close()

    def on_snapshot(self, source: Source, snapshot: bytes) -> None:
        """See `SourceListener`."""
        event = source_event("snapshot", source.key, snapshot)
        for viewer in self._viewers:
            viewer.put(event)

    def on_lost(self, source: Source) -> None:
        """See `SourceListener`."""
        event = source_event("lost", source.key, b"null")
        for viewer in self._viewers:
            viewer.put(event)


def source_event(name: str, key: str, said: bytes) -> bytes:
    """Return an event about a source; *said* is JSON already, on one line."""
    head = b"event: %b\ndata: " % name.encode()
    return head + b'{"key":%b,"said":%b}\n\n' % (orjson.dumps(key), said)
