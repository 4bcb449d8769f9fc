"""Twilio Media Streams, sans-I/O: what Twilio says, and what it may be told.

After `receive` raised MediaStreamError the socket must be closed with code 1008.

Source: Twilio, "Media Streams - WebSocket Messages".
"""

import binascii
import json
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import pybase64

from backhaul.errors import MediaStreamError

__all__ = [
    "CLEAR_EVENT",
    "MediaStreamCounters",
    "MediaStreamEvent",
    "MediaStreamProtocol",
    "StreamDtmf",
    "StreamMark",
    "StreamMedia",
    "StreamStarted",
    "StreamStopped",
]

CLEAR_EVENT = "clear"


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """The first message that tells whose call this is."""

    stream_sid: str
    call_sid: str
    account_sid: str
    parameters: dict[str, str]


class StreamMedia(msgspec.Struct, frozen=True, gc=False):
    """Caller audio: raw mu-law, 8 kHz mono, usually but not always 20 ms."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class StreamDtmf:
    """The caller pressed a key."""

    digit: str


class StreamMark(msgspec.Struct, frozen=True, gc=False):
    """A mark of ours was reached, or flushed by a clear."""

    name: str


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """The stream ends: the caller hung up or the call was redirected."""


MediaStreamEvent = StreamStarted | StreamMedia | StreamDtmf | StreamMark | StreamStopped


@dataclass(slots=True)
class MediaStreamCounters:
    """What was tolerated on one stream."""

    media_received: int = 0
    frames_dropped: int = 0
    """Messages that could not be used: bad base64, empty, malformed."""
    sequence_gaps: int = 0
    sequence_backwards: int = 0
    unknown_events: int = 0


class _MediaFormat(msgspec.Struct):
    encoding: str
    sampleRate: int  # noqa: N815 - Twilio's name
    channels: int


class _StartBody(msgspec.Struct, rename="camel"):
    call_sid: str
    account_sid: str
    media_format: _MediaFormat
    custom_parameters: dict[str, str] = {}


class _MediaBody(msgspec.Struct):
    payload: str
    track: str = "inbound"


class _DtmfBody(msgspec.Struct):
    digit: str


class _MarkBody(msgspec.Struct):
    name: str


class _Event(msgspec.Struct, tag_field="event", rename="camel"):
    pass


class _Connected(_Event, tag="connected"):
    pass


class _SidEvent(_Event):
    # Twilio sends digits as strings in some places and as numbers in others.
    stream_sid: str
    sequence_number: str | int = ""


class _Start(_SidEvent, tag="start", kw_only=True):
    start: _StartBody


class _Media(_SidEvent, tag="media", kw_only=True):
    media: _MediaBody


class _Dtmf(_SidEvent, tag="dtmf", kw_only=True):
    dtmf: _DtmfBody


class _Mark(_SidEvent, tag="mark", kw_only=True):
    mark: _MarkBody


class _Stop(_SidEvent, tag="stop"):
    pass


class _AnyEvent(msgspec.Struct):
    event: str = ""


# What Twilio really sends, of the two kinds that come by the thousand: every field is
# there, as a string.


class _UsualMediaBody(msgspec.Struct, gc=False):
    track: Literal["inbound"]
    chunk: str
    timestamp: str
    payload: bytes  # in base64


class _UsualMarkBody(msgspec.Struct, gc=False):
    name: str


class _UsualEvent(msgspec.Struct, tag_field="event", rename="camel", gc=False):
    stream_sid: str
    sequence_number: str


class _UsualMedia(_UsualEvent, tag="media"):
    media: _UsualMediaBody


class _UsualMark(_UsualEvent, tag="mark"):
    mark: _UsualMarkBody


_MEDIA_QUOTES: Final = 2 * (8 + 7)
"""Quotation marks around the keys and strings of a usual media message. When there are
no more, there is no further key: none occurs twice, and all parsers read the same."""
_MARK_QUOTES: Final = 2 * (5 + 4)
"""The same for a mark."""


_KNOWN_EVENTS = frozenset({"connected", "start", "media", "dtmf", "mark", "stop"})
_decoder = msgspec.json.Decoder(_Connected | _Start | _Media | _Dtmf | _Mark | _Stop)
_usual_decoder = msgspec.json.Decoder(_UsualMedia | _UsualMark)
_any_decoder = msgspec.json.Decoder(_AnyEvent)
_encoder = msgspec.json.Encoder()
_DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class MediaStreamProtocol:
    """One Media Stream from Twilio's first message to its last."""

    def __init__(self, *, max_bad_frames: int) -> None:
        """Await `start`.

        Args:
            max_bad_frames: After so many unusable messages the stream is refused.
        """
        self.counters = MediaStreamCounters()
        self._max_bad_frames = max_bad_frames
        self._stream_sid = ""
        self._stopped = False
        self._next_sequence = 0
        self._media_prefix = b""

    @property
    def started(self) -> bool:
        """Whether `start` was received."""
        return bool(self._stream_sid)

    def receive(self, message: bytes) -> MediaStreamEvent | None:
        """Return what *message* says; None when there is nothing to act on.

        Raises:
            MediaStreamError: If the socket must be closed.
        """
        try:
            event = _usual_decoder.decode(message)
        except _DECODE_ERRORS:
            return self._on_unusual(message)
        if isinstance(event, _UsualMedia):
            audio = event.media.payload
            if not audio or message.count(b'"') != _MEDIA_QUOTES:
                return self._on_unusual(message)
            self._check(event.stream_sid, event.sequence_number)
            self.counters.media_received += 1
            return StreamMedia(audio)
        if message.count(b'"') != _MARK_QUOTES:
            return self._on_unusual(message)
        self._check(event.stream_sid, event.sequence_number)
        return StreamMark(event.mark.name)

    def encode_media(self, audio: bytes) -> bytes:
        """Return a media message that plays *audio* (raw mu-law)."""
        return self._media_prefix + pybase64.b64encode(audio) + b'"}}'

    def encode_clear(self) -> bytes:
        """Return the message that drops what was sent and not yet played."""
        return _encoder.encode({"event": CLEAR_EVENT, "streamSid": self._stream_sid})

    def encode_mark(self, name: str) -> bytes:
        """Return the message that Twilio sends back when all before it was played."""
        return _encoder.encode(
            {"event": "mark", "streamSid": self._stream_sid, "mark": {"name": name}}
        )

    def _on_unusual(self, message: bytes) -> MediaStreamEvent | None:
        try:
            event = _decoder.decode(message)
        except _DECODE_ERRORS:
            self._on_undecodable(message)
            return None
        if isinstance(event, _Connected):
            return None
        if _has_duplicate_keys(message):
            self._on_undecodable(message)
            return None
        if isinstance(event, _Start):
            return self._on_start(event)
        return self._on_event(event)

    def _on_event(
        self, event: _Media | _Dtmf | _Mark | _Stop
    ) -> MediaStreamEvent | None:
        self._check(event.stream_sid, event.sequence_number)
        match event:
            case _Media():
                return self._on_media(event.media)
            case _Dtmf():
                return StreamDtmf(event.dtmf.digit)
            case _Mark():
                return StreamMark(event.mark.name)
            case _Stop():  # pragma: no branch - the last of all kinds
                self._stopped = True
                return StreamStopped()

    def _on_media(self, media: _MediaBody) -> StreamMedia | None:
        try:
            audio = pybase64.b64decode(media.payload, validate=True)
        except (binascii.Error, ValueError):
            audio = b""
        if not audio or media.track != "inbound":
            self._drop()
            return None
        self.counters.media_received += 1
        return StreamMedia(audio)

    def _on_start(self, event: _Start) -> StreamStarted:
        if self._stream_sid:
            raise MediaStreamError("second start")
        given = event.start.media_format
        if (given.encoding, given.sampleRate, given.channels) != (
            "audio/x-mulaw",
            8000,
            1,
        ):
            raise MediaStreamError("media format is not 8 kHz mono mu-law")
        if not event.stream_sid:
            raise MediaStreamError("start without a streamSid")
        self._stream_sid = event.stream_sid
        self._count_sequence(event.sequence_number)
        sid = _encoder.encode(event.stream_sid)
        self._media_prefix = (
            b'{"event":"media","streamSid":' + sid + b',"media":{"payload":"'
        )
        return StreamStarted(
            stream_sid=event.stream_sid,
            call_sid=event.start.call_sid,
            account_sid=event.start.account_sid,
            parameters=event.start.custom_parameters,
        )

    def _check(self, stream_sid: str, sequence_number: str | int) -> None:
        if stream_sid != self._stream_sid or self._stopped:
            raise MediaStreamError(self._why_refused())
        self._count_sequence(sequence_number)

    def _why_refused(self) -> str:
        if not self._stream_sid:
            return "message before start"
        return "message after stop" if self._stopped else "message of another stream"

    def _count_sequence(self, text: str | int) -> None:
        try:
            number = int(text)
        except ValueError:
            return
        if number != self._next_sequence and self._next_sequence:
            if number < self._next_sequence:
                self.counters.sequence_backwards += 1
                return
            self.counters.sequence_gaps += 1
        self._next_sequence = number + 1

    def _on_undecodable(self, message: bytes) -> None:
        try:
            name = _any_decoder.decode(message).event
        except _DECODE_ERRORS:
            name = ""
        if name and name not in _KNOWN_EVENTS:
            self.counters.unknown_events += 1
        elif name == "start":
            raise MediaStreamError("start cannot be read")
        else:
            self._drop()

    def _drop(self) -> None:
        self.counters.frames_dropped += 1
        if self.counters.frames_dropped > self._max_bad_frames:
            raise MediaStreamError("too many unusable messages")


def _has_duplicate_keys(message: bytes) -> bool:
    """Tell whether JSON parsers may differ: in which of two equal keys they believe."""
    try:
        _strict_decoder.decode(message.decode())
    except (ValueError, RecursionError):
        return True
    return False


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError


_strict_decoder: Final = json.JSONDecoder(object_pairs_hook=_refuse_duplicates)
