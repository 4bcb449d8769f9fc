"""What comes before its sender is proven waits, and is bounded."""

from pathlib import Path

import pytest
from aioquic.quic import events as quic
from aioquic.quic.configuration import QuicConfiguration

from backhaul.credentials import LinkCredentials
from backhaul.pki import Role, create_authority, issue
from backhaul.transports.quic_guard import MAX_EARLY_BYTES, GuardedConnection
from backhaul.transports.quic_tls import quic_configuration


@pytest.fixture
def server(tmp_path: Path) -> GuardedConnection:
    create_authority(tmp_path)
    credentials = LinkCredentials.load(issue(tmp_path, Role.REGION_AGENT, "home"))
    return GuardedConnection(
        configuration=quic_configuration(credentials, is_client=False),
        original_destination_connection_id=bytes(8),
    )


def said(data: bytes) -> quic.StreamDataReceived:
    return quic.StreamDataReceived(data=data, end_stream=False, stream_id=2)


DONE = quic.HandshakeCompleted(
    alpn_protocol=None, early_data_accepted=True, session_resumed=True
)
NEGOTIATED = quic.ProtocolNegotiated(alpn_protocol=None)


def drain(connection: GuardedConnection) -> list[quic.QuicEvent]:
    seen = []
    while (event := connection.next_event()) is not None:
        seen.append(event)
    return seen


def test_early_data_comes_after_the_handshake_in_its_order(
    server: GuardedConnection,
) -> None:
    datagram = quic.DatagramFrameReceived(data=b"2")
    server._events.extend([NEGOTIATED, said(b"1"), datagram])
    assert drain(server) == [NEGOTIATED]
    server._events.extend([said(b"3"), DONE, said(b"4")])
    assert drain(server) == [DONE, said(b"1"), datagram, said(b"3"), said(b"4")]
    server._events.append(said(b"5"))
    assert drain(server) == [said(b"5")]


def test_a_client_waits_for_nothing() -> None:
    client = GuardedConnection(configuration=QuicConfiguration(is_client=True))
    client._events.append(said(b"1"))
    assert drain(client) == [said(b"1")]


def test_too_much_early_data_ends_the_connection(server: GuardedConnection) -> None:
    server._events.append(said(bytes(MAX_EARLY_BYTES)))
    assert drain(server) == []
    assert server._close_event is None
    server._events.append(said(b"!"))
    assert drain(server) == []
    assert server._close_event is not None
    assert server._close_event.reason_phrase == "too much early data"
    server._events.extend([said(b"more")] * 100)
    assert drain(server) == []
    assert len(server._early) == 1
