"""One call inside a link: sequence numbers, its handler, and its end."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from backhaul.core.frames import SEQUENCE_MODULUS, Frame, FrameKind
from backhaul.core.messages import (
    Close,
    CloseReason,
    Message,
    Open,
    decode_message,
    encode_message,
)
from backhaul.errors import RemoteProtocolError

if TYPE_CHECKING:
    from backhaul.links import Link

__all__ = ["MAX_AUDIO_BYTES", "Channel", "ChannelHandler", "LinkCounters"]

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
        """The other side closed the channel, or the link is gone; called once."""
        ...


@dataclass(slots=True)
class LinkCounters:
    """What passed over one link, and what was refused on it."""

    frames_received: int = 0
    frames_replayed: int = 0
    frames_missing: int = 0
    batches_refused: int = 0
    batches_sent: int = 0

    def add(self, other: "LinkCounters") -> None:
        """Add what *other* counted."""
        self.frames_received += other.frames_received
        self.frames_replayed += other.frames_replayed
        self.frames_missing += other.frames_missing
        self.batches_refused += other.batches_refused
        self.batches_sent += other.batches_sent


class Channel:
    """One call inside a link."""

    __slots__ = (
        "_closed",
        "_handler",
        "_link",
        "_next_received",
        "_next_sent",
        "number",
    )

    def __init__(self, link: "Link", number: int) -> None:
        self.number = number
        self._link = link
        self._handler: ChannelHandler | None = None
        self._closed = False
        # By kind: what is reliable must not be dropped for speech that overtook it.
        self._next_sent = dict.fromkeys(FrameKind, 0)
        self._next_received = dict.fromkeys(FrameKind, 0)

    @property
    def link(self) -> "Link":
        """The link that carries this channel."""
        return self._link

    def send_audio(self, audio: bytes) -> None:
        """Send raw mu-law of any length; goes out with the next flush."""
        if len(audio) <= MAX_AUDIO_BYTES:
            self._send(FrameKind.AUDIO, audio)
            return
        for start in range(0, len(audio), MAX_AUDIO_BYTES):
            self._send(FrameKind.AUDIO, audio[start : start + MAX_AUDIO_BYTES])

    def send(self, message: Message) -> None:
        """Send a message of this call."""
        self._send(FrameKind.CONTROL, encode_message(message))

    def close(self, reason: CloseReason) -> None:
        """Tell the other side and forget the channel; does nothing twice."""
        if not self._closed:
            self.send(Close(reason))
            self._forget()

    def bind(self, handler: ChannelHandler) -> None:
        """Name who receives what arrives; a closed channel receives nothing."""
        if not self._closed:
            self._handler = handler

    def _send(self, kind: FrameKind, payload: bytes) -> None:
        sequence = self._next_sent[kind]
        self._next_sent[kind] = (sequence + 1) % SEQUENCE_MODULUS
        self._link.queue(kind, self.number, sequence, payload)

    def receive(self, frame: Frame) -> None:
        """Take a frame for this channel; a replayed one is dropped and counted."""
        expected = self._next_received[frame.kind]
        ahead = (frame.sequence - expected) % SEQUENCE_MODULUS
        if ahead:
            if ahead > SEQUENCE_MODULUS // 2:
                self._link.counters.frames_replayed += 1
                return
            self._link.counters.frames_missing += ahead
        self._next_received[frame.kind] = (frame.sequence + 1) % SEQUENCE_MODULUS
        if self._handler is None:
            return
        if frame.kind is FrameKind.AUDIO:
            self._handler.on_audio(frame.payload)
            return
        message = decode_message(frame.payload)
        if isinstance(message, Open):
            raise RemoteProtocolError("channel opened twice")
        if isinstance(message, Close):
            self.drop(message.reason)
        else:
            self._handler.on_message(message)

    def drop(self, reason: CloseReason) -> None:
        """Forget the channel because of the other side or the link; tells the call."""
        handler = self._handler
        self._forget()
        if handler is not None:
            handler.on_channel_closed(reason)

    def _forget(self) -> None:
        self._closed = True
        self._handler = None
        self._link.forget(self)
