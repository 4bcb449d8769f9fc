"""The Realtime stand-in's sockets: upgrades, sessions and their messages."""

import asyncio
import dataclasses
import functools
import json
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from backhaul.clock import monotonic_s, unix_s
from backhaul.driver import LoopDriver
from lab.model_script import ScriptQueue
from lab.realtime_control import RealtimeControl
from lab.realtime_events import RefusedEventError
from lab.realtime_faults import Fault, FaultPlan
from lab.realtime_mind import Mind
from lab.realtime_record import Ledger, SessionRecord
from lab.realtime_session import (
    BecomeDeaf,
    BecomeMute,
    BecomeZombie,
    ExpireNow,
    MessageReceived,
    RealtimeSession,
    SessionEvent,
)
from lab.realtime_timeline import Action, Ids, RealtimeLatency, SendText
from lab.speech_files import all_lines

__all__ = ["RealtimeServer", "RealtimeServerSettings"]

_PATH = "/v1/realtime"
_MAX_MESSAGE_BYTES = 21 * 1024 * 1024
"""15 MiB of audio in base64, and some room around it."""

_MODELS = (
    "gpt-realtime-2.1",
    "gpt-realtime-2.1-mini",
    "gpt-realtime-2",
    "gpt-realtime-1.5",
    "gpt-realtime",
    "gpt-realtime-mini",
)

_STRIKES: Final[dict[Fault, SessionEvent]] = {
    Fault.EXPIRE_NOW: ExpireNow(),
    Fault.ZOMBIE_NOW: BecomeZombie(),
    Fault.MUTE_NOW: BecomeMute(),
    Fault.DEAF_NOW: BecomeDeaf(),
}
"""The faults that happen to live sessions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeServerSettings:
    """How the stand-in is set up."""

    host: str = "127.0.0.1"
    port: int = 0
    """Of the WebSocket server; 0 picks a free one."""
    control_port: int = 0
    """Of the HTTP control endpoint; 0 picks a free one."""
    seed: int = 1
    """Of all latencies and identifiers."""
    api_keys: frozenset[str] = frozenset({"sk-lab"})
    """Accepted as ``Authorization: Bearer``; any other is answered 401."""
    models: tuple[str, ...] = _MODELS
    latency: RealtimeLatency = dataclasses.field(default_factory=RealtimeLatency)
    recalls: bool = False
    """Whether ordinary replies follow from what was said before, and each turn is noted
    down by the function `note`, where a session has one."""
    minds: Callable[[], Mind] | None = None
    """Makes who hears and answers in a session; None: prepared lines do."""
    session_lifetime_s: float = 3600.0
    """Until a session expires; the real one has 60 minutes."""
    send_timeout_s: float = 30.0
    """How long a client may leave its socket unread before it is closed."""
    max_queued_messages: int = 4096
    """Most messages waiting for one client; one more closes its socket."""


class RealtimeServer:
    """The stand-in in this process: ``async with RealtimeServer(settings) as server``.

    Attributes:
        ledger: What all sessions heard and said.
        faults: What is to go wrong.
        scripts: What the model is to do in the calls to come.
    """

    def __init__(self, settings: RealtimeServerSettings | None = None) -> None:
        self.settings = settings or RealtimeServerSettings()
        self.ledger = Ledger()
        self.faults = FaultPlan()
        self.scripts = ScriptQueue()
        self._rng = random.Random(self.settings.seed)  # noqa: S311
        self._server: Server | None = None
        self._live: dict[str, LoopDriver[SessionEvent, Action]] = {}
        self._control = RealtimeControl(
            self.ledger,
            self.faults,
            self.scripts,
            {fault: functools.partial(self.strike, fault) for fault in _STRIKES},
        )
        self._control_port = 0

    @property
    def port(self) -> int:
        """The WebSocket server's port."""
        if self._server is None:
            raise RuntimeError("the server is not running")
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def base_url(self) -> str:
        """What a client calls its (WebSocket) base URL, ending in ``/v1``."""
        return f"ws://{self.settings.host}:{self.port}/v1"

    @property
    def url(self) -> str:
        """The endpoint; clients add ``?model=...``."""
        return f"{self.base_url}/realtime"

    @property
    def control_url(self) -> str:
        """The control endpoint, without a path."""
        return f"http://{self.settings.host}:{self._control_port}"

    @property
    def sessions(self) -> list[SessionRecord]:
        """The known sessions, oldest first."""
        return self.ledger.sessions()

    async def __aenter__(self) -> Self:
        """Start listening."""
        settings = self.settings
        all_lines()  # read from disk before the first call
        self._server = await serve(
            self._serve,
            settings.host,
            settings.port,
            process_request=self._answer_upgrade,
            compression=None,
            max_size=_MAX_MESSAGE_BYTES,
            # A ping per session would make idle sessions cost something.
            ping_interval=None,
            close_timeout=2,
        )
        self._control_port = await self._control.start(
            settings.host, settings.control_port
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every session and stop listening."""
        await self._control.aclose()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def strike(
        self, fault: Fault, count: int, named: Collection[str] | None = None
    ) -> int:
        """Let *fault* happen to the *count* oldest live sessions; return to how many.

        Only to those *named*; None: all.

        Raises:
            KeyError: If it is none that happens to live sessions.
        """
        event, live = _STRIKES[fault], self._live.items()
        able = (driver for name, driver in live if named is None or name in named)
        drivers = list(islice(able, count))
        for driver in drivers:
            driver.feed(event)
        return len(drivers)

    def expire_session(self, session_id: str) -> None:
        """Let one live session expire.

        Raises:
            KeyError: If it is not live.
        """
        self._live[session_id].feed(ExpireNow())

    async def _answer_upgrade(
        self, connection: ServerConnection, request: Request
    ) -> Response | None:
        """Refuse the upgrade, or take the first part of its latency."""
        refusal = self._upgrade_refusal(connection, request)
        if refusal is not None:
            self.ledger.refuse(refusal.status_code)
            return refusal
        await asyncio.sleep(self._connect_share())
        return None

    def _upgrade_refusal(
        self, connection: ServerConnection, request: Request
    ) -> Response | None:
        target = urlsplit(request.path)
        if target.path != _PATH:
            return _problem(connection, HTTPStatus.NOT_FOUND, "not_found")
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or key not in self.settings.api_keys:
            return _problem(connection, HTTPStatus.UNAUTHORIZED, "invalid_api_key")
        if not parse_qs(target.query).get("model"):
            return _problem(connection, HTTPStatus.BAD_REQUEST, "missing_model")
        if limited := self.faults.take(Fault.RATE_LIMITED):
            status = HTTPStatus.TOO_MANY_REQUESTS
            response = _problem(connection, status, "rate_limit_exceeded")
            response.headers["Retry-After"] = f"{limited.seconds:g}"
            return response
        if self.faults.take(Fault.SERVER_ERROR):
            status = HTTPStatus.SERVICE_UNAVAILABLE
            return _problem(connection, status, "server_error")
        return None

    def _connect_share(self) -> float:
        """Return one of the two parts (s) of a connection's latency."""
        return self._rng.uniform(*self.settings.latency.connect_s) / 2

    async def _serve(self, connection: ServerConnection) -> None:
        if self.faults.take(Fault.SILENT):
            await self._ignore(connection)
            return
        rng = random.Random(self._rng.getrandbits(64))  # noqa: S311
        ids = Ids(rng)
        model, refusal = self._admit(connection)
        record = self.ledger.open(ids.make("sess"), model, now=monotonic_s())
        record.expires_at = int(unix_s() + self.settings.session_lifetime_s)
        session = RealtimeSession(
            record=record,
            ids=ids,
            rng=rng,
            latency=self.settings.latency,
            connect_s=self._connect_share(),
            lifetime_s=self.settings.session_lifetime_s,
            lines=all_lines(),
            faults=self.faults,
            scripts=self.scripts,
            refusal=refusal,
            recalls=self.settings.recalls,
            mind=self.settings.minds() if self.settings.minds else None,
            now=monotonic_s(),
        )
        try:
            await self._run(connection, session, record)
        finally:
            self.ledger.close(record, connection.close_code, now=monotonic_s())

    def _admit(
        self, connection: ServerConnection
    ) -> tuple[str, RefusedEventError | None]:
        request = connection.request
        if request is None:
            raise RuntimeError("a connection without its request")
        model = parse_qs(urlsplit(request.path).query)["model"][0]
        if "OpenAI-Beta" in request.headers:
            return model, RefusedEventError(
                "beta_api_shape_disabled", "The Realtime Beta API has ended."
            )
        if model not in self.settings.models:
            return model, RefusedEventError(
                "model_not_found", f"The model '{model}' does not exist."
            )
        return model, None

    async def _ignore(self, connection: ServerConnection) -> None:
        """Read and forget, until the client gives up."""
        try:
            async for _ in connection:
                pass
        except ConnectionClosed:
            return

    async def _run(
        self,
        connection: ServerConnection,
        session: RealtimeSession,
        record: SessionRecord,
    ) -> None:
        outgoing: asyncio.Queue[Action] = asyncio.Queue()

        def perform(action: Action) -> None:
            if outgoing.qsize() > self.settings.max_queued_messages:
                connection.transport.abort()
                return
            outgoing.put_nowait(action)

        driver = LoopDriver(session, perform)
        self._live[record.session_id] = driver
        record.state = "open"
        driver.start()
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(connection, outgoing, record))
                await self._read(connection, driver)
                writer.cancel()
        finally:
            driver.close()
            del self._live[record.session_id]

    async def _read(
        self, connection: ServerConnection, driver: LoopDriver[SessionEvent, Action]
    ) -> None:
        try:
            async for message in connection:
                driver.feed(MessageReceived(message))
        except ConnectionClosed:
            return

    async def _write(
        self,
        connection: ServerConnection,
        outgoing: asyncio.Queue[Action],
        record: SessionRecord,
    ) -> None:
        try:
            while True:
                action = await outgoing.get()
                if not isinstance(action, SendText):
                    record.closing_at = monotonic_s()
                    await connection.close(action.code, action.reason)
                    return
                async with asyncio.timeout(self.settings.send_timeout_s):
                    await connection.send(action.text, text=True)
        except TimeoutError:
            connection.transport.abort()
        except ConnectionClosed:
            return


def _problem(connection: ServerConnection, status: HTTPStatus, code: str) -> Response:
    error = {"message": status.description or status.phrase, "type": code, "code": code}
    response = connection.respond(status, json.dumps({"error": error}))
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    return response
