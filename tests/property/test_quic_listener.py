"""Whatever arrives at the UDP port, the listener takes it without an error."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicPacketType, encode_long_header_first_byte
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backhaul.credentials import LinkCredentials
from backhaul.pki import Role, create_authority, issue
from backhaul.transports.base import TransportEvents
from backhaul.transports.quic_listener import QuicListener

ADDRESS = ("192.0.2.1", 4433)
VERSION = 1
_PADDED_BYTES = 1200


class Sink(asyncio.DatagramTransport):
    """A socket that sends nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def sendto(self, data: Any, addr: Any = None) -> None:
        assert addr == ADDRESS
        self.sent.append(bytes(data))

    def close(self) -> None:
        pass


def _nobody() -> TransportEvents:
    raise AssertionError("nobody has shown a certificate")


class Port:
    """A listener without a socket, on a loop that stands still between datagrams."""

    def __init__(self, credentials: LinkCredentials) -> None:
        self.loop = asyncio.new_event_loop()
        self.errors: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self.sink = Sink()

        async def make() -> QuicListener:
            return QuicListener(_nobody, credentials, handshake_timeout_s=30.0)

        self.listener = self.loop.run_until_complete(make())
        self.listener.connection_made(self.sink)
        # As if an edge had been here: its address need not prove itself.
        self.listener._admission.authenticated(ADDRESS[0])

    def receive(self, *datagrams: bytes) -> None:
        async def all_of_them() -> None:
            for datagram in datagrams:
                self.listener.datagram_received(datagram, ADDRESS)
            await asyncio.sleep(0)

        self.loop.run_until_complete(all_of_them())
        assert self.errors == []

    def forget(self) -> None:
        """End all handshakes, as their time limit would."""
        for quic in list(self.listener._handshakes):
            quic.abort("enough")
        assert self.listener.connection_count == 0
        assert self.listener._admission.handshakes == 0


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Port]:
    directory = tmp_path_factory.mktemp("pki")
    create_authority(directory)
    made = Port(LinkCredentials.load(issue(directory, Role.REGION_AGENT, "home")))
    yield made
    made.loop.close()


identifiers = st.binary(min_size=8, max_size=20)


def long_header(
    kind: QuicPacketType, destination: bytes, rest: bytes, version: int = VERSION
) -> bytes:
    first = encode_long_header_first_byte(VERSION, kind, 3)
    return (
        bytes([first])
        + version.to_bytes(4)
        + bytes([len(destination)])
        + destination
        + b"\x00"
        + rest
    )


def initial(destination: bytes, number: int, payload: bytes) -> bytes:
    """Seal *payload* as a client's first packets are sealed, with keys all can know.

    Source: RFC 9001, section 5.2.
    """
    payload = payload.ljust(_PADDED_BYTES - 60, b"\x00")
    length = len(payload) + 4 + 16
    rest = b"\x00" + (0x4000 | length).to_bytes(2) + number.to_bytes(4)
    header = long_header(QuicPacketType.INITIAL, destination, rest)
    keys = CryptoPair()
    keys.setup_initial(cid=destination, is_client=True, version=VERSION)
    assert keys.aead_tag_size == 16
    sealed: bytes = keys.encrypt_packet(header, payload, number)
    return sealed.ljust(_PADDED_BYTES, b"\x00")


frames = st.one_of(
    st.binary(max_size=40),
    # CRYPTO with whatever in it, at the beginning or anywhere.
    st.tuples(st.integers(0, 63), st.binary(max_size=60)).map(
        lambda it: b"\x06" + bytes([it[0]]) + bytes([len(it[1])]) + it[1]
    ),
    # A TLS message that begins like a ClientHello.
    st.binary(max_size=60).map(
        lambda body: (
            b"\x06\x00"
            + bytes([len(body) + 4])
            + b"\x01\x00\x00"
            + bytes([len(body)])
            + body
        )
    ),
    st.sampled_from([b"\x01", b"\x02\x00\x00\x00\x00", b"\x1c\x00\x00\x00"]),
)

SLOW_MACHINES = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SLOW_MACHINES
@given(st.lists(st.binary(max_size=1500), max_size=5))
def test_random_bytes_raise_nothing(port: Port, datagrams: list[bytes]) -> None:
    port.receive(*datagrams)
    port.forget()


@SLOW_MACHINES
@given(
    st.sampled_from([k for k in QuicPacketType if k.value < 4]),
    identifiers,
    st.binary(max_size=60),
    st.sampled_from([0, 1, 2, 0x6B3343CF, 0x1A2A3A4A]),
)
def test_random_packets_raise_nothing(
    port: Port, kind: QuicPacketType, destination: bytes, rest: bytes, version: int
) -> None:
    packet = long_header(kind, destination, rest, version)
    port.receive(packet, packet.ljust(_PADDED_BYTES, b"\x00"))
    port.forget()


@SLOW_MACHINES
@given(identifiers, st.lists(st.lists(frames, max_size=4), min_size=1, max_size=4))
def test_random_frames_in_well_sealed_packets_raise_nothing(
    port: Port, destination: bytes, packets: list[list[bytes]]
) -> None:
    before = len(port.sink.sent)
    port.receive(
        *(
            initial(destination, number, b"".join(content))
            for number, content in enumerate(packets)
        )
    )
    # Nobody is sent more than three times what came. Source: RFC 9000, section 8.1.
    sent = sum(map(len, port.sink.sent[before:]))
    assert sent <= 3 * _PADDED_BYTES * len(packets)
    port.forget()


def test_the_packets_of_this_test_are_understood(port: Port) -> None:
    """A packet that is well sealed, but says nothing, is answered by a close."""
    before = len(port.sink.sent)
    port.receive(initial(b"12345678", 0, b"\x06\x00\x04\x01\x00\x00\x00"))
    assert len(port.sink.sent) > before
    port.forget()
