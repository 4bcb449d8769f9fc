"""Whatever a peer says over HTTP/2, the worst it brings about is a closed link."""

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from hypothesis import given
from hypothesis import strategies as st

from backhaul.core.http2_meter import Http2Meter
from backhaul.errors import RemoteProtocolError
from backhaul.transports.http2_websocket import (
    Http2Client,
    Http2Server,
    Http2WebSocket,
)

MAX_ANSWER_BYTES = 20_000


def talk() -> tuple[Http2Client, Http2Server, list[bytes], list[bytes]]:
    """Return both ends of an open WebSocket, and what each was told on the way."""
    client = Http2Client("agent:443", "/link", now=0.0)
    server = Http2Server("/link", now=0.0)
    to_client: list[bytes] = []
    to_server: list[bytes] = []
    for _ in range(3):
        to_server.append(client.data_to_send())
        server.receive(to_server[-1], now=0.0)
        to_client.append(server.data_to_send())
        client.receive(to_client[-1], now=0.0)
    return client, server, to_client, to_server


def new(dialled: bool) -> Http2WebSocket:
    if dialled:
        return Http2Client("agent:443", "/link", now=0.0)
    return Http2Server("/link", now=0.0)


def listen(end: Http2WebSocket, said: list[bytes]) -> None:
    for data in said:
        messages = end.receive(data, now=0.0)
        assert all(type(message) is bytes for message in messages)
        end.send(b"answer")
        assert len(end.data_to_send()) <= MAX_ANSWER_BYTES
    end.close("heard enough")
    end.data_to_send()
    assert end.ending
    assert end.reason


def encode_frame(parts: tuple[int, int, int, bytes]) -> bytes:
    kind, flags, stream_id, payload = parts
    head = len(payload).to_bytes(3) + bytes([kind, flags])
    return head + stream_id.to_bytes(4) + payload


frames = st.builds(
    encode_frame,
    st.tuples(
        st.integers(0, 0xB),
        st.sampled_from([0, 0x1, 0x4, 0x5, 0x8, 0x20, 0x25, 0xFF]),
        st.sampled_from([0, 1, 1, 1, 2, 3, 0x7FFFFFFF, 0xFFFFFFFF]),
        st.binary(max_size=40),
    ),
)
ends = st.booleans()


@given(ends, st.lists(frames | st.binary(max_size=60), max_size=20))
def test_any_frames_after_the_opening(dialled: bool, said: list[bytes]) -> None:
    client, server, _, _ = talk()
    listen(client if dialled else server, said)


@given(ends, st.data())
def test_an_opening_with_any_bytes_changed(dialled: bool, data: st.DataObject) -> None:
    _, _, to_client, to_server = talk()
    said = bytearray(b"".join(to_client if dialled else to_server))
    for _ in range(data.draw(st.integers(1, 4))):
        said[data.draw(st.integers(0, len(said) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(said)))
    end = new(dialled)
    listen(end, [bytes(said[:cut]), bytes(said[cut:])])


@given(ends, st.lists(st.binary(max_size=100), max_size=10))
def test_any_bytes_at_all(dialled: bool, said: list[bytes]) -> None:
    end = new(dialled)
    listen(end, said)


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_any_bytes_as_websocket_frames(said: list[bytes]) -> None:
    stranger = H2Connection(H2Configuration(client_side=True))
    server = Http2Server("/link", now=0.0)
    stranger.initiate_connection()
    server.receive(stranger.data_to_send(), now=0.0)
    stranger.receive_data(server.data_to_send())
    request = {
        ":method": "CONNECT",
        ":protocol": "websocket",
        ":scheme": "https",
        ":authority": "agent",
        ":path": "/link",
        "sec-websocket-version": "13",
    }
    stranger.send_headers(1, list(request.items()))
    for data in said:
        stranger.send_data(1, data)
    listen(server, [stranger.data_to_send()])
    assert server.opened


@given(
    ends,
    st.lists(st.integers(0, 300) | st.integers(16_000, 40_000), max_size=12),
    st.lists(st.integers(1, 9000), max_size=30),
)
def test_messages_arrive_however_their_bytes_are_cut(
    dialled: bool, sizes: list[int], cuts: list[int]
) -> None:
    client, server, _, _ = talk()
    sender, receiver = (client, server) if dialled else (server, client)
    sent = [bytes([n]) * size for n, size in enumerate(sizes)]
    for message in sent:
        sender.send(message)
    said = sender.data_to_send()
    heard: list[bytes] = []
    for cut in [*cuts, len(said)]:
        heard += receiver.receive(said[:cut], now=0.0)
        said = said[cut:]
    assert heard == sent
    assert not receiver.ending


@given(st.lists(st.integers(0, 50), max_size=60), st.lists(st.integers(1, 40)))
def test_metering_does_not_depend_on_how_bytes_are_cut(
    lengths: list[int], cuts: list[int]
) -> None:
    said = b"".join(encode_frame((6, 0, 0, bytes(length))) for length in lengths)
    meter = Http2Meter(preface_bytes=0, now=0.0)
    for cut in cuts:
        meter.admit(said[:cut], now=0.0)
        said = said[cut:]
    meter.admit(said, now=0.0)
    # Of 200 frames, this many are left.
    meter.spend(199.9 - len(lengths), now=0.0)
    with pytest.raises(RemoteProtocolError):
        meter.spend(0.2, now=0.0)
