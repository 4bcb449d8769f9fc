"""Frames that are written and read in one go, against h2, hyperframe and websockets."""

import pytest
from hyperframe.frame import DataFrame, Frame, WindowUpdateFrame
from websockets.frames import Frame as Message
from websockets.frames import Opcode

from backhaul.transports.http2_message import (
    HEAD_BYTES,
    framed_bytes,
    read_message,
    window_updates,
    write_message,
)

SIZES = (0, 1, 125, 126, 127, 4000, 0xFFFF)


def data_frame(body: bytes, *, stream: int = 1, flags: tuple[str, ...] = ()) -> bytes:
    return DataFrame(stream, data=body, flags=flags).serialize()


def message(data: bytes, *, masked: bool, fin: bool = True) -> bytes:
    return Message(Opcode.BINARY, data, fin=fin).serialize(mask=masked)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("masked", [False, True])
def test_what_is_written_is_what_others_write(size: int, masked: bool) -> None:
    data = bytes(n % 251 for n in range(size))
    written = write_message(data, stream=5, masked=masked)
    assert written is not None
    frame, length = Frame.parse_frame_header(memoryview(written[:HEAD_BYTES]))
    assert (frame.stream_id, set(frame.flags), frame.type) == (5, set(), 0)
    assert length == len(written) - HEAD_BYTES
    assert read_message(written, 0, stream=5, masked=masked) == (data, len(written))
    if not masked:
        assert written == data_frame(message(data, masked=False), stream=5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("masked", [False, True])
def test_what_others_write_is_read(size: int, masked: bool) -> None:
    data = bytes(n % 251 for n in range(size))
    frame = data_frame(message(data, masked=masked))
    found = read_message(b"before" + frame + b"behind", 6, stream=1, masked=masked)
    assert found == (data, 6 + len(frame))


@pytest.mark.parametrize("size", [*SIZES, 0x10000])
@pytest.mark.parametrize("masked", [False, True])
def test_the_framing_of_others_is_as_long_as_thought(size: int, masked: bool) -> None:
    framed = message(bytes(size), masked=masked)
    assert framed_bytes(size, masked=masked) == len(framed)


def test_keys_differ() -> None:
    written = {write_message(b"the same", stream=1, masked=True) for _ in range(10)}
    assert len(written) > 1


def test_what_is_too_long_for_a_frame_is_left_to_others() -> None:
    assert write_message(bytes(0x10000), stream=1, masked=False) is None


PLAIN = message(b"plain", masked=False)
OTHERS = {
    "nothing": b"",
    "all but its end": data_frame(PLAIN)[:-1],
    "a head and a byte": data_frame(PLAIN)[: HEAD_BYTES + 1],
    "on another stream": data_frame(PLAIN, stream=3),
    "the last of its stream": data_frame(PLAIN, flags=("END_STREAM",)),
    "a part of a message": data_frame(message(b"a part", masked=False, fin=False)),
    "masked by a server": data_frame(message(b"masked", masked=True)),
    "two messages": data_frame(PLAIN + PLAIN),
    "half a message": data_frame(PLAIN[:-1]),
    "a ping": data_frame(Message(Opcode.PING, b"ping").serialize(mask=False)),
    "half a length": data_frame(b"\x82\x7e\x00"),
    "a length of eight bytes": data_frame(b"\x82\x7f" + bytes(7) + b"\x04long"),
    "another frame": WindowUpdateFrame(1, window_increment=0x20_80_00_00).serialize(),
}


@pytest.mark.parametrize("name", OTHERS)
def test_whatever_is_not_one_whole_message_is_left_to_others(name: str) -> None:
    assert read_message(OTHERS[name], 0, stream=1, masked=False) is None


def test_a_message_that_should_be_masked_is_left_to_others() -> None:
    frame = data_frame(message(b"plain as it is", masked=False))
    assert read_message(frame, 0, stream=1, masked=True) is None


def test_both_windows_are_opened() -> None:
    stream, connection = (WindowUpdateFrame(n, window_increment=70000) for n in (7, 0))
    assert window_updates(7, 70000) == connection.serialize() + stream.serialize()
