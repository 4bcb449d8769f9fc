"""What arrives on a QUIC connection becomes frames, or is refused."""

import pytest

from backhaul.core.frames import Frame, FrameKind, encode_batch, encode_frame
from backhaul.errors import RemoteProtocolError
from backhaul.transports.quic_incoming import Incoming
from backhaul.transports.quic_outgoing import MAX_STREAMS

SPEECH = Frame(FrameKind.AUDIO, 1, 0, b"speech")
STAMP = Frame(FrameKind.STAMP, 0, 0, b"when")
MESSAGE = Frame(FrameKind.CONTROL, 1, 0, b"message")
MOVE = Frame(FrameKind.MOVE, 1, 1, b"move")


def test_a_frame_is_handed_up_once_it_is_whole() -> None:
    heard: list[Frame] = []
    incoming = Incoming(heard.extend, is_client=True)
    data = encode_batch((MESSAGE, SPEECH))
    incoming.on_stream(3, data[:-1])
    assert heard == [MESSAGE]
    incoming.on_stream(7, data)
    assert heard == [MESSAGE, MESSAGE, SPEECH]
    incoming.on_stream(3, data[-1:])
    assert heard == [MESSAGE, MESSAGE, SPEECH, SPEECH]


def test_speech_and_its_stamp_come_to_an_agent_in_datagrams() -> None:
    heard: list[Frame] = []
    incoming = Incoming(heard.extend, is_client=False)
    incoming.on_datagram(encode_batch((STAMP, SPEECH)))
    incoming.on_datagram(b"")
    assert heard == [STAMP, SPEECH]


@pytest.mark.parametrize(
    ("frame", "is_client"), [(MESSAGE, False), (MOVE, False), (SPEECH, True)]
)
def test_other_datagrams_are_refused(frame: Frame, is_client: bool) -> None:
    heard: list[Frame] = []
    incoming = Incoming(heard.extend, is_client=is_client)
    with pytest.raises(RemoteProtocolError):
        incoming.on_datagram(encode_frame(frame))
    assert heard == []


def test_nobody_needs_more_streams_than_we_open() -> None:
    incoming = Incoming(lambda _: None, is_client=False)
    for number in range(MAX_STREAMS):
        incoming.on_stream(2 + 4 * number, b"")
    with pytest.raises(RemoteProtocolError):
        incoming.on_stream(2 + 4 * MAX_STREAMS, b"")
