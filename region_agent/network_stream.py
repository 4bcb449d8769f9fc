"""One TCP or TLS connection as httpcore2 wants it; tells at once when it has ended."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

import httpcore2

from region_agent.core.goaway_filter import GoawayFilter

__all__ = ["NetworkStream"]

_MAX_UNREAD_BYTES: Final = 256 * 1024
"""While this much is unread the peer has to wait."""
_MAX_UNSENT_BYTES: Final = 64 * 1024
_FLUSH_S: Final = 0.001


class NetworkStream(asyncio.Protocol, httpcore2.AsyncNetworkStream):
    """The bytes of one connection, in both directions.

    httpcore2's own streams learn that the peer has closed when they are read, which on
    an idle connection is at the next request. This one is told by the event loop.

    Attributes:
        ended: Whether nothing more can come or go.
        on_ended: Called once when that happens; whoever sets it looks at `ended` first.
    """

    def __init__(self) -> None:
        self.ended = False
        self.on_ended: Callable[[], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._unsent = bytearray()
        self._flushing: asyncio.TimerHandle | None = None
        self._awaited = False
        self._error: Exception | None = None
        self._reading_paused = False
        self._frames: GoawayFilter | None = None
        self._on_going_away: Callable[[], None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._readable = asyncio.Event()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the transport."""
        # Those of uvloop are transports in all but their base class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep *data* until it is read."""
        self._unread += data if self._frames is None else self._frames.feed(data)
        self._note_farewell()
        self._readable.set()
        if len(self._unread) >= _MAX_UNREAD_BYTES and not self._reading_paused:
            self._reading_paused = True
            self._opened().pause_reading()

    def eof_received(self) -> None:
        """Take note that nothing more comes; the transport then closes itself."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        self._error = exc
        self._end()

    def pause_writing(self) -> None:
        """Hold back further writes."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let writes go on."""
        self._writable.set()

    def _end(self) -> None:
        self._readable.set()
        self._writable.set()
        if not self.ended:
            self.ended = True
            if self.on_ended is not None:
                self.on_ended()

    def _note_farewell(self) -> None:
        if self._frames is None or not self._frames.going_away:
            return
        told, self._on_going_away = self._on_going_away, None
        if told is not None:
            told()

    def _opened(self) -> asyncio.Transport:
        assert self._transport is not None, "used before it was connected"  # noqa: S101
        return self._transport

    # What httpcore2 calls

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore2's interface
        """Send what was written, then return at most *max_bytes*; nothing at the end.

        Raises:
            httpcore2.ReadError: If the connection broke.
            httpcore2.ReadTimeout: If nothing came within *timeout* (s).
        """
        self._flush()
        self._awaited = True
        try:
            async with asyncio.timeout(timeout):
                while not self._unread and not self.ended:
                    self._readable.clear()
                    await self._readable.wait()
        except TimeoutError as exc:
            raise httpcore2.ReadTimeout from exc
        finally:
            self._awaited = False
        if not self._unread and self._error is not None:
            raise httpcore2.ReadError from self._error
        data = bytes(self._unread[:max_bytes])
        del self._unread[:max_bytes]
        if self._reading_paused and not self.ended:
            self._reading_paused = False
            self._opened().resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore2's interface
        """Send *buffer*, at the next read at the latest; wait while the peer is slow.

        httpcore2 writes a request in up to three pieces; sent as one they are one
        record of TLS and one system call, here and at the peer.

        After the end it goes nowhere, and it is the read that tells: an answer which
        came before the end must not be lost because it could not be acknowledged.

        Raises:
            httpcore2.WriteTimeout: If the peer took nothing within *timeout* (s).
        """
        if self.ended:
            return
        self._unsent += buffer
        if self._awaited or len(self._unsent) >= _MAX_UNSENT_BYTES:
            self._flush()
        elif self._unsent and self._flushing is None:
            loop = asyncio.get_running_loop()
            self._flushing = loop.call_later(_FLUSH_S, self._flush)
        try:
            async with asyncio.timeout(timeout):
                await self._writable.wait()
        except TimeoutError as exc:
            raise httpcore2.WriteTimeout from exc

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._unsent and not self.ended:
            self._opened().write(bytes(self._unsent))
        self._unsent.clear()

    async def aclose(self) -> None:
        """Cut the connection; see `abort`."""
        self.abort()

    def abort(self) -> None:
        """Cut the connection now: a peer that never reads could delay a polite end."""
        self._unsent.clear()
        if self._transport is not None:
            self._transport.abort()

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore2's interface
        """Return whether a read would not block, or what TLS agreed on."""
        if info == "is_readable":
            return bool(self._unread) or self.ended
        if info == "ssl_object":
            return self._opened().get_extra_info("ssl_object")
        return None

    def watch_http2(self, on_going_away: Callable[[], None]) -> None:
        """Have the frames of the connection watched for the server's farewell.

        Args:
            on_going_away: Called once when the server wants no more requests here;
                those under way are answered.
        """
        self._on_going_away = on_going_away
        self._frames = GoawayFilter()
        self._unread = bytearray(self._frames.feed(bytes(self._unread)))
        self._note_farewell()

    @property
    def speaks_http2(self) -> bool:
        """Whether ALPN has chosen HTTP/2."""
        tls = self.get_extra_info("ssl_object")
        return isinstance(tls, ssl.SSLObject) and (tls.selected_alpn_protocol() == "h2")
