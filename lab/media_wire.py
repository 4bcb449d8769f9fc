"""Twilio's side of the Media Streams messages: builds its own, judges the peer's.

Source: Twilio's Media Streams message reference. `sequenceNumber`, `chunk` and
`timestamp` are strings of digits, `sampleRate` and `channels` are numbers.
"""

import binascii
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from backhaul.errors import TwilioError

__all__ = ["Clear", "Mark", "Media", "MediaMessageError", "MediaWire", "PeerMessage"]

_FRAME_MS = 20


class MediaMessageError(TwilioError):
    """The peer sent a text message that Twilio would not accept (31951)."""

    code: ClassVar[str] = "media_message_invalid"


class Media(msgspec.Struct, frozen=True):
    """Audio to play."""

    payload: bytes


class Mark(msgspec.Struct, frozen=True):
    """A name to echo once everything before it was played."""

    name: str


class Clear(msgspec.Struct, frozen=True):
    """An order to empty the queue."""


PeerMessage = Media | Mark | Clear


class _Payload(msgspec.Struct, forbid_unknown_fields=True):
    payload: str


class _Name(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class _FromPeer(
    msgspec.Struct, tag_field="event", rename="camel", forbid_unknown_fields=True
):
    stream_sid: str


class _MediaMessage(_FromPeer, tag="media", forbid_unknown_fields=True):
    media: _Payload


class _MarkMessage(_FromPeer, tag="mark", forbid_unknown_fields=True):
    mark: _Name


class _ClearMessage(_FromPeer, tag="clear", forbid_unknown_fields=True):
    pass


_AnyMessage = _MediaMessage | _MarkMessage | _ClearMessage


class MediaWire:
    """The messages of one Media Stream; numbers its own as Twilio does."""

    def __init__(
        self,
        *,
        stream_sid: str,
        call_sid: str,
        account_sid: str,
        parameters: Mapping[str, str],
    ) -> None:
        self.stream_sid = stream_sid
        self._sids = {"accountSid": account_sid, "callSid": call_sid}
        self._parameters = dict(parameters)
        self._sequence = 0
        self._chunk = 0
        self._decoder: msgspec.json.Decoder[_AnyMessage] = msgspec.json.Decoder(
            _MediaMessage | _MarkMessage | _ClearMessage
        )

    def connected(self) -> bytes:
        """Return the first message of a socket; it names no stream."""
        return msgspec.json.encode(
            {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        )

    def start(self) -> bytes:
        """Return the message that names the stream and its call."""
        body = {
            **self._sids,
            "streamSid": self.stream_sid,
            "tracks": ["inbound"],
            "mediaFormat": {
                "encoding": "audio/x-mulaw",
                "sampleRate": 8000,
                "channels": 1,
            },
            "customParameters": self._parameters,
        }
        return self._message("start", body)

    def media(self, frame: bytes) -> bytes:
        """Return the message for the next 20 ms of caller audio."""
        timestamp_ms = self._chunk * _FRAME_MS
        self._chunk += 1
        body = {
            "track": "inbound",
            "chunk": str(self._chunk),
            "timestamp": str(timestamp_ms),
            "payload": binascii.b2a_base64(frame, newline=False).decode("ascii"),
        }
        return self._message("media", body)

    def dtmf(self, digit: str) -> bytes:
        """Return the message for one touch tone."""
        return self._message("dtmf", {"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> bytes:
        """Return the echo of the peer's mark."""
        return self._message("mark", {"name": name})

    def stop(self) -> bytes:
        """Return the last message of a stream whose call ended or moved on."""
        return self._message("stop", self._sids)

    def parse(self, text: bytes) -> PeerMessage:
        """Return what the peer asks for.

        Raises:
            MediaMessageError: The message is not exactly one of the three documented
                ones, is for another stream, or holds no audio.
        """
        try:
            message = self._decoder.decode(text)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as exc:
            raise MediaMessageError(str(exc)[:200]) from None
        if message.stream_sid != self.stream_sid:
            raise MediaMessageError("streamSid is of another stream")
        match message:
            case _MediaMessage():
                return Media(_audio(message.media.payload))
            case _MarkMessage():
                if not message.mark.name:
                    raise MediaMessageError("mark without a name")
                return Mark(message.mark.name)
            case _ClearMessage():
                return Clear()

    def _message(self, event: str, body: Mapping[str, object]) -> bytes:
        self._sequence += 1
        return msgspec.json.encode(
            {
                "event": event,
                "sequenceNumber": str(self._sequence),
                "streamSid": self.stream_sid,
                event: body,
            }
        )


def _audio(payload: str) -> bytes:
    try:
        audio = binascii.a2b_base64(payload, strict_mode=True)
    except ValueError:
        raise MediaMessageError("payload is not base64") from None
    if not audio:
        raise MediaMessageError("payload is empty")
    return audio
