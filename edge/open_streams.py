"""The carrier's connections to one process of an edge, to be ended when it stops."""

import asyncio
import contextlib
from typing import Protocol

from backhaul.batcher import Batcher
from backhaul.read_group import ReadGroup
from backhaul.transports.closing import CLOSE_GRACE_S

__all__ = ["OpenStream", "OpenStreams"]


class OpenStream(Protocol):
    """One connection that carries a Media Stream."""

    def end(self) -> None:
        """Close it politely."""
        ...


class OpenStreams:
    """The Media Streams that are connected, those of other workers' calls included.

    Attributes:
        reads: Reads them together, if they join it.
    """

    def __init__(self, batcher: Batcher) -> None:
        self.reads = ReadGroup(batcher)
        self._streams: set[OpenStream] = set()
        self._none = asyncio.Event()
        self._none.set()
        self._closing = False

    def add(self, stream: OpenStream) -> None:
        """One is connected."""
        self._streams.add(stream)
        self._none.clear()
        if self._closing:
            stream.end()

    def remove(self, stream: OpenStream) -> None:
        """One is gone."""
        self._streams.discard(stream)
        if not self._streams:
            self._none.set()

    async def aclose(self) -> None:
        """End all of them. A socket with bytes to read would be reset by our exit."""
        self._closing = True
        for stream in tuple(self._streams):
            stream.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_GRACE_S):
                await self._none.wait()
        self.reads.close()
