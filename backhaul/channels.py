"""One call between two processes, on whichever link carries it at the time."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Protocol

from backhaul.clock import monotonic_s
from backhaul.core.audio_receiver import AudioReceiver
from backhaul.core.frames import SEQUENCE_MODULUS, Frame, FrameKind
from backhaul.core.messages import (
    Arrived,
    Close,
    CloseReason,
    Hello,
    Message,
    Moved,
    Open,
    decode_message,
    encode_message,
)
from backhaul.core.send_log import SendLog
from backhaul.errors import RemoteProtocolError

if TYPE_CHECKING:
    from backhaul.channel_table import ChannelTable
    from backhaul.links import Link

__all__ = ["MAX_AUDIO_BYTES", "Channel", "ChannelHandler"]

_AUDIO: Final = FrameKind.AUDIO
_LAST_WORDS_S: Final = 0.2
"""How long speech may come after the close that overtook it (s)."""

MAX_AUDIO_BYTES = 64 * 1024
"""Largest audio in one frame (bytes), 8 s; more of it leaves as several frames."""


class ChannelHandler(Protocol):
    """One call's end of a channel."""

    def on_audio(self, audio: bytes) -> None:
        """Raw mu-law arrived from the other side."""
        ...

    def on_message(self, message: Message) -> None:
        """A message of this call arrived; never `Open` or `Close`."""
        ...

    def on_channel_closed(self, reason: CloseReason) -> None:
        """The other side closed the channel, or cannot be reached; called once."""
        ...


class Channel:
    """One call. What is sent is kept until it has arrived, to be sent again if need be.

    Attributes:
        number: Its number, the same on both sides.
        closed: Whether this side is done with it. It is still kept for a while then,
            so that its last words arrive although their link dies.
    """

    __slots__ = (
        "_acknowledged",
        "_audio",
        "_ending",
        "_grace",
        "_handler",
        "_hole",
        "_is_ours",
        "_link",
        "_log",
        "_moves",
        "_next_control",
        "_table",
        "closed",
        "number",
    )

    def __init__(
        self, table: "ChannelTable", link: "Link", number: int, *, is_ours: bool
    ) -> None:
        """Begin on *link*; *is_ours* if this side opened it, and moves it."""
        self.number = number
        self.closed = False
        self._is_ours = is_ours
        self._table = table
        self._link: Link | None = None
        self._moves = 0
        self._handler: ChannelHandler | None = None
        self._log = SendLog(number)
        self._audio = AudioReceiver(table.counters)
        self._next_control = 0
        self._acknowledged = (0, 0)
        self._ending: Close | None = None
        self._hole: asyncio.TimerHandle | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._attach(link)

    @property
    def peer(self) -> Hello:
        """Who is on the other side."""
        return self._table.peer

    @property
    def link(self) -> "Link | None":
        """The link that carries this channel; None while there is none."""
        return self._link

    @property
    def unacknowledged(self) -> int:
        """Frames sent that the other side has not acknowledged."""
        return len(self._log)

    @property
    def audio_missing(self) -> int:
        """Frames of audio that were sent to us and never came."""
        return self._audio.missing

    def send_audio(self, audio: bytes) -> None:
        """Send raw mu-law of any length; goes out with the next flush."""
        if len(audio) <= MAX_AUDIO_BYTES:
            self._send(_AUDIO, audio)
            return
        for start in range(0, len(audio), MAX_AUDIO_BYTES):
            self._send(_AUDIO, audio[start : start + MAX_AUDIO_BYTES])

    def send(self, message: Message) -> None:
        """Send a message of this call."""
        self._send(FrameKind.CONTROL, encode_message(message))

    def close(self, reason: CloseReason) -> None:
        """Tell the other side; does nothing twice."""
        if not self.closed:
            self.send(Close(reason, self._log.next_audio))
            self._shut()
            self._wait(self._table.linger_s)

    def bind(self, handler: ChannelHandler) -> None:
        """Name who receives what arrives; a closed channel receives nothing."""
        if not self.closed:
            self._handler = handler

    def give_up(self, reason: CloseReason) -> None:
        """Close the channel, and tell the call: the other side does not answer."""
        handler = self._handler
        self.close(reason)
        if handler is not None:
            handler.on_channel_closed(reason)

    def drop(self, reason: CloseReason) -> None:
        """Forget the channel because of the other side or the link; tells the call."""
        handler = self._handler
        self._shut()
        self.forget()
        if handler is not None:
            handler.on_channel_closed(reason)

    # What links and their owners call

    def move_to(self, link: "Link") -> None:
        """Go on over *link*, which leads to the same process; nothing is lost by it."""
        self._attach(link)
        self._send_again(link)
        # Behind what opens the channel, should that not have arrived.
        self._moves = (self._moves + 1) % SEQUENCE_MODULUS
        payload = encode_message(Moved(self.arrived()))
        link.queue(Frame(FrameKind.MOVE, self.number, self._moves, payload))

    def strand(self) -> None:
        """Wait a while, without a link, for the other side to move the channel."""
        self._detach()
        if self._is_ending:
            return
        if self._table.grace_s:
            self._wait(self._table.grace_s)
        else:
            self.drop(CloseReason.LINK_LOST)

    def receive(self, frame: Frame, link: "Link") -> None:
        """Take a frame that came on *link*, whichever it is; replays are dropped."""
        if frame.kind is _AUDIO:
            if self._ending is None and self._audio.take_next(frame):
                # As good as always: nothing waits, and nobody needs the time.
                if self._handler is not None:
                    self._handler.on_audio(frame.payload)
            else:
                self._receive_audio(frame)
        elif frame.kind is FrameKind.CONTROL:
            if self._is_next(frame):
                self._on_message(decode_message(frame.payload))
        elif frame.kind is FrameKind.MOVE:
            self._on_moved(frame, link)

    def arrived(self) -> Arrived:
        """Return how far the channel has arrived."""
        return Arrived(self.number, self._next_control, self._audio.next)

    def news(self) -> Arrived | None:
        """Return how far it has arrived, if that has changed since the last call."""
        present = (self._next_control, self._audio.next)
        if present == self._acknowledged:
            return None
        self._acknowledged = present
        return self.arrived()

    def acknowledge(self, arrived: Arrived) -> None:
        """The other side says how far the channel has arrived there."""
        self._log.acknowledge(control=arrived.control, audio=arrived.audio)

    def forget(self) -> None:
        """Leave no trace of the channel."""
        self._detach()
        for timer in (self._hole, self._grace):
            if timer is not None:
                timer.cancel()
        self._table.remove(self)

    # Sending

    def _send(self, kind: FrameKind, payload: bytes) -> None:
        if self.closed:
            return
        frame = self._log.append(kind, payload)
        if self._link is not None:
            self._link.queue(frame)

    def _send_again(self, link: "Link") -> None:
        for frame in self._log.unacknowledged():
            link.queue(frame)

    # Receiving

    def _receive_audio(self, frame: Frame) -> None:
        self._hear(self._audio.receive(frame, now=monotonic_s()))
        if self._ending is not None:
            self._end_if_complete(self._ending)
        elif self._hole is None:
            self._await_hole()

    def _is_next(self, frame: Frame) -> bool:
        ahead = (frame.sequence - self._next_control) % SEQUENCE_MODULUS
        if ahead >= SEQUENCE_MODULUS // 2:
            self._table.counters.frames_doubled += 1
            return False
        self._table.counters.frames_missing += ahead
        self._next_control = (frame.sequence + 1) % SEQUENCE_MODULUS
        return True

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Close):
            self._ending = message
            self._end_if_complete(message)
        elif isinstance(message, Open):
            if self._handler is not None:
                raise RemoteProtocolError("channel opened twice")
        elif self._handler is not None:
            self._handler.on_message(message)

    def _end_if_complete(self, close: Close) -> None:
        if self._audio.has_all_before(close.audio):
            self._end(close.reason)
        elif self._grace is None:
            loop = self._table.loop
            self._grace = loop.call_later(_LAST_WORDS_S, self._end, close.reason)

    def _end(self, reason: CloseReason) -> None:
        self._hear(self._audio.flush())
        self.drop(reason)

    def _hear(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            if self._handler is not None:
                self._handler.on_audio(frame.payload)

    def _await_hole(self) -> None:
        due = self._audio.next_deadline()
        if due is not None and not self.closed:
            wait_s = max(due - monotonic_s(), 0.001)
            self._hole = self._table.loop.call_later(wait_s, self._on_waited)

    def _on_waited(self) -> None:
        self._hole = None
        self._hear(self._audio.expire(now=monotonic_s()))
        self._await_hole()

    # Coming and going

    def _on_moved(self, frame: Frame, link: "Link") -> None:
        message = decode_message(frame.payload)
        if self._is_ours or not isinstance(message, Moved):
            raise RemoteProtocolError("channel moved by the wrong side or message")
        self.acknowledge(message.arrived)
        # A link that stalled and came back may say late what is no longer true.
        ahead = (frame.sequence - self._moves) % SEQUENCE_MODULUS
        if 0 < ahead < SEQUENCE_MODULUS // 2:
            self._moves = frame.sequence
            self._attach(link)
            self._send_again(link)

    @property
    def _is_ending(self) -> bool:
        return self.closed or self._ending is not None

    def _attach(self, link: "Link") -> None:
        self._detach()
        if self._grace is not None and not self._is_ending:
            self._grace.cancel()
            self._grace = None
        self._link = link
        link.channels[self.number] = self

    def _detach(self) -> None:
        if self._link is not None:
            self._link.channels.pop(self.number, None)
            self._link = None

    def _shut(self) -> None:
        self.closed = True
        self._handler = None

    def _wait(self, wait_s: float) -> None:
        if self._grace is not None:
            self._grace.cancel()
        self._grace = self._table.loop.call_later(wait_s, self._on_grace_over)

    def _on_grace_over(self) -> None:
        self.drop(CloseReason.LINK_LOST)
