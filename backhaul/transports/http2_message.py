"""Batches that fit one DATA frame, as nearly all do: written and read in one go.

Such a frame holds one whole WebSocket message and nothing else::

    length: u24 | 0 | 0 | stream: u32 | FIN + binary | mask? + length | key? | message

What looks any different is for h2 and websockets, which take ten times as long.
Source: RFC 9113, 4.1, 6.1 and 6.9; RFC 6455, 5.2 and 5.3.
"""

import random
import struct
from typing import Final

from websockets.speedups import apply_mask

__all__ = [
    "HEAD_BYTES",
    "framed_bytes",
    "read_message",
    "window_updates",
    "write_message",
]

_HEAD: Final = struct.Struct("!BHBBI")
HEAD_BYTES: Final = _HEAD.size
"""Of a frame; flow control does not count it."""
_WINDOW_UPDATE: Final = struct.Struct("!BHBBII")
_DATA, _WINDOW_UPDATE_KIND = 0x0, 0x8
_UPDATE_BYTES: Final = 4
_PLAIN: Final = 0
"""Flags of a frame that is not padded and not the last one."""
_WHOLE_BINARY: Final = 0x82
_MASKED: Final = 0x80
_SHORT: Final = 126
"""Lengths below it stand for themselves; itself, it announces two bytes of length."""
_MAX_BYTES: Final = 0xFFFF
_KEY_BYTES: Final = 4

# Keys keep proxies from taking speech for requests, where proxies can read it at all:
# inside TLS they need not be more than different.
_rng = random.Random()  # noqa: S311 - no secret, see above


def write_message(
    message: bytes | bytearray, *, stream: int, masked: bool
) -> bytes | None:
    """Return the frame that carries *message*, None if it is too long for this."""
    size = len(message)
    if size > _MAX_BYTES:
        return None
    mask = _MASKED if masked else 0
    if size < _SHORT:
        opening = bytes((_WHOLE_BINARY, mask | size))
    else:
        opening = struct.pack("!BBH", _WHOLE_BINARY, mask | _SHORT, size)
    if masked:
        key = _rng.randbytes(_KEY_BYTES)
        opening += key
        message = apply_mask(message, key)
    length = len(opening) + size
    head = _HEAD.pack(length >> 16, length & 0xFFFF, _DATA, _PLAIN, stream)
    return head + opening + message


def read_message(
    data: bytes, start: int, *, stream: int, masked: bool
) -> tuple[bytes, int] | None:
    """Read the message of the frame at *start*.

    Args:
        data: From the peer, with a frame's head at *start*.
        start: Where the frame begins.
        stream: The only stream whose messages are wanted.
        masked: Whether the peer has to mask, as clients do.

    Returns:
        The message and where the next frame begins; None if the frame is not whole, or
        any other than one with one whole message.
    """
    if start + HEAD_BYTES + 2 > len(data):
        return None
    high, low, kind, flags, number = _HEAD.unpack_from(data, start)
    opening = start + HEAD_BYTES
    end = opening + (high << 16 | low)
    if kind != _DATA or flags != _PLAIN or number != stream or end > len(data):
        return None
    size = data[opening + 1] ^ (_MASKED if masked else 0)
    begin = opening + 2
    if size == _SHORT:
        size = int.from_bytes(data[begin : begin + 2])
        begin += 2
    key_at, begin = begin, begin + (_KEY_BYTES if masked else 0)
    # One that is not masked as it should be has an impossible length by now.
    if data[opening] != _WHOLE_BINARY or begin + size != end:
        return None
    message = data[begin:end]
    return apply_mask(message, data[key_at:begin]) if masked else message, end


def framed_bytes(size: int, *, masked: bool) -> int:
    """Return how long a message of *size* bytes is in WebSocket framing, at least."""
    length_bytes = 2 * (size >= _SHORT) + 6 * (size > _MAX_BYTES)
    return 2 + length_bytes + (_KEY_BYTES if masked else 0) + size


def window_updates(stream: int, size: int) -> bytes:
    """Return the frames that let the peer send *size* bytes more, on *stream*."""
    return b"".join(
        _WINDOW_UPDATE.pack(0, _UPDATE_BYTES, _WINDOW_UPDATE_KIND, _PLAIN, number, size)
        for number in (0, stream)
    )
