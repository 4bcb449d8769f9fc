"""The UDP port of an agent: every QUIC link that edges have dialled."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, cast

from aioquic._buffer import Buffer
from aioquic.quic.connection import NetworkAddress
from aioquic.quic.logger import QuicLogger
from aioquic.quic.packet import QuicHeader, pull_quic_header

from backhaul.clock import monotonic_s
from backhaul.credentials import LinkCredentials
from backhaul.transports.base import TransportEvents
from backhaul.transports.quic_admission import (
    IDENTIFIER_BYTES,
    Admission,
    Admitted,
    QuicCounters,
)
from backhaul.transports.quic_connection import LinkConnection
from backhaul.transports.quic_tls import TicketStore, quic_configuration
from backhaul.transports.quic_transport import QuicTransport
from backhaul.transports.sockets import udp_socket

__all__ = ["QuicListener", "serve_quic"]

_LEAST_INITIAL_BYTES: Final = 1200
"""Source: RFC 9000, section 14.1."""
_LONG_HEADER: Final = 0x80


class QuicListener(asyncio.DatagramProtocol):
    """Every QUIC link of one UDP port; strangers have to prove their address first."""

    def __init__(
        self,
        accept: Callable[[], TransportEvents],
        credentials: LinkCredentials,
        *,
        handshake_timeout_s: float,
        log: QuicLogger | None = None,
    ) -> None:
        self._accept = accept
        self._credentials = credentials
        self._handshake_timeout_s = handshake_timeout_s
        self._configuration = quic_configuration(credentials, is_client=False, log=log)
        self._admission = Admission(self._configuration.supported_versions)
        self._tickets = TicketStore()
        self._by_identifier: dict[bytes, QuicTransport] = {}
        self._handshakes: dict[QuicTransport, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()
        self._udp: asyncio.DatagramTransport | None = None
        self._stopping = False
        self._idle = asyncio.Event()

    @property
    def port(self) -> int:
        """The UDP port; 0 when it does not listen."""
        if self._udp is None:
            return 0
        port: int = self._udp.get_extra_info("sockname")[1]
        return port

    @property
    def counters(self) -> QuicCounters:
        """What became of those who asked for a connection."""
        return self._admission.counters

    @property
    def connection_count(self) -> int:
        """Connections that are not over yet, those in a handshake included."""
        return len(set(self._by_identifier.values()))

    async def aclose(self) -> None:
        """Take no more connections, and close every one when its peer has read all."""
        self._stopping = True
        for quic in set(self._by_identifier.values()):
            quic.close("agent stops")
        self._note_idle()
        await self._idle.wait()  # no longer than a connection's own grace
        if self._udp is not None:
            self._udp.close()
            self._udp = None

    def _note_idle(self) -> None:
        if self._stopping and not self._by_identifier:
            self._idle.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the socket."""
        self._udp = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401
        """Hand a datagram to its connection, or begin a new one."""
        if data and not data[0] & _LONG_HEADER:
            quic = self._by_identifier.get(data[1 : 1 + IDENTIFIER_BYTES])
            if quic is not None:
                quic.receive(data, addr)
            return
        try:
            buffer = Buffer(data=data)
            header = pull_quic_header(buffer, host_cid_length=IDENTIFIER_BYTES)
        except ValueError:
            return
        quic = self._by_identifier.get(header.destination_cid)
        if quic is None and len(data) >= _LEAST_INITIAL_BYTES:
            quic = self._begin(header, addr)
        if quic is not None:
            quic.receive(data, addr)

    def _begin(self, header: QuicHeader, addr: NetworkAddress) -> QuicTransport | None:
        if self._stopping:
            return None
        verdict = self._admission.judge(header, addr, now=monotonic_s())
        if isinstance(verdict, Admitted):
            return self._connect(header.destination_cid, verdict, addr[0])
        if verdict is not None:
            self._send(verdict, addr)
        return None

    def _connect(self, first: bytes, admitted: Admitted, host: str) -> QuicTransport:
        connection = LinkConnection(
            credentials=self._credentials,
            configuration=self._configuration,
            tickets=self._tickets,
            original_destination_connection_id=admitted.original,
            retry_source_connection_id=admitted.retried,
        )
        quic = QuicTransport(
            connection, accept=self._accept, send=self._send, is_client=False
        )
        identifiers = {first, connection.host_cid}
        self._by_identifier.update(dict.fromkeys(identifiers, quic))

        def on_identifier(identifier: bytes, used: bool) -> None:
            if used:
                identifiers.add(identifier)
                self._by_identifier[identifier] = quic
            else:
                identifiers.discard(identifier)
                self._by_identifier.pop(identifier, None)

        def on_gone(reason: str) -> None:  # noqa: ARG001
            self._end_handshake(quic, host)
            for known in identifiers:
                self._by_identifier.pop(known, None)
            self._note_idle()

        def on_handshake_done() -> None:
            self._end_handshake(quic, host)
            self._admission.authenticated(host)

        quic.on_identifier = on_identifier
        quic.on_gone = on_gone
        quic.on_handshake_done = on_handshake_done
        self._begin_handshake(quic, host)
        return quic

    def _begin_handshake(self, quic: QuicTransport, host: str) -> None:
        self._admission.begun(host)
        self._handshakes[quic] = self._loop.call_later(
            self._handshake_timeout_s, self._give_up, quic
        )

    def _end_handshake(self, quic: QuicTransport, host: str) -> None:
        timer = self._handshakes.pop(quic, None)
        if timer is not None:
            timer.cancel()
            self._admission.ended(host)

    def _give_up(self, quic: QuicTransport) -> None:
        self.counters.handshakes_timed_out += 1
        quic.abort("handshake took too long")

    def _send(self, data: bytes, address: NetworkAddress) -> None:
        if self._udp is not None:
            self._udp.sendto(data, address)


async def serve_quic(
    accept: Callable[[], TransportEvents],
    host: str,
    port: int,
    *,
    credentials: LinkCredentials,
    handshake_timeout_s: float = 5.0,
    log: QuicLogger | None = None,
) -> QuicListener:
    """Listen for QUIC links; *accept* makes the receiver of each one.

    Raises:
        OSError: If the UDP port cannot be had.
    """
    loop = asyncio.get_running_loop()
    listener = QuicListener(
        accept, credentials, handshake_timeout_s=handshake_timeout_s, log=log
    )
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    family, _, _, _, own = found[0]
    await loop.create_datagram_endpoint(
        lambda: listener, sock=udp_socket(family, own=own)
    )
    return listener
