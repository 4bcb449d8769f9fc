"""One end of a relayed TCP connection."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

from lab.wan_line import DelayLine, Direction

__all__ = ["TcpEnd", "reset"]

_HIGH_WATER_BYTES = 1024 * 1024
"""What one direction of a connection may hold before its sender is paused."""
_EOF, _RESET = object(), object()


class TcpEnd(asyncio.Protocol):
    """One end of a relayed connection; what it reads leaves at the other end."""

    def __init__(
        self, direction: Direction, on_lost: Callable[["TcpEnd"], None]
    ) -> None:
        self.other: TcpEnd | None = None
        self.transport: asyncio.Transport | None = None
        self._direction = direction
        self._on_lost = on_lost
        self._line = DelayLine(direction, self._leave)
        self._held_bytes = 0
        self._passed_eof = False
        direction.tcp_lines.add(self._line)
        self._line.hold()  # until both ends are there

    def start(self) -> None:
        """Let through what was read, now that the other end is there."""
        if not self._direction.blocked:
            self._line.release()
        self._pace()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the connection."""
        self.transport = cast("asyncio.Transport", transport)
        tcp = transport.get_extra_info("socket")
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Put what was read on its way."""
        self._held_bytes += len(data)
        self._line.put(data, late_s=self._direction.retransmission_s())
        self._pace()

    def eof_received(self) -> bool:
        """Put the half-close on its way; the other direction goes on."""
        self._line.put(_EOF)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Put a reset on its way, behind what is already there."""
        if exc is not None:
            self._line.put(_RESET)
        else:
            self._finish()
        self._on_lost(self)

    def resume_writing(self) -> None:
        """Let the other end read again."""
        if self.other is not None:
            self.other._pace()  # noqa: SLF001 - its twin

    def _leave(self, thing: object) -> None:
        far = self.other.transport if self.other is not None else None
        if thing is _RESET:
            self._finish()
        if self.other is None or far is None or far.is_closing():
            return
        if isinstance(thing, bytes):
            self._held_bytes -= len(thing)
            far.write(thing)
            self._pace()
        elif thing is _RESET:
            reset(far)
        else:
            self._passed_eof = True
            far.write_eof()
            if self.other._passed_eof:  # noqa: SLF001 - its twin
                self._close_both(far)

    def _close_both(self, far: asyncio.Transport) -> None:
        far.close()
        if self.transport is not None:
            self.transport.close()

    def _finish(self) -> None:
        self._line.close()
        self._direction.tcp_lines.discard(self._line)

    def _pace(self) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        far = self.other.transport if self.other is not None else None
        unsent = far.get_write_buffer_size() if far is not None else 0
        if self._held_bytes + unsent > _HIGH_WATER_BYTES:
            self.transport.pause_reading()
        elif far is not None:
            self.transport.resume_reading()


def reset(transport: asyncio.Transport) -> None:
    """Close with a reset: abort alone would look like an orderly end."""
    tcp = transport.get_extra_info("socket")
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
