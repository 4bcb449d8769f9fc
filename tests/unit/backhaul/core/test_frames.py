"""Frames: what goes in comes out, and broken batches are refused whole."""

import pytest

from backhaul.core.frames import (
    HEADER_BYTES,
    MAX_BATCH_BYTES,
    MAX_PAYLOAD_BYTES,
    Frame,
    FrameKind,
    FrameReader,
    decode_batch,
    encode_batch,
    encoded_bytes,
)
from backhaul.errors import LocalProtocolError, RemoteProtocolError


def batch_of(*frames: Frame) -> bytes:
    return encode_batch(frames)


def test_a_batch_keeps_its_frames_in_order() -> None:
    frames = [
        Frame(FrameKind.AUDIO, 1, 0, b"\xff" * 160),
        Frame(FrameKind.CONTROL, 0, 7, b""),
        Frame(FrameKind.AUDIO, 2**32 - 1, 2**32 - 1, b"x"),
    ]
    assert decode_batch(batch_of(*frames)) == frames


def test_the_header_is_as_documented() -> None:
    assert batch_of(Frame(FrameKind.AUDIO, 3, 4, b"ab")) == (
        b"\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x02ab"
    )
    assert HEADER_BYTES == 13


def test_an_empty_batch_has_no_frames() -> None:
    assert decode_batch(b"") == []


@pytest.mark.parametrize("missing", [1, 2, 160, 161, 172])
def test_a_truncated_batch_is_refused(missing: int) -> None:
    batch = batch_of(Frame(FrameKind.AUDIO, 1, 0, b"\xff" * 160))
    with pytest.raises(RemoteProtocolError):
        decode_batch(batch[:-missing])


def test_an_unknown_kind_is_refused() -> None:
    batch = bytearray(batch_of(Frame(FrameKind.AUDIO, 1, 0, b"")))
    batch[0] = 99
    with pytest.raises(RemoteProtocolError):
        decode_batch(bytes(batch))


def test_sizes_are_bounded_both_ways() -> None:
    with pytest.raises(LocalProtocolError):
        encoded_bytes(Frame(FrameKind.AUDIO, 1, 0, bytes(MAX_PAYLOAD_BYTES + 1)))
    largest = Frame(FrameKind.AUDIO, 1, 0, bytes(MAX_PAYLOAD_BYTES))
    assert encoded_bytes(largest) == len(batch_of(largest))
    claims_too_much = b"\x02" + bytes(8) + (MAX_PAYLOAD_BYTES + 1).to_bytes(4, "big")
    with pytest.raises(RemoteProtocolError):
        decode_batch(claims_too_much + bytes(MAX_PAYLOAD_BYTES + 1))
    with pytest.raises(RemoteProtocolError):
        decode_batch(bytes(MAX_BATCH_BYTES + 1))


@pytest.mark.parametrize("piece", [1, 5, 13, 14, 40, 1000])
def test_frames_are_read_from_a_stream_that_is_cut_anywhere(piece: int) -> None:
    payloads = (b"", b"one", bytes(300), b"")
    batch = batch_of(
        *(Frame(FrameKind.AUDIO, 7, *numbered) for numbered in enumerate(payloads))
    )
    reader = FrameReader()
    pieces = [batch[at : at + piece] for at in range(0, len(batch), piece)]
    frames = [frame for part in pieces for frame in reader.read(part)]
    assert frames == decode_batch(bytes(batch))


def test_a_stream_cannot_announce_more_than_a_frame_may_hold() -> None:
    head = bytes([FrameKind.AUDIO]) + bytes(8) + (MAX_PAYLOAD_BYTES + 1).to_bytes(4)
    with pytest.raises(RemoteProtocolError):
        FrameReader().read(head)
