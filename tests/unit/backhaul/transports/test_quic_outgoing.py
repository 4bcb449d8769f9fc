"""Which way each frame leaves on a QUIC connection."""

from collections.abc import Iterable
from typing import cast

from backhaul.core.frames import (
    LINK_CHANNEL,
    Frame,
    FrameKind,
    FrameReader,
    decode_batch,
)
from backhaul.transports.quic_congestion import VoiceCongestionControl
from backhaul.transports.quic_connection import LinkConnection
from backhaul.transports.quic_outgoing import Outgoing


class Connection:
    """Keeps what is sent; the peer acknowledges what the test says."""

    def __init__(self) -> None:
        self.voice = VoiceCongestionControl(max_datagram_size=1200)
        self.streams: dict[int, bytes] = {}
        self.arrived: dict[int, int] = {}
        self.datagrams: list[bytes] = []

    def send_stream_data(self, stream: int, data: bytes) -> None:
        self.streams[stream] = self.streams.get(stream, b"") + data

    def queue_datagrams(self, datagrams: Iterable[bytes]) -> None:
        self.datagrams.extend(datagrams)

    def arrived_bytes(self, stream: int) -> int:
        return self.arrived.get(stream, 0)

    def acknowledge_along(self, now: float) -> None:
        """Nothing to acknowledge."""

    def acknowledge(self) -> None:
        self.arrived = {stream: len(data) for stream, data in self.streams.items()}

    def on_stream(self, stream: int) -> list[Frame]:
        return FrameReader().read(self.streams.get(stream, b""))


def side(*, is_client: bool) -> tuple[Outgoing, Connection]:
    connection = Connection()
    outgoing = Outgoing(cast("LinkConnection", connection), is_client=is_client, now=0)
    outgoing.open()
    return outgoing, connection


def speech(channel: int, sequence: int, size: int = 160) -> Frame:
    return Frame(FrameKind.AUDIO, channel, sequence, bytes(size))


def message(channel: int, sequence: int = 0, size: int = 20) -> Frame:
    return Frame(FrameKind.CONTROL, channel, sequence, bytes(size))


def stamp(number: int) -> Frame:
    return Frame(FrameKind.STAMP, LINK_CHANNEL, number, b"when")


def test_an_agent_says_everything_on_streams_and_channel_0_has_its_own() -> None:
    agent, connection = side(is_client=False)
    frames = [message(0), *(speech(channel, 0) for channel in range(1, 5))]
    agent.send([stamp(0), *frames], now=0.0)
    agent.send([stamp(1), speech(1, 1)], now=0.1)
    assert connection.on_stream(3) == [stamp(0), frames[0], stamp(1)]
    assert connection.on_stream(11) == [frames[1], frames[4], speech(1, 1)]
    assert connection.datagrams == []


def test_speech_overtakes_once_the_agent_knows_its_channel() -> None:
    edge, connection = side(is_client=True)
    edge.send([message(1), speech(1, 0)], now=0.0)
    edge.send([speech(1, 1)], now=0.02)
    assert connection.datagrams == []
    connection.acknowledge()
    edge.send([speech(1, 2), message(1, 1)], now=0.04)
    assert [decode_batch(one) for one in connection.datagrams] == [[speech(1, 2)]]
    beginning = [message(1), speech(1, 0), speech(1, 1), message(1, 1)]
    assert connection.on_stream(10) == beginning


def test_a_channel_is_known_when_all_of_its_first_batch_has_arrived() -> None:
    edge, connection = side(is_client=True)
    # Two channels of one stream begin at once, and only the first is acknowledged.
    edge.send([message(1, size=2000), message(4, size=2000)], now=0.0)
    connection.arrived = {10: 2500}
    edge.send([speech(4, 0)], now=0.02)
    assert connection.datagrams == []
    connection.acknowledge()
    edge.send([speech(4, 1)], now=0.04)
    assert len(connection.datagrams) == 1


def test_what_fits_no_datagram_stays_on_its_stream() -> None:
    edge, connection = side(is_client=True)
    edge.send([message(1)], now=0.0)
    connection.acknowledge()
    edge.send([speech(1, 0, size=2000)], now=0.02)
    assert connection.datagrams == []
    assert connection.on_stream(10) == [message(1), speech(1, 0, size=2000)]


def test_a_stamp_goes_with_the_speech_if_there_is_any() -> None:
    edge, connection = side(is_client=True)
    edge.send([stamp(0), message(1)], now=0.0)
    connection.acknowledge()
    edge.send([stamp(1), message(0), speech(1, 0)], now=0.02)
    edge.send([stamp(2), message(0, 1)], now=0.04)
    assert connection.on_stream(2) == [stamp(0), message(0), stamp(2), message(0, 1)]
    (datagram,) = connection.datagrams
    assert decode_batch(datagram) == [stamp(1), speech(1, 0)]
