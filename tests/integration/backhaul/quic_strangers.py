"""Whoever else may send datagrams to an agent: no certificate, no good intentions.

And a bystander, whom none of that must harm.
"""

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from typing import Any, cast

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from backhaul.clock import monotonic_s
from backhaul.transports.quic_tls import ALPN
from tests.integration.backhaul.links import Call, End, eventually


class Stranger(asyncio.DatagramProtocol):
    """A socket at some address, and what came back to it."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self.target = (host, int(port))
        self.received: list[bytes] = []
        self.sent_bytes = 0
        self.udp: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.udp = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002
        self.received.append(data)

    def send(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.sent_bytes += len(datagram)
            self.udp.sendto(datagram, self.target)

    def has_received(self, count: int) -> bool:
        return len(self.received) >= count

    @property
    def received_bytes(self) -> int:
        return sum(map(len, self.received))

    async def initial_with_token(self) -> tuple[bytes, QuicConnection]:
        """Prove the address; return the first packet that says so, not sent yet."""
        quic = nobody()
        quic.connect(self.target, now=monotonic_s())
        self.received.clear()
        self.send(*flight(quic))
        await eventually(lambda: bool(self.received))
        quic.receive_datagram(self.received.pop(), self.target, now=monotonic_s())
        (again,) = flight(quic)
        assert quic._peer_token in again
        return again, quic


def nobody() -> QuicConnection:
    """Return a client without a certificate."""
    return QuicConnection(
        configuration=QuicConfiguration(
            alpn_protocols=[ALPN], is_client=True, verify_mode=ssl.CERT_NONE
        )
    )


def flight(quic: QuicConnection) -> list[bytes]:
    """Return what *quic* wants to send now."""
    return [data for data, _ in quic.datagrams_to_send(now=monotonic_s())]


def first_flight() -> bytes:
    """Return the first packet of somebody new."""
    quic = nobody()
    quic.connect(("127.0.0.1", 1), now=monotonic_s())
    (initial,) = flight(quic)
    return initial


@contextlib.asynccontextmanager
async def stranger(target: str, host: str = "127.0.0.1") -> AsyncIterator[Stranger]:
    """Be somebody at *host*, who talks to *target*."""
    loop = asyncio.get_running_loop()
    _, made = await loop.create_datagram_endpoint(
        lambda: Stranger(target), local_addr=(host, 0)
    )
    try:
        yield made
    finally:
        made.udp.close()


class Bystander:
    """A link with a call on it, which has nothing to do with the attack."""

    def __init__(self, edge: End, agent: End) -> None:
        self.edge, self.agent = edge, agent
        self.call = edge.open()

    async def is_well(self) -> None:
        await eventually(lambda: bool(self.agent.calls))
        (other,) = self.agent.calls
        for mine, theirs in ((self.call, other), (other, self.call)):
            said = os.urandom(160)
            mine.open_channel.send_audio(said)
            await self._hears(theirs, said)
        assert not self.edge.closed
        assert not self.agent.closed

    async def _hears(self, call: Call, said: bytes) -> None:
        await eventually(lambda: said in call.audio)
