"""One Media Stream of one call: opens it, answers the peer and ends it."""

import asyncio
import ssl
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from backhaul.clock import monotonic_s
from lab.media_player import MediaPlayer
from lab.media_socket import MediaSocket, StreamConnectError, open_media_socket
from lab.media_wire import Mark, Media, MediaMessageError, MediaWire
from lab.twilio_report import CallLog

__all__ = ["LegEnd", "MediaLeg"]

_OPEN_TIMEOUT_S = 5.0
_CONGESTED, _BINARY, _INVALID = 31930, 31950, 31951
_NORMAL, _UNSUPPORTED, _POLICY = 1000, 1003, 1008
"""Twilio does not document the close codes it uses."""


class LegEnd(Enum):
    """Why a Media Stream is over."""

    HUNG_UP = auto()
    CLOSED = auto()
    NOT_OPENED = auto()


class MediaLeg:
    """One Media Stream.

    Attributes:
        marks: Marks received.
        marks_echoed: Marks sent back.
        close_code: What the socket ended with, None while it has not.
        failure: The first Twilio error number of this stream, 0 while there is none.
    """

    def __init__(self, wire: MediaWire, player: MediaPlayer, log: CallLog) -> None:
        self.marks = 0
        self.marks_echoed = 0
        self.close_code: int | None = None
        self.failure = 0
        self._wire = wire
        self._player = player
        self._log = log
        self._socket: MediaSocket | None = None
        self._congested = False

    async def run(
        self,
        url: str,
        signature: str,
        *,
        ssl_context: ssl.SSLContext | None,
        hung_up: asyncio.Future[None],
        on_start: Callable[[], None],
    ) -> LegEnd:
        """Stream until the peer closes or *hung_up* is done.

        *on_start* is called in the moment `start` goes out.
        """
        try:
            socket = await open_media_socket(
                url,
                {"x-twilio-signature": signature},
                self._on_message,
                ssl_context=ssl_context,
                timeout_s=_OPEN_TIMEOUT_S,
            )
        except StreamConnectError as exc:
            self._fail(exc.twilio_code, exc.reason)
            return LegEnd.NOT_OPENED
        try:
            socket.send(self._wire.connected())
            on_start()
            socket.send(self._wire.start())
            self._socket = socket
            if self.failure:
                socket.close(_POLICY)
            # Bounded by the longest duration of the call, which sets hung_up.
            over: set[asyncio.Future[Any]] = {socket.ended, hung_up}
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
            return await self._finish(socket, hung_up=hung_up.done())
        finally:
            self._socket = None
            socket.abort()
            self._player.cut(now=monotonic_s())

    def send_audio(self, frame: bytes) -> bool:
        """Send 20 ms of caller audio; return False when the peer cannot take it."""
        socket = self._socket
        if socket is None or not socket.is_open:
            return False
        sent = socket.send(self._wire.media(frame))
        if not sent and not self._congested:
            self._congested = True
            self._fail(_CONGESTED, "caller audio dropped, the peer reads too slowly")
        return sent

    def send_digit(self, digit: str) -> None:
        """Send one touch tone."""
        if self._socket is not None:
            self._socket.send(self._wire.dtmf(digit))

    def expire(self, *, now: float) -> None:
        """Echo the marks that are due."""
        self._echo(self._player.expire(now=now))

    async def _finish(self, socket: MediaSocket, *, hung_up: bool) -> LegEnd:
        if not socket.ended.done():
            socket.send(self._wire.stop())
            socket.close(_NORMAL)
        end = await socket.ended
        self.close_code = end.close_code
        if end.twilio_code and not self.failure:
            self._fail(end.twilio_code, f"socket ended with {end.close_code}")
        return LegEnd.HUNG_UP if hung_up else LegEnd.CLOSED

    def _on_message(self, message: bytes, is_text: bool) -> None:
        if self.failure in {_BINARY, _INVALID}:
            return
        if not is_text:
            self._refuse(_BINARY, "binary message", _UNSUPPORTED)
            return
        try:
            self._obey(message)
        except MediaMessageError as exc:
            self._refuse(_INVALID, str(exc), _POLICY)

    def _obey(self, text: bytes) -> None:
        now = monotonic_s()
        message = self._wire.parse(text)
        if isinstance(message, Media):
            self._player.media(message.payload, now=now)
        elif isinstance(message, Mark):
            self.marks += 1
            self._log.note(f"mark {message.name}", at=now)
            self._echo(self._player.mark(message.name, now=now))
        else:
            self._log.note("clear", at=now)
            self._echo(self._player.clear(now=now))

    def _echo(self, names: tuple[str, ...]) -> None:
        for name in names:
            if self._socket is not None and self._socket.send(self._wire.mark(name)):
                self.marks_echoed += 1
                self._log.note(f"mark echoed {name}")

    def _refuse(self, twilio_code: int, reason: str, close_code: int) -> None:
        self._fail(twilio_code, reason)
        if self._socket is not None:
            self._socket.close(close_code)

    def _fail(self, twilio_code: int, reason: str) -> None:
        self.failure = self.failure or twilio_code
        self._log.error(twilio_code, reason)
