"""QUIC links against a QUIC stack of others, and what traces say really happened."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from aioquic.quic.logger import QuicLogger
from qh3.asyncio.protocol import QuicConnectionProtocol
from qh3.quic.configuration import QuicConfiguration
from qh3.quic.connection import QuicConnection, QuicConnectionError
from qh3.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
    StreamDataReceived,
)

from backhaul.core.frames import LINK_CHANNEL, Frame, FrameReader
from backhaul.core.messages import CloseReason, Hello, Message, decode_message
from backhaul.credentials import LinkCredentials
from backhaul.pki import Role, TlsFiles, create_authority, issue
from backhaul.transports.base import LinkTransport
from backhaul.transports.quic_listener import serve_quic
from backhaul.transports.quic_tls import ALPN
from region_agent.listener import _check_peer
from tests.integration.backhaul.links import (
    AGENT_HELLO,
    EDGE_HELLO,
    OPEN,
    Bench,
    End,
    audio,
    control,
    eventually,
)


@pytest.fixture
def transport() -> LinkTransport:
    return "quic"


# qh3, whose QUIC is not ours


class Judge(QuicConnectionProtocol):
    """An edge made of qh3; it says all on two streams."""

    def __init__(self, quic: QuicConnection) -> None:
        super().__init__(quic)
        self.frames: list[Frame] = []
        self.handshake: HandshakeCompleted | None = None
        self.ended: ConnectionTerminated | None = None
        self._readers: dict[int, FrameReader] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        match event:
            case HandshakeCompleted():
                self.handshake = event
            case ConnectionTerminated():
                self.ended = event
            case StreamDataReceived(data=data, stream_id=stream):
                reader = self._readers.setdefault(stream, FrameReader())
                self.frames += reader.read(data)
            case _:
                pass

    def say(self, stream: int, data: bytes) -> None:
        self._quic.send_stream_data(stream, data)
        self.transmit()

    def messages(self, channel: int) -> list[Message]:
        return [
            decode_message(frame.payload)
            for frame in self.frames
            if frame.channel == channel and frame.kind.name == "CONTROL"
        ]

    @property
    def stream(self) -> int:
        return self._quic.get_next_available_stream_id(is_unidirectional=True)


@contextlib.asynccontextmanager
async def judge(
    bench: Bench, files: TlsFiles, alpn: str = ALPN
) -> AsyncIterator[Judge]:
    configuration = QuicConfiguration(
        alpn_protocols=[alpn],
        cafile=str(files.ca),
        max_datagram_frame_size=1500,
        server_name="agent.test",
        verify_hostname=False,  # agents are known by the role in their certificate
    )
    await asyncio.to_thread(configuration.load_cert_chain, files.certificate, files.key)
    host, _, port = bench.address.rpartition(":")
    _, made = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Judge(QuicConnection(configuration=configuration)),
        local_addr=("127.0.0.1", 0),
    )
    made.connect((host, int(port)))
    try:
        yield made
    finally:
        made.close()
        async with asyncio.timeout(30):
            await made.wait_closed()
        cast("asyncio.DatagramTransport", made._transport).close()


async def test_an_edge_of_others_is_linked_to(bench: Bench) -> None:
    agent = bench.agent = bench.new(AGENT_HELLO, check=_check_peer)
    async with judge(bench, bench.files()) as edge:
        await eventually(lambda: edge.handshake is not None)
        assert edge.handshake is not None
        assert edge.handshake.alpn_protocol == ALPN
        first = edge.stream
        edge.say(first, control(LINK_CHANNEL, 0, EDGE_HELLO))
        await eventually(lambda: agent.ready)
        await eventually(lambda: AGENT_HELLO in edge.messages(LINK_CHANNEL))
        edge.say(first + 4, control(1, 0, OPEN) + audio(1, 0, b"hello"))
        await eventually(lambda: bool(agent.calls and agent.calls[0].audio))
        assert agent.calls[0].audio == [b"hello"]
        edge._quic.send_datagram_frame(audio(1, 1, b"on the fast way"))
        edge.transmit()
        await eventually(lambda: len(agent.calls[0].audio) == 2)
        agent.calls[0].open_channel.send_audio(b"and back")
        agent.calls[0].open_channel.close(CloseReason.MODEL_HUNG_UP)
        await eventually(lambda: b"and back" in [f.payload for f in edge.frames])
        assert edge.ended is None
    await eventually(lambda: agent.closed == ["closed by the peer"])


async def test_an_edge_of_others_without_our_protocol_is_refused(bench: Bench) -> None:
    async with judge(bench, bench.files(), alpn="h3") as edge:
        await eventually(lambda: edge.ended is not None)
        assert edge.handshake is None


@pytest.mark.parametrize(
    ("role", "name", "hello", "reason"),
    [
        (Role.REGION_AGENT, "home", AGENT_HELLO, "certificate is not of an edge"),
        (Role.EDGE, "edge-2", EDGE_HELLO, "edge says it is another one"),
    ],
)
async def test_an_edge_of_others_with_the_wrong_role_is_refused(
    bench: Bench, role: Role, name: str, hello: Hello, reason: str
) -> None:
    agent = bench.agent = bench.new(AGENT_HELLO, check=_check_peer)
    async with judge(bench, bench.files(role, name)) as edge:
        await eventually(lambda: edge.handshake is not None)
        # A wrong role may have been refused by now, and then nobody hears this hello.
        with contextlib.suppress(QuicConnectionError):
            edge.say(edge.stream, control(LINK_CHANNEL, 0, hello))
        await eventually(lambda: agent.closed == [reason])
        await eventually(lambda: edge.ended is not None)
        assert not agent.messages


async def test_an_edge_of_others_with_a_forged_certificate_is_refused(
    bench: Bench, tmp_path: Path
) -> None:
    bench.agent = End(AGENT_HELLO)
    elsewhere = tmp_path / "elsewhere"
    create_authority(elsewhere)
    forged = issue(elsewhere, Role.EDGE, "edge-1")
    trusting = TlsFiles(bench.files().ca, forged.certificate, forged.key)
    async with judge(bench, trusting) as edge:
        await eventually(lambda: edge.ended is not None)
        assert edge.ended is not None
        assert edge.ended.error_code & 0x100  # a TLS alert; RFC 9001, section 4.8
        assert bench.agent.link.transport_name == "none"
        async with judge(
            bench, forged
        ) as doubting:  # it does not know the agent's authority
            await eventually(lambda: doubting.ended is not None)
            assert doubting.handshake is None
            assert bench.agent.link.transport_name == "none"
            bench.agent.link.close("test ends")


# Traces in the format of qlog


class Trace:
    """What one side of one connection has logged."""

    def __init__(self, log: QuicLogger, number: int = -1) -> None:
        trace: dict[str, Any] = log.to_dict()["traces"][number]
        self.side = trace["vantage_point"]["type"]
        self.events: list[dict[str, Any]] = trace["events"]

    def packets(self, what: str, kind: str) -> list[dict[str, Any]]:
        return [
            event["data"]
            for event in self.events
            if event["name"] == f"transport:packet_{what}"
            and event["data"].get("header", {}).get("packet_type") == kind
        ]

    def carried(self, what: str, kind: str) -> int:
        """Return how many bytes of streams such packets had."""
        return sum(
            frame.get("length", 0)
            for packet in self.packets(what, kind)
            for frame in packet["frames"]
            if frame["frame_type"] == "stream"
        )


class Traced:
    """Two connections of one edge: the first is a stranger's, the second resumed."""

    def __init__(self, ours: QuicLogger, theirs: QuicLogger) -> None:
        self.first, self.second = Trace(ours, 0), Trace(ours, 1)
        self.served_first, self.served_second = Trace(theirs, 0), Trace(theirs, 1)


@pytest.fixture
async def traced(tmp_path: Path) -> Traced:
    create_authority(tmp_path)
    bench = Bench(tmp_path, "quic")
    ours, theirs = QuicLogger(), QuicLogger()
    credentials = LinkCredentials.load(issue(tmp_path, Role.REGION_AGENT, "home"))
    listener = await serve_quic(
        lambda: bench.agent.link, "127.0.0.1", 0, credentials=credentials, log=theirs
    )
    address = f"127.0.0.1:{listener.port}"
    dialer = bench.dialer(log=ours)
    for _ in range(2):
        bench.agent = bench.new(AGENT_HELLO)
        edge = bench.new(EDGE_HELLO)
        await dialer.connect(edge.link, address, timeout_s=30.0)
        await eventually(lambda: all(end.ready for end in bench.ends))
        await eventually(lambda: dialer.resumable(address))
    for end in bench.ends:
        end.link.close("test ends")
    await dialer.aclose()
    await listener.aclose()
    return Traced(ours, theirs)


def test_traces_show_that_a_stranger_proves_its_address(traced: Traced) -> None:
    assert traced.first.side == "client"
    assert traced.served_first.side == "server"
    # Before that there is no connection, and so no trace, on the listener's side.
    (asked,) = traced.first.packets("received", "retry")
    assert len(traced.first.packets("sent", "initial")) >= 2
    proven = traced.served_first.packets("received", "initial")[0]
    assert proven["header"]["dcid"] == asked["header"]["scid"]
    assert traced.second.packets("received", "retry") == []


def test_traces_show_that_hello_comes_as_early_data(traced: Traced) -> None:
    assert traced.first.packets("sent", "0RTT") == []
    assert traced.served_first.packets("received", "0RTT") == []
    said = traced.second.carried("sent", "0RTT")
    assert said >= len(control(LINK_CHANNEL, 0, EDGE_HELLO))
    assert traced.served_second.carried("received", "0RTT") == said


def test_traces_show_that_the_answer_takes_one_round_trip(traced: Traced) -> None:
    served = traced.served_second
    names = [event["name"] for event in served.events]
    kinds = [e["data"].get("header", {}).get("packet_type") for e in served.events]
    finished = list(zip(names, kinds, strict=True)).index(
        ("transport:packet_received", "handshake")
    )
    # The agent says hello before it has heard the end of the handshake.
    served.events = served.events[:finished]
    hello = len(control(LINK_CHANNEL, 0, AGENT_HELLO))
    assert served.carried("sent", "1RTT") >= hello
