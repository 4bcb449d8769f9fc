"""Frames on a link: encode and decode, no policy.

A frame is a 13-byte big-endian header followed by its payload::

    kind: u8 | channel: u32 | sequence: u32 | length: u32 | payload

Channel 0 belongs to the link itself; every other channel is one call, and may move to
another link between the same two processes. Sequence numbers count per channel,
direction and kind, since speech may go another way than control, and wrap at 2**32.
Several frames stand behind one another in one batch, which never splits a frame; a
stream does.
"""

import struct
from collections.abc import Iterable
from enum import IntEnum

import msgspec

from backhaul.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "HEADER_BYTES",
    "LINK_CHANNEL",
    "MAX_BATCH_BYTES",
    "MAX_PAYLOAD_BYTES",
    "SEQUENCE_MODULUS",
    "Frame",
    "FrameKind",
    "FrameReader",
    "decode_batch",
    "encode_batch",
    "encode_frame",
    "encoded_bytes",
]

LINK_CHANNEL = 0
SEQUENCE_MODULUS = 1 << 32

_HEADER = struct.Struct("!BIII")
HEADER_BYTES = _HEADER.size

MAX_PAYLOAD_BYTES = 256 * 1024
"""Largest payload of one frame (bytes): a 30 s greeting in mu-law fits."""

MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Largest batch a peer may send (bytes)."""


class FrameKind(IntEnum):
    """What the payload is.

    Python 3.11 takes 0.15 us to look a member of an enum up, more than to make a frame:
    what handles each frame names the members it needs once, in its module.
    """

    __hash__ = int.__hash__  # that of enums is no builtin, and kinds are keys

    CONTROL = 1
    """A message of `backhaul.core.messages`."""

    AUDIO = 2
    """Raw G.711 mu-law, 8 kHz mono; the caller's or the model's by direction."""

    STAMP = 3
    """When the batch was begun: a clock that only its sender can read, as u32. Its
    sequence is the number of the batch on the link."""

    MOVE = 4
    """`Moved`: the channel has come to this link. Its sequence counts the moves of the
    channel, so that a late one is known."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame; thousands of them come and go in a second."""

    kind: FrameKind
    channel: int
    sequence: int
    payload: bytes


_KINDS = {kind.value: kind for kind in FrameKind}


def encoded_bytes(frame: Frame) -> int:
    """Return the size of *frame* on a link (bytes).

    Raises:
        LocalProtocolError: If its payload is larger than MAX_PAYLOAD_BYTES.
    """
    length = len(frame.payload)
    if length > MAX_PAYLOAD_BYTES:
        raise LocalProtocolError(f"payload of {length} bytes is too large for a frame")
    return HEADER_BYTES + length


def encode_frame(frame: Frame) -> bytes:
    """Return *frame* as a link carries it; `encoded_bytes` says whether it may."""
    payload = frame.payload
    return (
        _HEADER.pack(frame.kind, frame.channel, frame.sequence, len(payload)) + payload
    )


def encode_batch(frames: Iterable[Frame]) -> bytes:
    """Return *frames* behind one another."""
    parts: list[bytes] = []
    pack, add = _HEADER.pack, parts.append
    for frame in frames:
        payload = frame.payload
        add(pack(frame.kind, frame.channel, frame.sequence, len(payload)))
        add(payload)
    return b"".join(parts)


def decode_batch(batch: bytes) -> list[Frame]:
    """Return the frames of *batch* in order.

    Raises:
        RemoteProtocolError: If the batch is truncated or oversized, or a frame has
            an unknown kind. Nothing of a broken batch is returned.
    """
    if len(batch) > MAX_BATCH_BYTES:
        raise RemoteProtocolError(f"batch of {len(batch)} bytes is too large")
    frames, end, _ = _decode(batch)
    left = len(batch) - end
    if 0 < left < HEADER_BYTES:
        raise RemoteProtocolError("truncated frame header")
    if left:
        raise RemoteProtocolError("truncated or oversized frame payload")
    return frames


def _decode(data: bytes) -> tuple[list[Frame], int, int]:
    """Return the whole frames, where they end, and what the next one needs (bytes)."""
    frames: list[Frame] = []
    end, available = 0, len(data)
    while end + HEADER_BYTES <= available:
        kind, channel, sequence, length = _HEADER.unpack_from(data, end)
        start = end + HEADER_BYTES
        if length > MAX_PAYLOAD_BYTES:
            raise RemoteProtocolError("truncated or oversized frame payload")
        if start + length > available:
            return frames, end, HEADER_BYTES + length
        end = start + length
        known = _KINDS.get(kind)
        if known is None:
            raise RemoteProtocolError(f"unknown frame kind {kind}")
        frames.append(Frame(known, channel, sequence, data[start:end]))
    return frames, end, HEADER_BYTES


class FrameReader:
    """Reads frames from a stream of bytes that is cut anywhere."""

    __slots__ = ("_needed", "_rest")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = 0

    def read(self, data: bytes) -> list[Frame]:
        """Return the frames that *data* completes, in order.

        Raises:
            RemoteProtocolError: If a frame is oversized or has an unknown kind.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
        frames, end, self._needed = _decode(data)
        self._rest = bytearray(data[end:])
        return frames
