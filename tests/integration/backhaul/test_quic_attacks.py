"""What strangers send to an agent's UDP port harms nobody's link."""

import os
from collections.abc import AsyncIterator
from functools import partial

import pytest
from aioquic._buffer import Buffer
from aioquic.quic.packet import (
    QuicPacketType,
    encode_quic_version_negotiation,
    pull_quic_header,
)

from backhaul.core.frames import LINK_CHANNEL
from backhaul.errors import LinkConnectError
from backhaul.transports.base import LinkTransport
from backhaul.transports.quic_admission import (
    MAX_HANDSHAKES_OF_HOST,
    QuicCounters,
)
from backhaul.transports.quic_dialer import QuicDialer
from backhaul.transports.quic_listener import QuicListener
from tests.integration.backhaul.links import (
    AGENT_HELLO,
    EDGE_HELLO,
    OPEN,
    Bench,
    control,
    eventually,
)
from tests.integration.backhaul.quic_strangers import (
    Bystander,
    Stranger,
    first_flight,
    flight,
    stranger,
)


@pytest.fixture
def transport() -> LinkTransport:
    return "quic"


@pytest.fixture
async def bystander(bench: Bench) -> AsyncIterator[Bystander]:
    """Have a link before the attack, and look whether it lives on after it."""
    bystander = Bystander(*await bench.pair())
    await bystander.is_well()
    yield bystander
    await bystander.is_well()
    edge, _ = await bench.pair()  # others are still let in
    assert edge.ready


@pytest.fixture
def listener(bench: Bench, bystander: Bystander) -> QuicListener:  # noqa: ARG001
    """The listener, as it counts what comes after the bystander."""
    assert bench.quic is not None
    bench.quic._admission.counters = QuicCounters()
    return bench.quic


@pytest.fixture
async def attacker(bench: Bench) -> AsyncIterator[Stranger]:
    async with stranger(bench.address, "127.0.0.2") as attacker:
        yield attacker


# Before the handshake


async def test_a_flood_of_strangers_leaves_no_trace(
    bench: Bench, listener: QuicListener
) -> None:
    connections = listener.connection_count
    for host in range(2, 12):
        async with stranger(bench.address, f"127.0.0.{host}") as attacker:
            attacker.send(*(first_flight() for _ in range(50)))
            await eventually(partial(attacker.has_received, 50))
            # Nobody can have us send more than he sends.
            assert attacker.received_bytes < attacker.sent_bytes / 5
    assert listener.counters == QuicCounters(retries_sent=500)
    assert listener.connection_count == connections
    assert not listener._handshakes


async def test_a_forged_proof_is_none(
    listener: QuicListener, attacker: Stranger
) -> None:
    connections = listener.connection_count
    initial, quic = await attacker.initial_with_token()
    token = quic._peer_token
    for place in (0, 12, len(token) - 1):
        forged = bytearray(token)
        forged[place] ^= 1
        attacker.send(initial.replace(token, bytes(forged)))
    attacker.send(initial.replace(token, os.urandom(len(token))))
    await eventually(lambda: listener.counters.tokens_refused == 4)
    assert listener.connection_count == connections
    assert attacker.received == []


async def test_a_proof_of_another_address_is_none(
    bench: Bench, listener: QuicListener, attacker: Stranger
) -> None:
    connections = listener.connection_count
    initial, _ = await attacker.initial_with_token()
    async with stranger(bench.address, "127.0.0.3") as thief:
        thief.send(initial)
        await eventually(lambda: listener.counters.tokens_refused == 1)
        assert listener.connection_count == connections
        assert thief.received == []
    async with stranger(bench.address, "127.0.0.2") as neighbour:  # another port
        neighbour.send(initial)
        await eventually(lambda: listener.counters.tokens_refused == 2)
    assert listener.connection_count == connections


async def test_a_proof_shown_again_begins_nothing_new(
    listener: QuicListener, attacker: Stranger
) -> None:
    connections = listener.connection_count
    initial, _ = await attacker.initial_with_token()
    attacker.send(*[initial] * 20)
    await eventually(lambda: bool(attacker.received))
    assert listener.connection_count == connections + 1
    assert len(listener._handshakes) == 1
    assert listener.counters == QuicCounters(retries_sent=1)


async def test_who_does_not_finish_a_handshake_is_given_up(
    listener: QuicListener, attacker: Stranger
) -> None:
    listener._handshake_timeout_s = 0.3
    connections = listener.connection_count
    initial, _ = await attacker.initial_with_token()
    attacker.send(initial)
    await eventually(lambda: listener.connection_count == connections + 1)
    await eventually(lambda: listener.counters.handshakes_timed_out == 1)
    assert listener.connection_count == connections
    assert not listener._handshakes


async def test_one_host_cannot_keep_the_others_out(
    listener: QuicListener, attacker: Stranger
) -> None:
    connections = listener.connection_count
    most, beyond = MAX_HANDSHAKES_OF_HOST, 3
    initials = [(await attacker.initial_with_token())[0] for _ in range(most + beyond)]
    attacker.send(*initials, *(first_flight() for _ in range(beyond)))
    await eventually(lambda: listener.counters.handshakes_refused == 2 * beyond)
    assert len(listener._handshakes) == most
    assert listener.connection_count == connections + most


async def test_nobody_without_a_certificate_gets_in(
    listener: QuicListener, attacker: Stranger
) -> None:
    connections = listener.connection_count
    initial, quic = await attacker.initial_with_token()
    attacker.send(initial)
    while quic._close_event is None:
        await eventually(lambda: bool(attacker.received))
        for data in attacker.received:
            quic.receive_datagram(data, attacker.target, now=0.0)
        attacker.received.clear()
        attacker.send(*flight(quic))
    assert "certificate" in quic._close_event.reason_phrase
    await eventually(lambda: listener.connection_count == connections)


# Datagrams that are none


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00",
        b"\x40" * 30,
        b"\xc0" * 1300,
        b"\xff" * 1472,
        bytes(65_000),
        b"\xc0\x00\x00\x00\x01" + b"\x15" + bytes(1300),
        b"\xc0\x00\x00\x00\x01\x00\x00" + bytes(1300),
        b"\xe0\x00\x00\x00\x01\x08" + bytes(1300),
    ],
)
async def test_garbage_is_not_answered(
    listener: QuicListener, attacker: Stranger, garbage: bytes
) -> None:
    connections = listener.connection_count
    attacker.send(*[garbage] * 10)
    attacker.send(first_flight())
    await eventually(lambda: listener.counters.retries_sent == 1)
    assert len(attacker.received) <= 1
    assert listener.counters == QuicCounters(retries_sent=1)
    assert listener.connection_count == connections


async def test_garbage_under_the_name_of_a_connection_is_ignored(
    listener: QuicListener, attacker: Stranger
) -> None:
    for identifier in list(listener._by_identifier):
        attacker.send(b"\x40" + identifier + os.urandom(200))
        attacker.send(b"\xe0\x00\x00\x00\x01\x08" + identifier + os.urandom(1300))
        attacker.send(b"\xc0\x00\x00\x00\x01\x08" + identifier + os.urandom(1300))
    attacker.send(first_flight())
    await eventually(lambda: listener.counters.retries_sent == 1)


async def test_the_versions_we_speak_are_named_to_whom_it_may_concern(
    listener: QuicListener, attacker: Stranger
) -> None:
    unknown = bytearray(first_flight())
    unknown[1:5] = bytes.fromhex("1a2a3a4a")
    attacker.send(bytes(unknown[:1199]))  # too small to be answered
    attacker.send(bytes(unknown))
    await eventually(lambda: bool(attacker.received))
    (answer,) = attacker.received
    header = pull_quic_header(Buffer(data=answer))
    assert header.packet_type is QuicPacketType.VERSION_NEGOTIATION
    assert header.supported_versions == [1]
    # It is no answer to the same: two that send them would never end.
    attacker.send(
        encode_quic_version_negotiation(
            source_cid=bytes(8), destination_cid=bytes(8), supported_versions=[1] * 320
        )
    )
    attacker.send(first_flight())
    await eventually(lambda: listener.counters.retries_sent == 1)
    assert listener.counters == QuicCounters(retries_sent=1, versions_refused=1)


# A recorded first flight


async def resumed_flight(bench: Bench, dialer: QuicDialer, said: bytes) -> list[bytes]:
    """Return the first flight of an edge that says *said* as early data."""
    await eventually(lambda: dialer.resumable(bench.address))
    host, _, port = bench.address.rpartition(":")
    quic = dialer._connection(bench.address)
    quic.connect((host, int(port)), now=0.0)
    quic.send_stream_data(2, said)
    return flight(quic)


async def test_nothing_comes_of_a_recorded_first_flight(
    bench: Bench, listener: QuicListener
) -> None:
    dialer = bench.dialer()
    first = bench.new(EDGE_HELLO)
    bench.agent = bench.new(AGENT_HELLO)
    await dialer.connect(first.link, bench.address, timeout_s=30.0)
    await eventually(lambda: first.ready)
    said = control(LINK_CHANNEL, 0, EDGE_HELLO) + control(1, 0, OPEN)
    recorded = await resumed_flight(bench, dialer, said)
    listener._handshake_timeout_s = 1.0
    connections = set(listener._by_identifier.values())
    ghost = bench.agent = bench.new(AGENT_HELLO)
    async with stranger(bench.address) as attacker:
        attacker.send(*recorded)
        await eventually(
            lambda: len(set(listener._by_identifier.values()) - connections) == 1
        )
        (begun,) = set(listener._by_identifier.values()) - connections
        # It was understood, as it is the edge's own; and then it was held.
        await eventually(lambda: bool(begun.connection._early))
        await eventually(lambda: listener.counters.handshakes_timed_out == 1)
        assert not ghost.ready
        assert not ghost.calls
        assert ghost.link.counters.frames_received == 0
        # A second time it is not even understood.
        attacker.send(*recorded)
        await eventually(
            lambda: len(set(listener._by_identifier.values()) - connections) == 1
        )
        (again,) = set(listener._by_identifier.values()) - connections
        await eventually(lambda: listener.counters.handshakes_timed_out == 2)
        assert not again.connection._early
        assert not again.opened


async def test_early_data_counts_once_its_sender_has_proven_itself(
    bench: Bench, listener: QuicListener
) -> None:
    dialer = bench.dialer()
    first = bench.new(EDGE_HELLO)
    bench.agent = bench.new(AGENT_HELLO)
    await dialer.connect(first.link, bench.address, timeout_s=30.0)
    await eventually(lambda: first.ready)
    await eventually(lambda: dialer.resumable(bench.address))
    agent = bench.agent = bench.new(AGENT_HELLO)
    second = bench.new(EDGE_HELLO)
    await dialer.connect(second.link, bench.address, timeout_s=30.0)
    await eventually(lambda: agent.ready and second.ready)
    # A second hello would have ended the link.
    assert agent.closed == second.closed == []
    assert not listener._handshakes


async def test_who_is_refused_by_an_agent_that_stops_is_told(bench: Bench) -> None:
    assert bench.quic is not None
    bench.quic._stopping = True
    edge = bench.new(EDGE_HELLO)
    with pytest.raises(LinkConnectError, match="no answer"):
        await bench.dialer().connect(edge.link, bench.address, timeout_s=0.3)
    assert bench.quic.counters == QuicCounters()
    bench.quic._stopping = False
