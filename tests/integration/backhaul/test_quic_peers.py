"""Edges with a good certificate and bad manners lose their link, and only theirs."""

import struct
from collections.abc import Callable

import pytest
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicErrorCode

from backhaul.core.frames import LINK_CHANNEL, MAX_PAYLOAD_BYTES, FrameKind
from backhaul.core.messages import CloseReason
from backhaul.transports.base import LinkTransport
from tests.integration.backhaul.links import (
    OPEN,
    Bench,
    audio,
    control,
    eventually,
    frame,
)
from tests.integration.backhaul.peers import QuicPeer
from tests.integration.backhaul.quic_strangers import Bystander


@pytest.fixture
def transport() -> LinkTransport:
    return "quic"


def oversize_frame(quic: QuicConnection) -> None:
    whole = bytearray(audio(1, 1, b""))
    whole[-4:] = struct.pack("!I", MAX_PAYLOAD_BYTES + 1)
    quic.send_stream_data(6, bytes(whole))


def unknown_kind_of_frame(quic: QuicConnection) -> None:
    quic.send_stream_data(6, b"\xff" * 32)


def datagram_of_control(quic: QuicConnection) -> None:
    quic.send_datagram_frame(control(1, 1, OPEN))


def datagram_of_the_link(quic: QuicConnection) -> None:
    quic.send_datagram_frame(frame(FrameKind.CONTROL, LINK_CHANNEL, 9, b""))


def datagram_of_nothing_known(quic: QuicConnection) -> None:
    quic.send_datagram_frame(b"\x07 what is this?")


def half_a_frame_in_a_datagram(quic: QuicConnection) -> None:
    quic.send_datagram_frame(audio(1, 1, b"whole")[:-1])


def more_streams_than_links_have(quic: QuicConnection) -> None:
    for number in range(5):
        quic.send_stream_data(2 + 4 * number, b"\x00")


def streams_beyond_the_limit(quic: QuicConnection) -> None:
    quic._remote_max_streams_uni = 1000
    quic.send_stream_data(2 + 4 * 8, b"\x00")


def a_stream_both_ways(quic: QuicConnection) -> None:
    quic._remote_max_streams_bidi = 1000
    quic.send_stream_data(0, b"\x00")


def more_than_the_window(quic: QuicConnection) -> None:
    quic._remote_max_data = 1 << 40
    quic.send_stream_data(6, b"")
    stream = quic._streams[6]
    stream.max_stream_data_remote = 1 << 40
    stream.sender._buffer_start = stream.sender._buffer_stop = 1 << 30
    quic.send_stream_data(6, b"far away")


def a_stopped_stream(quic: QuicConnection) -> None:
    quic.stop_stream(3, error_code=0)


def a_reset_stream(quic: QuicConnection) -> None:
    quic.reset_stream(2, error_code=0)


@pytest.mark.parametrize(
    ("misbehave", "told"),
    [
        (oversize_frame, "frame payload"),
        (unknown_kind_of_frame, ""),
        (datagram_of_control, "something else than speech"),
        (datagram_of_the_link, "something else than speech"),
        (datagram_of_nothing_known, ""),
        (half_a_frame_in_a_datagram, "frame payload"),
        (more_streams_than_links_have, "too many streams"),
        (streams_beyond_the_limit, "Too many streams open"),
        (a_stream_both_ways, "Too many streams open"),
        (more_than_the_window, "Over stream data limit"),
        (a_stopped_stream, "a stream ended before its link"),
        (a_reset_stream, "a stream ended before its link"),
    ],
)
async def test_who_breaks_the_rules_loses_his_link_alone(
    bench: Bench, misbehave: Callable[[QuicConnection], None], told: str
) -> None:
    bystander = Bystander(*await bench.pair())
    await bystander.is_well()
    listener = bench.quic
    assert listener is not None
    connections = listener.connection_count
    async with bench.peer() as (agent, peer):
        assert isinstance(peer, QuicPeer)
        await peer.send(control(1, 0, OPEN))
        await eventually(lambda: bool(agent.calls))
        misbehave(peer.quic)
        peer.transmit()
        await eventually(lambda: bool(agent.closed))
        assert agent.calls[0].closed == [CloseReason.LINK_LOST]
        assert agent.calls[0].audio == []
        # He is told why, in so many words.
        await eventually(lambda: peer.quic._close_event is not None)
        ended = peer.quic._close_event
        assert ended is not None
        assert ended.error_code != QuicErrorCode.NO_ERROR
        assert told in ended.reason_phrase
    await eventually(lambda: listener.connection_count == connections)
    await bystander.is_well()
