"""One QUIC connection that we have dialled, and its socket.

The socket is connected, for only then does the kernel say that nobody listens at the
other end: a killed agent is noticed at once, not when its heartbeats are overdue.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import structlog

from backhaul.clock import monotonic_s
from backhaul.tasks import TaskOwner
from backhaul.transports.base import TransportEvents
from backhaul.transports.quic_connection import LinkConnection
from backhaul.transports.quic_transport import QuicTransport
from backhaul.transports.sockets import SocketAddress, udp_socket

__all__ = ["QuicClient"]

_PROBE_TIMEOUTS: Final = 1
"""Silence after a refusal that proves it true, in QUIC's own probe timeouts: a living
peer has two packets to answer in that time. Source: RFC 9002, section 6.2.1."""
_LEAST_PATIENCE_S: Final = 0.1
"""Between near hosts a probe timeout is shorter than a busy one takes to answer (s)."""
_DIAL_PATIENCE_S: Final = 0.25
"""A peer may be about to listen, and no call waits for a dial (s)."""
_REFUSED: Final = "nobody listens at the other end"
_LEAST_BETWEEN_MOVES_S: Final = 1.0

_log = structlog.get_logger()


class QuicClient(asyncio.DatagramProtocol):
    """Carries one connection's datagrams, from another address when it has to.

    The kernel hands on what any router says (ICMP), and whoever guesses our port can
    forge it: it is not shown which of our packets is meant, which RFC 9000, section
    14.2.1, wants to see checked. So nothing is believed before the peer has been asked:
    only one that stays silent as well is given up.

    Attributes:
        connected: Whether the handshake is done.
        refusals: How often the kernel said that nobody listens.
        on_settled: Told why there is no link, or nothing when there is one; the first
            time counts.
        on_gone: Told once when there is nothing left to close.
    """

    def __init__(
        self,
        connection: LinkConnection,
        events: TransportEvents,
        *,
        family: int,
        target: SocketAddress,
        tasks: TaskOwner,
    ) -> None:
        """Make a connection that is not dialled yet.

        Args:
            connection: Runs the protocol.
            events: Hears of the link.
            family: Of the address.
            target: Where the peer listens.
            tasks: Runs what takes time.
        """
        self.quic = QuicTransport(
            connection, accept=lambda: events, send=self._send, is_client=True
        )
        self.quic.on_handshake_done = self._on_handshake_done
        self.quic.on_gone = self._on_gone
        self.connected = False
        self.refusals = 0
        self.on_settled: Callable[[str], None] = lambda _: None
        self.on_gone: Callable[[], None] = lambda: None
        self._family = family
        self._target = target
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._udp: asyncio.DatagramTransport | None = None
        self._dialled = False
        self._gone = False
        self._doubt: asyncio.TimerHandle | None = None
        self._may_move_at = 0.0

    async def dial(self) -> None:
        """Begin the handshake.

        Raises:
            OSError: If there is no way to the peer from here.
        """
        await self._open_socket()
        self._dialled = True
        self.quic.dial(self._target)

    def give_up(self, reason: str) -> None:
        """Close at once, dialled or not."""
        if self._dialled:
            self.quic.abort(reason)
        else:
            self._on_gone(reason)

    # The socket

    async def _open_socket(self) -> None:
        udp = udp_socket(self._family, peer=self._target)
        await self._loop.create_datagram_endpoint(lambda: self, sock=udp)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Use this socket from now on."""
        old, self._udp = self._udp, cast("asyncio.DatagramTransport", transport)
        if old is not None:
            old.close()
        if self._gone:
            self._udp.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401, ARG002
        """Take a datagram; the kernel has seen to it that it is the peer's."""
        self._trust()
        self.quic.receive(data, self._target)

    def error_received(self, exc: Exception) -> None:
        """Find out what is wrong when the kernel says that something is."""
        if self._gone:
            return
        if isinstance(exc, ConnectionRefusedError):
            self._ask_for_life()
        elif self.connected and monotonic_s() >= self._may_move_at:
            # The address that this socket has may not be ours any more.
            self._may_move_at = monotonic_s() + _LEAST_BETWEEN_MOVES_S
            self._tasks.spawn(self._move(), name="quic:move")

    def _send(self, data: bytes, address: Any) -> None:  # noqa: ANN401, ARG002
        if self._udp is not None:
            self._udp.sendto(data)

    # Whether anybody is there

    def _ask_for_life(self) -> None:
        self.refusals += 1
        if self._doubt is not None:
            return
        patience_s = max(
            _PROBE_TIMEOUTS * self.quic.connection.probe_timeout_s,
            _LEAST_PATIENCE_S if self.connected else _DIAL_PATIENCE_S,
        )
        self._doubt = self._loop.call_later(patience_s, lambda: self.give_up(_REFUSED))
        if self.connected:  # before that, QUIC itself asks again and again
            self.quic.connection.send_ping(0)
            self.quic.transmit()

    def _trust(self) -> None:
        if self._doubt is not None:
            self._doubt.cancel()
            self._doubt = None

    # Another address

    async def _move(self) -> None:
        try:
            await self._open_socket()
        except OSError as exc:
            _log.info("link.not_moved", transport=self.quic.name, errno=exc.errno)
            return
        # Two addresses with one identifier would tell onlookers that they are one.
        # Source: RFC 9000, section 9.5.
        self.quic.connection.change_connection_id()
        self.quic.connection.send_ping(0)
        self.quic.transmit()

    # How it went

    def _on_handshake_done(self) -> None:
        self.connected = True
        self.on_settled("")

    def _on_gone(self, reason: str) -> None:
        self._gone = True
        self._trust()
        if self._udp is not None:
            self._udp.close()
        self.on_settled(reason)
        self.on_gone()
