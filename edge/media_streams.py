"""The Media Streams listener: Twilio's audio WebSockets, on picows callbacks."""

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import cast

import aiofastnet
import structlog
from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener

from backhaul.batcher import Batcher
from backhaul.transports.upgrades import websocket_server
from edge.call import Call
from edge.calls import Calls
from edge.core.signature import media_url_candidates, signature_matches
from edge.media_stream import MediaStream
from edge.metrics import EdgeMetrics
from edge.open_streams import OpenStreams
from edge.settings import EdgeSettings
from edge.siblings import LOOPBACK
from edge.stream_relay import StreamRelays
from edge.tickets import TicketRefusal

__all__ = ["MEDIA_PATH", "MediaStreams"]

MEDIA_PATH = "/twilio/media/"

_TOKEN_CHARS = 32
"""Tokens of this edge's own calls; tickets are longer."""

_log = structlog.get_logger()

_UpgradeAnswer = WSUpgradeResponseWithListener


class MediaStreams:
    """Accepts the Media Streams that a webhook of this or another edge announced."""

    def __init__(
        self,
        settings: EdgeSettings,
        *,
        calls: Calls,
        batcher: Batcher,
        take_over: Callable[[str], Call | TicketRefusal],
        call_sid_of: Callable[[str], str | None],
        metrics: EdgeMetrics,
    ) -> None:
        """Know whose streams may come.

        Args:
            settings: The edge's.
            calls: Those that this edge has answered.
            batcher: Has the links send what callers say.
            take_over: Returns the call behind a ticket of another edge.
            call_sid_of: Returns whose ticket it is, without redeeming it.
            metrics: Where streams are counted.
        """
        self._settings = settings
        self._calls = calls
        self._take_over = take_over
        self._call_sid_of = call_sid_of
        self._open = OpenStreams(batcher)
        self._relays = StreamRelays(
            self._open,
            metrics,
            connect_timeout_s=settings.start_timeout_s,
            max_bytes=settings.max_message_bytes,
        )
        self._private: asyncio.Server | None = None
        self._metrics = metrics
        self._keys = tuple(key.reveal() for key in settings.twilio_auth_tokens)
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None  # noqa: S101 - narrows the type
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self, *, context: ssl.SSLContext | None) -> None:
        """Begin to listen."""
        host, port = self._settings.listen_host, self._settings.media_port
        own = self._calls.siblings.own
        if own is None:
            self._server = await self._listen(self._on_upgrade, host, port, context)
            return
        self._private = await self._listen(
            self._on_upgrade, LOOPBACK, own.media_port, None, shared=True
        )
        self._server = await self._listen(
            self._on_anyones_upgrade, host, port, context, shared=True
        )

    async def aclose(self) -> None:
        """Stop listening; end all streams, and hear the carrier's answers to that."""
        for server in (self._server, self._private):
            if server is not None:
                server.close()
        await self._open.aclose()
        await self._relays.aclose()

    async def _listen(
        self,
        answer: Callable[[WSUpgradeRequest], _UpgradeAnswer],
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        *,
        shared: bool = False,
    ) -> asyncio.Server:
        settings = self._settings
        return await aiofastnet.create_server(
            cast("asyncio.AbstractEventLoop", self._open.reads),
            partial(
                websocket_server,
                answer,
                handshake_timeout_s=settings.start_timeout_s,
                max_message_bytes=settings.max_message_bytes,
                ping_after_s=settings.media_idle_timeout_s,
            ),
            host,
            port,
            ssl=context,
            ssl_handshake_timeout=settings.start_timeout_s if context else None,
            backlog=1024,
            reuse_port=shared or None,
        )

    def _on_anyones_upgrade(self, request: WSUpgradeRequest) -> _UpgradeAnswer:
        """Answer for a stream of this worker's call, or of another one's."""
        token = request.path.decode("latin-1").removeprefix(MEDIA_PATH).rstrip("/")
        is_ticket = len(token) > _TOKEN_CHARS
        name = (self._call_sid_of(token) or "") if is_ticket else token
        other = self._calls.siblings.other(name)
        if other is None or not self._is_signed(request):
            return self._on_upgrade(request)
        return WSUpgradeResponseWithListener(
            WSUpgradeResponse.create_101_response(),
            self._relays.accept(request, other),
        )

    def _is_signed(self, request: WSUpgradeRequest) -> bool:
        path = request.path.decode("latin-1")
        signature = request.headers.get("X-Twilio-Signature", "")
        candidates = media_url_candidates(self._settings.media_base_url, path)
        return signature_matches(signature, keys=self._keys, candidates=candidates)

    def _on_upgrade(self, request: WSUpgradeRequest) -> _UpgradeAnswer:
        path = request.path.decode("latin-1")
        token = path.removeprefix(MEDIA_PATH).rstrip("/")
        if token == path:
            return self._refuse(404, "unknown_path")
        if not self._is_signed(request):
            return self._refuse(403, "signature_invalid")
        call = self._calls.take_token(token) or self._take_over(token)
        if isinstance(call, TicketRefusal):
            is_ticket = len(token) > _TOKEN_CHARS
            return self._refuse(403, call.value if is_ticket else "token_invalid")
        self._metrics.streams.labels(outcome="accepted").inc()
        return WSUpgradeResponseWithListener(
            WSUpgradeResponse.create_101_response(),
            MediaStream(call, self._settings, self._metrics, self._open),
        )

    def _refuse(self, status: int, outcome: str) -> _UpgradeAnswer:
        self._metrics.streams.labels(outcome=outcome).inc()
        _log.warning("media_stream.refused", outcome=outcome)
        response = WSUpgradeResponse.create_error_response(status)
        return WSUpgradeResponseWithListener(response, None)
