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
    """What the payload is."""

    __hash__ = int.__hash__  # that of enums is no builtin, and kinds are keys

    CONTROL = 1
    """A message of `backhaul.core.messages`."""

    AUDIO = 2
    """Raw G.711 mu-law, 8 kHz mono; the caller's or the model's by direction."""

    STAMP = 3
    """When the batch was begun: a clock that only its sender can read, as u32. Its
    sequence is the number of the batch on the link."""


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
    return b"".join([encode_frame(frame) for frame in frames])


def decode_batch(batch: bytes) -> list[Frame]:
    """Return the frames of *batch* in order.

    Raises:
        RemoteProtocolError: If the batch is truncated or oversized, or a frame has
            an unknown kind. Nothing of a broken batch is returned.
    """
    if len(batch) > MAX_BATCH_BYTES:
        raise RemoteProtocolError(f"batch of {len(batch)} bytes is too large")
    frames: list[Frame] = []
    offset, end = 0, len(batch)
    while offset < end:
        start = offset + HEADER_BYTES
        if start > end:
            raise RemoteProtocolError("truncated frame header")
        kind, channel, sequence, length = _HEADER.unpack_from(batch, offset)
        offset = start + length
        if length > MAX_PAYLOAD_BYTES or offset > end:
            raise RemoteProtocolError("truncated or oversized frame payload")
        known = _KINDS.get(kind)
        if known is None:
            raise RemoteProtocolError(f"unknown frame kind {kind}")
        frames.append(Frame(known, channel, sequence, batch[start:offset]))
    return frames


class FrameReader:
    """Reads frames from a stream of bytes that is cut anywhere."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    def read(self, data: bytes) -> list[Frame]:
        """Return the frames that *data* completes, in order.

        Raises:
            RemoteProtocolError: If a frame is oversized or has an unknown kind.
        """
        self._rest += data
        rest, end = self._rest, 0
        while end + HEADER_BYTES <= len(rest):
            length: int = _HEADER.unpack_from(rest, end)[3]
            if length > MAX_PAYLOAD_BYTES:
                raise RemoteProtocolError("truncated or oversized frame payload")
            if end + HEADER_BYTES + length > len(rest):
                break
            end += HEADER_BYTES + length
        whole = bytes(rest[:end])
        del rest[:end]
        return decode_batch(whole)
