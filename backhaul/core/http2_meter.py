"""Decides how many HTTP/2 frames a peer may send, before anything parses them.

A frame of a few bytes can cost its receiver a thousand times what it cost its sender:
streams opened and reset, SETTINGS and PING that must be answered, header blocks that
never end. A link needs few of them, whatever it carries, so they are rationed.
"""

import struct
from typing import Final

from backhaul.core.token_bucket import TokenBucket
from backhaul.errors import RemoteProtocolError

__all__ = ["MAX_HEADER_BYTES", "Http2Meter"]

MAX_HEADER_BYTES: Final = 16 * 1024
"""Largest header block, compressed or not; a link's own has some 200 bytes."""

_MAX_FRAME_BYTES: Final = 16 * 1024
"""Largest payload of a frame; we grant the least that RFC 9113 (6.5.2) allows."""

_RATE_PER_S: Final = 100.0
"""A proxy sends a PING every few seconds and SETTINGS once."""

_BURST: Final = 200

_CHEAP: Final = 0.01
"""DATA and WINDOW_UPDATE are what a link consists of: 10,000 in a second are more
than one event loop can serve, and a stall of the path delivers many at once."""

_DATA, _HEADERS, _SETTINGS = 0x0, 0x1, 0x4
_WINDOW_UPDATE, _CONTINUATION = 0x8, 0x9
_SETTING_BYTES: Final = 6

_HEAD = struct.Struct("!BHB5x")
"""Length (24 bits), type, flags and stream id. Source: RFC 9113, 4.1."""


class Http2Meter:
    """Follows the frame heads in what one peer sends, and rations the frames."""

    def __init__(self, *, preface_bytes: int, now: float) -> None:
        """Begin to meter a connection.

        Args:
            preface_bytes: What comes before the first frame (bytes).
            now: The time (monotonic s).
        """
        self._bucket = TokenBucket(rate_per_s=_RATE_PER_S, burst=_BURST, now=now)
        self._skip_bytes = preface_bytes
        self._head: bytes = b""
        self._header_block_bytes = 0

    @property
    def between_frames(self) -> bool:
        """Whether what came so far ends where a frame ends."""
        return not self._skip_bytes and not self._head

    def admit(self, data: bytes, *, now: float) -> None:
        """Take note of *data*, the next bytes from the peer.

        Raises:
            RemoteProtocolError: If a frame or header block is too long, or the frames
                are more than a link needs.
        """
        if self._head:
            data = self._head + data
        position = self._skip_bytes
        cost = 0.0
        while position + _HEAD.size <= len(data):
            high, low, kind = _HEAD.unpack_from(data, position)
            length = high << 16 | low
            cost += self._weigh(kind, length)
            position += _HEAD.size + length
        self._skip_bytes = max(position - len(data), 0)
        self._head = data[position:]
        self.spend(cost, now=now)

    def spend(self, cost: float, *, now: float) -> None:
        """Charge the peer for *cost* frames that carry nothing.

        Raises:
            RemoteProtocolError: If the frames are more than a link needs.
        """
        if cost and not self._bucket.try_take(cost, now=now):
            raise RemoteProtocolError("flood of control frames")

    def _weigh(self, kind: int, length: int) -> float:
        if length > _MAX_FRAME_BYTES:
            raise RemoteProtocolError("frame is too long")
        if kind == _WINDOW_UPDATE or (kind == _DATA and length):
            return _CHEAP
        if kind == _SETTINGS:
            return 1 + length // _SETTING_BYTES
        if kind in {_HEADERS, _CONTINUATION}:
            before = self._header_block_bytes if kind == _CONTINUATION else 0
            self._header_block_bytes = before + length
            if self._header_block_bytes > MAX_HEADER_BYTES:
                raise RemoteProtocolError("header block is too long")
        return 1.0
