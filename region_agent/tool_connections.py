"""Warm HTTP connections to one endpoint: carries out what its pool decides."""

import asyncio
import itertools
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import h2.exceptions
import httpcore2
import structlog

from backhaul.clock import monotonic_s
from backhaul.core.warm_pool import WarmPool
from backhaul.core.warm_pool_events import (
    CloseConnection,
    ConnectionLost,
    ConnectionOpened,
    ConnectionReleased,
    ConnectionRequested,
    ConnectionSpent,
    Drained,
    LendConnection,
    OpenConnection,
    OpenFailed,
    RefuseRequest,
    WarmPoolAction,
    WarmPoolConfig,
    WarmPoolEvent,
)
from backhaul.driver import LoopDriver
from backhaul.errors import EndpointError, EndpointUnreachableError
from backhaul.tasks import TaskOwner
from region_agent.guarded_network import Endpoint, GuardedNetwork
from region_agent.network_stream import NetworkStream

__all__ = ["TURNS", "Answer", "AnswerTooLargeError", "ToolConnections"]

_OPEN_TIMEOUT_S: Final = 10.0
_USES: Final = 32
"""Requests at once on one HTTP/2 connection; servers allow 100 as a rule."""
TURNS: Final = 64
"""Requests at once to one endpoint; further ones wait within their timeout."""
_FAREWELL_S: Final = 3.0
"""A server that says goodbye may answer what it has for so long (s). Some never do."""

_BROKEN = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    httpcore2.ConnectionNotAvailable,
    h2.exceptions.H2Error,
    OSError,
    ValueError,  # of a status line or header that httpcore2 did not check
)
"""What httpcore2 raises when the peer breaks off or breaks the protocol."""

_log = structlog.get_logger()


class AnswerTooLargeError(Exception):
    """The answer is larger than asked for; what came was thrown away.

    Attributes:
        status: The HTTP status it came with.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the answer ({status}) is too large")
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answered; the body is there as a whole."""

    status: int
    headers: dict[bytes, bytes]
    """Names in lower case; of repeated ones the last."""
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Connection:
    stream: NetworkStream
    http: httpcore2.AsyncHTTP11Connection | httpcore2.AsyncHTTP2Connection

    @property
    def reusable(self) -> bool:
        return self.http.is_available() and not self.http.has_expired()


class ToolConnections:
    """Connections to one endpoint, kept open between requests."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        config: WarmPoolConfig,
        network: GuardedNetwork,
        rng: random.Random,
    ) -> None:
        self.endpoint = endpoint
        self.pool = WarmPool(config=config, rng=rng, now=monotonic_s())
        self._network = network
        self._origin = httpcore2.Origin(
            b"https" if endpoint.secure else b"http",
            endpoint.host.encode(),
            endpoint.port,
        )
        self._turns = asyncio.Semaphore(TURNS)
        self._tickets = itertools.count(1)
        self._given: dict[int, int] = {}
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._connections: dict[int, _Connection] = {}
        self._opening: set[int] = set()
        self._failing = False
        self._tasks = TaskOwner()
        self._driver: LoopDriver[WarmPoolEvent, WarmPoolAction] | None = None

    def start(self) -> None:
        """Begin to open connections; needs a running event loop."""
        self._driver = LoopDriver(self.pool, self._perform)
        self._driver.start()

    async def aclose(self) -> None:
        """Cut every connection."""
        self._feed(Drained())
        if self._driver is not None:
            self._driver.close()
        await self._tasks.aclose()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(self._unreachable("the agent stops"))
        for connection in self._connections.values():
            connection.stream.abort()

    async def exchange(self, request: httpcore2.Request, *, max_bytes: int) -> Answer:
        """Send *request* and return the whole answer; the caller sets a timeout.

        A connection whose answer failed, was cut or cancelled is never used again.

        Raises:
            AnswerTooLargeError: If the body is larger than *max_bytes*.
            EndpointError: If there is no connection to be had, or it broke.
        """
        async with self._turns, self._borrowed() as connection:
            try:
                return await _exchange(connection.http, request, max_bytes)
            except _BROKEN as exc:
                raise self._unreachable(type(exc).__name__) from exc

    @asynccontextmanager
    async def _borrowed(self) -> AsyncGenerator[_Connection, None]:
        number = self._request()
        reusable = False
        try:
            if (waiting := self._waiting.get(number)) is not None:
                await waiting
            connection = self._connections.get(number)
            if connection is None:
                raise self._unreachable("closed at once")
            yield connection
            reusable = connection.reusable
        finally:
            self._waiting.pop(number, None)
            self._feed(ConnectionReleased(number, reusable))

    def _request(self) -> int:
        """Return the number of a connection that is open or about to be."""
        while True:
            ticket = next(self._tickets)
            self._feed(ConnectionRequested(ticket))
            number = self._given.pop(ticket, None)
            if number is None:
                raise self._unreachable("too many requests at once")
            connection = self._connections.get(number)
            if connection is None or not connection.http.has_expired():
                return number
            # An idle connection on which something came: it is about to end.
            self._feed(ConnectionLost(number))
            self._cut(number)

    # What the pool orders

    def _feed(self, event: WarmPoolEvent) -> None:
        if self._driver is not None:
            self._driver.feed(event)

    def _perform(self, action: WarmPoolAction) -> None:
        match action:
            case OpenConnection(number, ticket):
                if ticket is not None:
                    self._given[ticket] = number
                    waiting = asyncio.get_running_loop().create_future()
                    self._waiting[number] = waiting
                self._opening.add(number)
                name = f"tool-connection:{self.endpoint.label}"
                self._tasks.spawn(self._open(number), name=name)
            case LendConnection(ticket, number):
                self._given[ticket] = number
            case RefuseRequest():
                pass
            case CloseConnection(number):
                self._cut(number)

    def _cut(self, number: int) -> None:
        self._opening.discard(number)
        connection = self._connections.pop(number, None)
        if connection is not None:
            connection.stream.abort()

    async def _open(self, number: int) -> None:
        try:
            stream = await self._network.connect(
                self.endpoint, timeout_s=_OPEN_TIMEOUT_S
            )
        except EndpointError as exc:
            self._on_open_failed(number, exc)
            return
        if number not in self._opening:
            stream.abort()  # no longer wanted
        elif stream.ended:
            self._on_open_failed(number, self._unreachable("closed at once"))
        else:
            self._on_opened(number, stream)

    def _on_opened(self, number: int, stream: NetworkStream) -> None:
        self._opening.discard(number)
        self._failing = False
        stream.on_ended = lambda: self._on_ended(number)
        http: httpcore2.AsyncHTTP11Connection | httpcore2.AsyncHTTP2Connection
        if stream.speaks_http2:
            http, max_uses = httpcore2.AsyncHTTP2Connection(self._origin, stream), _USES
        else:
            http, max_uses = httpcore2.AsyncHTTP11Connection(self._origin, stream), 1
        self._connections[number] = _Connection(stream, http)
        self._feed(ConnectionOpened(number, max_uses))
        if stream.speaks_http2:
            stream.watch_http2(lambda: self._on_going_away(number, stream))
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _on_going_away(self, number: int, stream: NetworkStream) -> None:
        self._feed(ConnectionSpent(number))
        asyncio.get_running_loop().call_later(_FAREWELL_S, stream.abort)

    def _on_open_failed(self, number: int, error: EndpointError) -> None:
        self._opening.discard(number)
        if not self._failing:  # once, not at every further try
            self._failing = True
            _log.warning(
                "tool_endpoint.unreachable",
                endpoint=self.endpoint.label,
                reason=str(error),
            )
        self._feed(OpenFailed(number))
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)

    def _unreachable(self, reason: str) -> EndpointUnreachableError:
        return EndpointUnreachableError(self.endpoint.host, reason)

    def _on_ended(self, number: int) -> None:
        if self._connections.pop(number, None) is not None:
            self._feed(ConnectionLost(number))


async def _exchange(
    http: httpcore2.AsyncConnectionInterface, request: httpcore2.Request, max_bytes: int
) -> Answer:
    response = await http.handle_async_request(request)
    try:
        headers = {name.lower(): value for name, value in response.headers}
        if int(headers.get(b"content-length", b"0")) > max_bytes:
            raise AnswerTooLargeError(response.status)
        body = bytearray()
        async for piece in response.aiter_stream():
            body += piece
            if len(body) > max_bytes:
                raise AnswerTooLargeError(response.status)
        return Answer(response.status, headers, bytes(body))
    finally:
        await response.aclose()
