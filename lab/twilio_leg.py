"""One Media Stream of one call: opens it, answers the peer and ends it."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from backhaul.clock import monotonic_s
from lab.media_player import MediaPlayer
from lab.media_socket import MediaSocket, StreamConnectError, open_media_socket
from lab.media_wire import Mark, Media, MediaMessageError, MediaWire
from lab.twilio_report import CallLog

__all__ = ["LegEnd", "MarkFact", "MediaLeg"]

_OPEN_TIMEOUT_S = 5.0
_CONGESTED, _OVERRUN, _BINARY, _INVALID = 31930, 31931, 31950, 31951
_MAX_MARK_FACTS = 10_000
_NORMAL, _UNSUPPORTED, _POLICY, _NO_CLOSE_FRAME = 1000, 1003, 1008, 1006
"""Twilio does not document the close codes it uses."""


class LegEnd(Enum):
    """Why a Media Stream is over."""

    HUNG_UP = auto()
    CLOSED = auto()
    VANISHED = auto()
    """The connection broke, without a word of the peer."""
    NOT_OPENED = auto()


@dataclass(slots=True)
class MarkFact:
    """One mark; *received_bytes* counts the call's audio before it."""

    name: str
    at: float
    received_bytes: int
    echoed_at: float | None = None
    cleared: bool = False


class MediaLeg:
    """One Media Stream.

    Attributes:
        marks: Marks received.
        marks_echoed: Marks sent back.
        mark_facts: The marks; the ten thousand first ones.
        unplayed_bytes: Audio that was still to be played when the peer closed it.
        closed_after_voice_s: From the end of the last audible frame until then, None
            unless the peer closed it and the caller heard something.
        close_code: What the socket ended with, None while it has not.
        failure: The first Twilio error number of this stream, 0 while there is none.
    """

    def __init__(self, wire: MediaWire, player: MediaPlayer, log: CallLog) -> None:
        self.marks = 0
        self.marks_echoed = 0
        self.mark_facts: list[MarkFact] = []
        self.unplayed_bytes = 0
        self.closed_after_voice_s: float | None = None
        self.close_code: int | None = None
        self.failure = 0
        self._wire = wire
        self._player = player
        self._log = log
        self._socket: MediaSocket | None = None
        self._congested = False
        self._overrun = False
        self._pending: deque[MarkFact] = deque()

    async def run(
        self,
        url: str,
        signature: str,
        *,
        ssl_context: ssl.SSLContext | None,
        hung_up: asyncio.Future[None],
        on_start: Callable[[], None],
        reads_slowly: bool = False,
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
                reads_slowly=reads_slowly,
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
            if not hung_up.done():
                self._cut_voice(socket.closed_at or monotonic_s())
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

    def set_reading(self, *, reads: bool) -> None:
        """Stop or go on reading what the peer sends."""
        if self._socket is not None:
            self._socket.set_reading(reads=reads)

    def expire(self, *, now: float) -> None:
        """Echo the marks that are due."""
        self._echo(self._player.expire(now=now))

    def _cut_voice(self, now: float) -> None:
        """Stop playing in the moment in which the peer closed, not when TCP did."""
        self.unplayed_bytes = self._player.buffered_bytes(now=now)
        last = self._player.bursts[-1] if self._player.bursts else None
        if last is not None and last.audible_until is not None:
            self.closed_after_voice_s = now - last.audible_until
        self._player.cut(now=now)

    async def _finish(self, socket: MediaSocket, *, hung_up: bool) -> LegEnd:
        if not socket.ended.done():
            socket.send(self._wire.stop())
            socket.close(_NORMAL)
        end = await socket.ended
        self.close_code = end.close_code
        if end.twilio_code and not self.failure:
            self._fail(end.twilio_code, f"socket ended with {end.close_code}")
        if hung_up:
            return LegEnd.HUNG_UP
        vanished = self.close_code == _NO_CLOSE_FRAME
        return LegEnd.VANISHED if vanished else LegEnd.CLOSED

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
            self._play(message.payload, now)
        elif isinstance(message, Mark):
            self.marks += 1
            self._log.note(f"mark {message.name}", at=now)
            self._note_mark(message.name, now)
            self._echo(self._player.mark(message.name, now=now))
        else:
            self._log.note("clear", at=now)
            self._echo(self._player.clear(now=now), cleared=True)

    def _play(self, payload: bytes, now: float) -> None:
        discarded = self._player.discarded_bytes
        self._player.media(payload, now=now)
        if self._player.discarded_bytes > discarded and not self._overrun:
            self._overrun = True  # warned of once per stream
            self._log.error(_OVERRUN, "more than ten minutes of audio queued")

    def _note_mark(self, name: str, now: float) -> None:
        fact = MarkFact(name, now, len(self._player.received))
        self._pending.append(fact)
        if len(self.mark_facts) < _MAX_MARK_FACTS:
            self.mark_facts.append(fact)

    def _echo(self, names: tuple[str, ...], *, cleared: bool = False) -> None:
        """Send marks back; they come in the order in which they were received."""
        for name in names:
            fact = self._pending.popleft()
            if self._socket is not None and self._socket.send(self._wire.mark(name)):
                fact.echoed_at, fact.cleared = monotonic_s(), cleared
                self.marks_echoed += 1
                self._log.note(f"mark echoed {name}")

    def _refuse(self, twilio_code: int, reason: str, close_code: int) -> None:
        self._fail(twilio_code, reason)
        if self._socket is not None:
            self._socket.close(close_code)

    def _fail(self, twilio_code: int, reason: str) -> None:
        self.failure = self.failure or twilio_code
        self._log.error(twilio_code, reason)
