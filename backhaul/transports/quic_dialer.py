"""Opens QUIC links to agents, and resumes the sessions that it had with them."""

import asyncio
import socket

from aioquic.quic.logger import QuicLogger

from backhaul.credentials import LinkCredentials
from backhaul.errors import LinkConnectError
from backhaul.tasks import TaskOwner
from backhaul.transports.base import TransportEvents
from backhaul.transports.quic_client import QuicClient
from backhaul.transports.quic_connection import LinkConnection
from backhaul.transports.quic_tls import TicketStore, quic_configuration

__all__ = ["QuicDialer"]


class QuicDialer:
    """Opens QUIC links; a session that was had before is resumed with early data."""

    def __init__(
        self, credentials: LinkCredentials, *, log: QuicLogger | None = None
    ) -> None:
        self._credentials = credentials
        self._log = log
        self._tickets = TicketStore()
        self._clients: set[QuicClient] = set()
        self._tasks = TaskOwner()
        self._idle = asyncio.Event()
        self._idle.set()

    async def aclose(self) -> None:
        """Close every connection when its peer has read all, within its grace."""
        for client in list(self._clients):
            client.quic.close("edge stops")
        await self._idle.wait()
        await self._tasks.aclose()

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
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        client: QuicClient | None = None
        try:
            async with asyncio.timeout(timeout_s):
                client = await self._client(events, address, outcome)
                await client.dial()
                failure = await outcome
        except TimeoutError:
            failure = f"no answer within {timeout_s:g} s"
        except OSError as exc:
            raise LinkConnectError(address, str(exc)) from exc
        finally:
            if client is not None and not client.connected:
                client.give_up("not connected in time")
        if failure:
            raise LinkConnectError(address, failure)

    async def _client(
        self, events: TransportEvents, address: str, outcome: asyncio.Future[str]
    ) -> QuicClient:
        host, _, port = address.rpartition(":")
        found = await asyncio.get_running_loop().getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_DGRAM
        )
        family, _, _, _, target = found[0]
        client = QuicClient(
            self._connection(address),
            events,
            family=family,
            target=target,
            tasks=self._tasks,
        )

        def settle(failure: str) -> None:
            if not outcome.done():
                outcome.set_result(failure)

        def forget() -> None:
            self._clients.discard(client)
            if not self._clients:
                self._idle.set()

        client.on_settled = settle
        client.on_gone = forget
        self._clients.add(client)
        self._idle.clear()
        return client

    def _connection(self, address: str) -> LinkConnection:
        return LinkConnection(
            credentials=self._credentials,
            configuration=quic_configuration(
                self._credentials, is_client=True, log=self._log
            ),
            tickets=self._tickets,
            ticket_key=address.encode(),
        )
