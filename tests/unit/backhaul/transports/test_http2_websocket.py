from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
)
from h2.settings import SettingCodes, Settings
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode

from backhaul.core.frames import MAX_BATCH_BYTES
from backhaul.transports.http2_websocket import (
    WINDOW_BYTES,
    Http2Client,
    Http2Server,
)

PATH = "/link"
Headers = list[tuple[str, str]]


def client() -> Http2Client:
    return Http2Client("agent:443", PATH, now=0.0)


def server() -> Http2Server:
    return Http2Server(PATH, now=0.0)


@dataclass
class Pair:
    """Two ends, and what each has received."""

    client: Http2Client
    server: Http2Server
    to_client: list[bytes]
    to_server: list[bytes]

    def run(self) -> None:
        """Carry bytes both ways until neither end has any."""
        moved = True
        while moved:
            up, down = self.client.data_to_send(), self.server.data_to_send()
            self.to_server += self.server.receive(up, now=0.0)
            self.to_client += self.client.receive(down, now=0.0)
            moved = bool(up or down)


@pytest.fixture
def pair() -> Pair:
    pair = Pair(client(), server(), [], [])
    pair.run()
    assert pair.client.opened
    assert pair.server.opened
    return pair


def test_messages_arrive_whole_and_in_order_both_ways(pair: Pair) -> None:
    sent = [b"", b"a", bytes(range(256)) * 700, b"z" * 126]
    for message in sent:
        pair.client.send(message)
        pair.server.send(bytearray(message))
    pair.run()
    assert pair.to_client == sent
    assert pair.to_server == sent


def test_more_than_a_window_arrives_and_is_owned_up_to_meanwhile(pair: Pair) -> None:
    count = 2 * WINDOW_BYTES // MAX_BATCH_BYTES
    for _ in range(count):
        pair.server.send(bytes(MAX_BATCH_BYTES))
    assert pair.server.unsent_bytes > WINDOW_BYTES * 0.9
    pair.run()
    assert [len(message) for message in pair.to_client] == [MAX_BATCH_BYTES] * count
    assert pair.server.unsent_bytes == 0


def test_what_was_sent_before_closing_still_arrives(pair: Pair) -> None:
    for _ in range(5):
        pair.server.send(bytes(MAX_BATCH_BYTES))
    pair.server.close("done")
    pair.server.close("again")
    assert not pair.server.over
    pair.server.send(b"too late")
    pair.run()
    assert len(pair.to_client) == 5
    assert pair.server.over
    assert pair.client.over
    assert pair.server.reason == "done"
    assert pair.client.reason == "closed by the peer"
    assert pair.client.receive(b"anything", now=0.0) == []


def test_the_dialling_end_may_close_too(pair: Pair) -> None:
    pair.client.send(b"last words")
    pair.client.close("edge stops")
    pair.run()
    assert pair.to_server == [b"last words"]
    assert (pair.client.reason, pair.server.reason) == (
        "edge stops",
        "closed by the peer",
    )
    assert pair.client.over
    assert pair.server.over


def test_closing_before_it_opened_is_the_end() -> None:
    end = client()
    end.send(b"nobody hears")
    end.close("never mind")
    assert end.over
    assert not end.opened
    assert end.reason == "never mind"


def test_too_large_a_message_ends_it(pair: Pair) -> None:
    pair.client.send(bytes(MAX_BATCH_BYTES + 1))
    pair.run()
    assert pair.to_server == []
    assert pair.server.reason == "WebSocket: PayloadTooBig"
    assert pair.server.over
    assert pair.client.over


# A client of somebody else


class Stranger:
    """An `h2` client in front of our server."""

    def __init__(self, settings: dict[SettingCodes | int, int] | None = None) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=True))
        self.server = server()
        self.events: list[Event] = []
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)
        self.exchange()

    def exchange(self, more: bytes = b"") -> list[bytes]:
        messages = self.server.receive(self.h2.data_to_send() + more, now=0.0)
        self.events += self.h2.receive_data(self.server.data_to_send())
        messages += self.server.receive(self.h2.data_to_send(), now=0.0)
        return messages

    def request(self, headers: Headers, *, end_stream: bool = False) -> str:
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, headers, end_stream=end_stream)
        self.exchange()
        answers = [e for e in self.events if isinstance(e, ResponseReceived)]
        return dict(answers[-1].headers)[b":status"].decode()

    def said_goaway(self) -> bool:
        return any(isinstance(event, ConnectionTerminated) for event in self.events)


def connect_headers(
    *, path: str = PATH, protocol: str = "websocket", version: str = "13"
) -> Headers:
    return [
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "https"),
        (":authority", "agent"),
        (":path", path),
        ("sec-websocket-version", version),
    ]


def get(path: str) -> Headers:
    return [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "agent"),
        (":path", path),
    ]


def test_extended_connect_is_offered_and_accepted() -> None:
    stranger = Stranger()
    assert stranger.h2.remote_settings.enable_connect_protocol == 1
    assert stranger.h2.remote_settings.max_concurrent_streams == 1
    assert stranger.request(connect_headers()) == "200"
    assert stranger.server.opened


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (connect_headers(path="/elsewhere"), "404"),
        (connect_headers(protocol="connect-udp"), "501"),
        (connect_headers(version="8"), "400"),
        ([(":method", "CONNECT"), (":authority", "agent:443")], "501"),
        (get(PATH), "404"),
    ],
)
def test_what_is_no_link_is_refused_and_leaves_room_for_one(
    headers: Headers, status: str
) -> None:
    stranger = Stranger()
    assert stranger.request(headers) == status
    assert not stranger.server.opened
    assert stranger.request(get("/"), end_stream=True) == "404"
    assert stranger.request(connect_headers()) == "200"


def test_extended_connect_before_our_offer_was_seen_ends_it() -> None:
    hasty = H2Connection(H2Configuration(client_side=True))
    hasty.initiate_connection()
    hasty.send_headers(1, connect_headers())
    end = server()
    end.receive(hasty.data_to_send(), now=0.0)
    assert end.over
    assert not end.opened
    assert end.reason == "extended CONNECT before our settings were read"


def test_windows_neither_shrink_nor_grow_by_what_takes_the_short_way() -> None:
    stranger = Stranger({SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES})
    assert stranger.request(connect_headers()) == "200"
    granted = stranger.h2.local_flow_control_window(1)
    message = bytes(10_000)
    framed = WebSocketFrame(Opcode.BINARY, message).serialize(mask=True)
    for _ in range(3 * WINDOW_BYTES // len(message)):
        stranger.h2.send_data(1, framed)
        assert stranger.exchange() == [message]
        stranger.server.send(message)
        stranger.exchange()  # h2 refuses what is more than it has granted
        while stranger.events:
            if isinstance(event := stranger.events.pop(), DataReceived):
                size = event.flow_controlled_length
                stranger.h2.acknowledge_received_data(size, 1)
        window = stranger.h2.local_flow_control_window(1)
        assert granted * 0.3 < window <= granted
    assert not stranger.server.ending


def test_a_small_window_of_the_peer_is_respected() -> None:
    stranger = Stranger({SettingCodes.INITIAL_WINDOW_SIZE: 10})
    stranger.request(connect_headers())
    stranger.server.send(b"0123456789abcdef")
    stranger.exchange()
    assert stranger.server.unsent_bytes == 8
    stranger.h2.increment_flow_control_window(8, stream_id=1)
    stranger.exchange()
    assert stranger.server.unsent_bytes == 0


@pytest.mark.parametrize("how", ["end", "reset", "goaway", "second"])
def test_however_the_peer_leaves_it_is_over(how: str) -> None:
    stranger = Stranger()
    stranger.request(connect_headers())
    if how == "end":
        stranger.h2.end_stream(1)
    elif how == "reset":
        stranger.h2.reset_stream(1)
    elif how == "goaway":
        stranger.h2.close_connection()
    second = HeadersFrame(3, flags=["END_HEADERS"]).serialize()
    stranger.exchange(second if how == "second" else b"")
    assert stranger.server.over
    assert stranger.server.reason
    stranger.server.send(b"nobody hears")
    stranger.server.close("ours")
    assert stranger.server.reason != "ours"


def resets() -> Iterator[Frame]:
    block = H2Connection(H2Configuration(client_side=True)).encoder.encode(get("/"))
    for stream_id in range(1, 1_000_001, 2):
        yield HeadersFrame(stream_id, block, flags=["END_HEADERS"])
        yield RstStreamFrame(stream_id)


def unanswered_headers() -> Iterator[Frame]:
    yield HeadersFrame(1, b"")
    while True:
        yield ContinuationFrame(1, b"")


def long_headers() -> Iterator[Frame]:
    yield HeadersFrame(1, bytes(16_000))
    while True:
        yield ContinuationFrame(1, bytes(16_000))


def settings() -> Iterator[Frame]:
    for first in range(0, 65_000, 20):
        yield SettingsFrame(0, dict.fromkeys(range(first + 100, first + 120), 1))


def pings() -> Iterator[Frame]:
    while True:
        yield PingFrame(0, b"12345678")


def empty_data() -> Iterator[Frame]:
    while True:
        yield DataFrame(1, b"")


def websocket_pings() -> Iterator[Frame]:
    while True:
        yield DataFrame(1, b"\x89\x80\0\0\0\0" * 100)


def websocket_nothings() -> Iterator[Frame]:
    yield DataFrame(1, b"\x02\x80\0\0\0\0")
    while True:
        yield DataFrame(1, b"\x00\x80\0\0\0\0")


@pytest.mark.parametrize(
    "flood",
    [
        resets,
        unanswered_headers,
        long_headers,
        settings,
        pings,
        empty_data,
        websocket_pings,
        websocket_nothings,
    ],
)
@pytest.mark.parametrize("opened", [False, True])
def test_a_flood_ends_it_before_it_costs_anything(
    flood: Callable[[], Iterator[Frame]], *, opened: bool
) -> None:
    stranger = Stranger()
    if opened:
        stranger.request(connect_headers())
    end, sent, answered = stranger.server, 0, 0
    for frame in flood():
        data = frame.serialize()
        end.receive(data, now=0.0)
        sent += len(data)
        answered += len(end.data_to_send())
        if end.over:
            break
        assert sent < 100_000, "the flood goes on"
    assert end.over
    assert end.unsent_bytes == 0
    assert answered < 20_000


# A server of somebody else


class StrangeServer:
    """An `h2` server in front of our client."""

    def __init__(self, *, offers: bool = True) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=False))
        offer = {SettingCodes.ENABLE_CONNECT_PROTOCOL: int(offers)}
        self.h2.local_settings = Settings(client=False, initial_values=offer)
        self.h2.initiate_connection()
        self.client = client()
        self.exchange()

    def exchange(self) -> None:
        self.client.receive(self.h2.data_to_send(), now=0.0)
        self.h2.receive_data(self.client.data_to_send())

    def answer(self, status: str) -> None:
        self.h2.send_headers(1, [(":status", status)])
        self.exchange()


@pytest.mark.parametrize("status", ["200", "204"])
def test_an_offer_is_taken_up(status: str) -> None:
    theirs = StrangeServer()
    theirs.answer(status)
    assert theirs.client.opened


@pytest.mark.parametrize("status", ["404", "301", "fine"])
def test_an_offer_may_come_to_nothing(status: str) -> None:
    theirs = StrangeServer()
    theirs.answer(status)
    assert not theirs.client.opened
    assert theirs.client.over
    assert theirs.client.reason == "CONNECT was refused"


def test_a_server_without_extended_connect_is_not_asked() -> None:
    theirs = StrangeServer(offers=False)
    assert theirs.h2.streams == {}
    assert theirs.client.over
    assert theirs.client.reason == "no extended CONNECT"


def test_an_offer_cannot_be_taken_back() -> None:
    theirs = StrangeServer()
    theirs.answer("200")
    theirs.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
    theirs.exchange()
    assert not theirs.client.over
    theirs.h2.update_settings({SettingCodes.ENABLE_CONNECT_PROTOCOL: 0})
    theirs.exchange()
    assert theirs.client.over
    assert theirs.client.reason == "no extended CONNECT"
