"""The QUIC transport: who dials, who listens, and which address must prove itself."""

import asyncio
import os
import socket
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, cast

from aioquic._buffer import Buffer
from aioquic.quic.connection import NetworkAddress
from aioquic.quic.logger import QuicLogger
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler

from backhaul.clock import monotonic_s
from backhaul.credentials import LinkCredentials
from backhaul.errors import LinkConnectError
from backhaul.transports.base import TransportEvents
from backhaul.transports.quic_connection import LinkConnection
from backhaul.transports.quic_tls import TicketStore, quic_configuration
from backhaul.transports.quic_transport import QuicTransport

__all__ = ["QuicDialer", "QuicListener", "serve_quic"]

_RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""The kernel's default lost 6 % of 10,000 datagrams a second."""
_LEAST_INITIAL_BYTES: Final = 1200
"""Source: RFC 9000, section 14.1."""
_IDENTIFIER_BYTES: Final = 8
_LONG_HEADER: Final = 0x80
_MAX_KNOWN_ADDRESSES: Final = 4096
_MAX_UNPROVEN: Final = 16
"""Handshakes under way beyond which even known addresses must prove themselves."""
_MAX_HANDSHAKES: Final = 256
"""Handshakes under way beyond which there are no new ones."""


class QuicDialer:
    """Opens QUIC links; a session that was had before is resumed with early data."""

    def __init__(
        self, credentials: LinkCredentials, *, log: QuicLogger | None = None
    ) -> None:
        self._credentials = credentials
        self._log = log
        self._tickets = TicketStore()
        self._endpoints: set[_ClientEndpoint] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def aclose(self) -> None:
        """Close every connection when its peer has read all, within its grace."""
        for endpoint in list(self._endpoints):
            endpoint.quic.close("edge stops")
        await self._idle.wait()

    def _forget(self, endpoint: "_ClientEndpoint") -> None:
        self._endpoints.discard(endpoint)
        if not self._endpoints:
            self._idle.set()

    def resumable(self, address: str) -> bool:
        """Tell whether the next link to *address* can resume a session."""
        return address.encode() in self._tickets

    async def connect(
        self, events: TransportEvents, address: str, *, timeout_s: float
    ) -> None:
        """Open a link to *address* (host:port); *events* hears of it.

        Raises:
            LinkConnectError: If the handshake fails or times out.
        """
        loop = asyncio.get_running_loop()
        host, _, port = address.rpartition(":")
        outcome: asyncio.Future[str] = loop.create_future()
        endpoint: _ClientEndpoint | None = None
        try:
            async with asyncio.timeout(timeout_s):
                found = await loop.getaddrinfo(
                    host.strip("[]"), int(port), type=socket.SOCK_DGRAM
                )
                family, _, _, _, target = found[0]
                endpoint = _ClientEndpoint(
                    self._connection(address), events, outcome, self._forget
                )
                self._endpoints.add(endpoint)
                self._idle.clear()
                await loop.create_datagram_endpoint(
                    lambda: cast("asyncio.DatagramProtocol", endpoint),
                    sock=_udp_socket(family, None),
                )
                endpoint.quic.dial(target)
                failure = await outcome
        except TimeoutError:
            failure = f"no answer within {timeout_s:g} s"
        except OSError as exc:
            raise LinkConnectError(address, str(exc)) from exc
        finally:
            if endpoint is not None and not endpoint.connected:
                endpoint.quic.abort("not connected in time")
        if failure:
            raise LinkConnectError(address, failure)

    def _connection(self, address: str) -> LinkConnection:
        return LinkConnection(
            credentials=self._credentials,
            configuration=quic_configuration(
                self._credentials, is_client=True, log=self._log
            ),
            tickets=self._tickets,
            ticket_key=address.encode(),
        )


class _ClientEndpoint(asyncio.DatagramProtocol):
    """The socket of one dialled connection."""

    def __init__(
        self,
        connection: LinkConnection,
        events: TransportEvents,
        outcome: asyncio.Future[str],
        forget: Callable[["_ClientEndpoint"], None],
    ) -> None:
        self.quic = QuicTransport(
            connection, accept=lambda: events, send=self._send, is_client=True
        )
        self.quic.on_handshake_done = lambda: self._settle("")
        self.quic.on_gone = self._on_gone
        self.connected = False
        self._outcome = outcome
        self._forget = forget
        self._udp: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._udp = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401
        self.quic.receive(data, addr)

    def _send(self, data: bytes, address: NetworkAddress) -> None:
        if self._udp is not None:
            self._udp.sendto(data, address)

    def _settle(self, failure: str) -> None:
        self.connected = self.connected or not failure
        if not self._outcome.done():
            self._outcome.set_result(failure)

    def _on_gone(self, reason: str) -> None:
        self._settle(reason)
        if self._udp is not None:
            self._udp.close()
        self._forget(self)


class QuicListener(asyncio.DatagramProtocol):
    """Every QUIC link of one UDP port.

    An address nobody authenticated from yet must prove that it is its own (Retry), so
    that nobody can make us work for, or send to, one who did not ask.
    """

    def __init__(
        self,
        accept: Callable[[], TransportEvents],
        credentials: LinkCredentials,
        *,
        handshake_timeout_s: float,
        log: QuicLogger | None = None,
    ) -> None:
        self.retries_sent = 0
        self._accept = accept
        self._credentials = credentials
        self._handshake_timeout_s = handshake_timeout_s
        self._configuration = quic_configuration(credentials, is_client=False, log=log)
        self._tickets = TicketStore()
        self._tokens = QuicRetryTokenHandler()
        self._known: OrderedDict[str, None] = OrderedDict()
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
            quic = self._by_identifier.get(data[1 : 1 + _IDENTIFIER_BYTES])
            if quic is not None:
                quic.receive(data, addr)
            return
        try:
            buffer = Buffer(data=data)
            header = pull_quic_header(buffer, host_cid_length=_IDENTIFIER_BYTES)
        except ValueError:
            return
        quic = self._by_identifier.get(header.destination_cid)
        if quic is None and len(data) >= _LEAST_INITIAL_BYTES:
            quic = self._begin(header, addr)
        if quic is not None:
            quic.receive(data, addr)

    def _begin(self, header: QuicHeader, addr: NetworkAddress) -> QuicTransport | None:
        if header.version not in self._configuration.supported_versions:
            if header.packet_type is not QuicPacketType.VERSION_NEGOTIATION:
                self._send(
                    encode_quic_version_negotiation(
                        source_cid=header.destination_cid,
                        destination_cid=header.source_cid,
                        supported_versions=self._configuration.supported_versions,
                    ),
                    addr,
                )
            return None
        if header.packet_type is not QuicPacketType.INITIAL:
            return None
        if self._stopping or len(self._handshakes) >= _MAX_HANDSHAKES:
            return None
        if header.token:
            return self._begin_proven(header, addr)
        if addr[0] in self._known and len(self._handshakes) < _MAX_UNPROVEN:
            return self._connect(header, header.destination_cid, None)
        self._ask_for_proof(header, addr)
        return None

    def _begin_proven(
        self, header: QuicHeader, addr: NetworkAddress
    ) -> QuicTransport | None:
        try:
            original = self._tokens.validate_token(
                address=addr,
                destination_cid=header.destination_cid,
                token=header.token,
                now=monotonic_s(),
            )
        except ValueError:
            return None
        return self._connect(header, original, header.destination_cid)

    def _ask_for_proof(self, header: QuicHeader, addr: NetworkAddress) -> None:
        self.retries_sent += 1
        identifier = os.urandom(_IDENTIFIER_BYTES)
        token = self._tokens.create_token(
            address=addr,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=identifier,
            now=monotonic_s(),
        )
        self._send(
            encode_quic_retry(
                version=header.version or 0,
                source_cid=identifier,
                destination_cid=header.source_cid,
                original_destination_cid=header.destination_cid,
                retry_token=token,
            ),
            addr,
        )

    def _connect(
        self, header: QuicHeader, original: bytes, retried: bytes | None
    ) -> QuicTransport:
        connection = LinkConnection(
            credentials=self._credentials,
            configuration=self._configuration,
            tickets=self._tickets,
            original_destination_connection_id=original,
            retry_source_connection_id=retried,
        )
        quic = QuicTransport(
            connection, accept=self._accept, send=self._send, is_client=False
        )
        identifiers = {header.destination_cid, connection.host_cid}
        self._by_identifier.update(dict.fromkeys(identifiers, quic))

        def on_identifier(identifier: bytes, used: bool) -> None:
            if used:
                identifiers.add(identifier)
                self._by_identifier[identifier] = quic
            else:
                identifiers.discard(identifier)
                self._by_identifier.pop(identifier, None)

        def on_gone(reason: str) -> None:  # noqa: ARG001
            self._end_handshake(quic)
            for identifier in identifiers:
                self._by_identifier.pop(identifier, None)
            self._note_idle()

        def on_handshake_done() -> None:
            self._end_handshake(quic)
            peer = connection.get_peer_address()
            if peer is not None:
                self._remember(peer[0])

        quic.on_identifier = on_identifier
        quic.on_gone = on_gone
        quic.on_handshake_done = on_handshake_done
        self._handshakes[quic] = self._loop.call_later(
            self._handshake_timeout_s, quic.abort, "handshake took too long"
        )
        return quic

    def _end_handshake(self, quic: QuicTransport) -> None:
        timer = self._handshakes.pop(quic, None)
        if timer is not None:
            timer.cancel()

    def _remember(self, host: str) -> None:
        self._known[host] = None
        self._known.move_to_end(host)
        if len(self._known) > _MAX_KNOWN_ADDRESSES:
            self._known.popitem(last=False)

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
    await loop.create_datagram_endpoint(lambda: listener, sock=_udp_socket(family, own))
    return listener


def _udp_socket(family: int, own: tuple[Any, ...] | None) -> socket.socket:
    udp = socket.socket(family, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        if own is None:
            own = ("::" if family == socket.AF_INET6 else "0.0.0.0", 0)  # noqa: S104
        udp.bind(own)
    except BaseException:
        udp.close()
        raise
    return udp
