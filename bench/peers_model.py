"""The model of `peers.py`, in a process of its own: listens, and never stops to speak.

It speaks two protocols on one port. `/v1/realtime`: OpenAI's Realtime events, as far as
the systems under test use them; the first `response.create` begins a response that goes
on in deltas of 200 ms for as long as the session lives. `/media-stream`: Twilio's Media
Streams, for what passes them through. Its orders are one JSON argument; see `Orders`.
"""

import secrets
import socket
import ssl
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import pybase64
import uvloop
from peers_audio import (
    Delays,
    Ear,
    PulseEar,
    PulseVoice,
    StampEar,
    StampVoice,
    Voice,
    Window,
    loud_mulaw,
    loud_pcm,
    pulses_of,
)
from peers_end import Pacer, obey, quiet_logs, tell
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from backhaul.clock import monotonic_s, unix_s

PIECE_S: Final = 0.2
_PCM_RATE: Final = 3
"""Three times the samples of mu-law's 8 kHz."""
_MAX_UNSENT_BYTES: Final = 1024 * 1024
_SESSION_S: Final = 3600


class Orders(msgspec.Struct, frozen=True):
    """What the model is to do."""

    out: str
    """Where the figures go."""
    voice: str = "stamps"
    certificate: str = ""
    key: str = ""


class _ClientEvent(msgspec.Struct):
    type: str = ""
    audio: str = ""
    event_id: str | None = None
    session: dict[str, Any] | None = None
    item: dict[str, Any] | None = None


class _Payload(msgspec.Struct):
    payload: str


class _StreamEvent(msgspec.Struct, rename="camel"):
    event: str = ""
    stream_sid: str = ""
    media: _Payload | None = None


_client_decoder = msgspec.json.Decoder(_ClientEvent)
_stream_decoder = msgspec.json.Decoder(_StreamEvent)


class Model:
    """All sessions of this process."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.window = Window()
        self.delays = Delays()
        self.pacer = Pacer(PIECE_S, self.window, spread=False)
        self.talks: list[Talk] = []
        """Those that a call uses, in the order in which they began to."""

    async def serve(self) -> int:
        """Listen on a free port; return it."""
        context = None
        if self.orders.certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.orders.certificate, self.orders.key)
        server = await ws_create_server(
            self._on_upgrade, "127.0.0.1", 0, ssl=context, backlog=1024
        )
        port: int = server.sockets[0].getsockname()[1]
        return port

    def _on_upgrade(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        path = request.path.partition(b"?")[0]
        talks = {b"/v1/realtime": Session, b"/media-stream": Stream}
        if path not in talks:
            response = WSUpgradeResponse.create_error_response(404)
            return WSUpgradeResponseWithListener(response, None)
        response = WSUpgradeResponse.create_101_response()
        return WSUpgradeResponseWithListener(response, talks[path](self))

    def voice_and_ear(self, *, pcm: bool) -> tuple[Voice, Ear]:
        """Return both directions of one call."""
        if self.orders.voice == "pulses":
            rate = _PCM_RATE if pcm else 1
            ear = PulseEar(loud_pcm if pcm else loud_mulaw, self.window)
            return PulseVoice(PIECE_S, self.window, rate=rate), ear
        return StampVoice(PIECE_S, self.window), StampEar(self.delays, self.window)

    def figures(self) -> dict[str, object]:
        """Return what was measured."""
        late_ms = self.pacer.late_p99_ms()
        if self.orders.voice == "pulses":
            return {
                "late_p99_ms": late_ms,
                "pulses_sent": [pulses_of(talk.voice) for talk in self.talks],
                "pulses_heard": [pulses_of(talk.ear) for talk in self.talks],
            }
        voices = [t.voice for t in self.talks if isinstance(t.voice, StampVoice)]
        return {
            "late_p99_ms": late_ms,
            "sent": sum(voice.sent for voice in voices),
            "delays_ms": self.delays.figures(),
        }


class Talk(WSListener):
    """One connection."""

    def __init__(self, model: Model) -> None:
        self.voice, self.ear = model.voice_and_ear(pcm=False)
        self._model = model
        self._ws: WSTransport | None = None
        self._speaking = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        """See WSListener."""
        self._ws = transport
        tcp = transport.underlying_transport.get_extra_info("socket")
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """See WSListener."""
        if frame.msg_type is WSMsgType.TEXT:
            self.on_text(frame.get_payload_as_bytes())
        elif frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """See WSListener."""
        self._ws = None

    def on_text(self, message: bytes) -> None:
        """Take one message."""
        raise NotImplementedError

    def encode(self, audio: bytes) -> bytes:
        """Return a message with audio of the model."""
        raise NotImplementedError

    def begin(self) -> None:
        """Speak from now on."""
        if not self._speaking:
            self._speaking = True
            self._model.talks.append(self)
            self._model.pacer.add(self._speak)

    def send(self, message: bytes) -> None:
        """Send a message, if there is anyone to read it."""
        if self._ws is not None:
            self._ws.send(WSMsgType.TEXT, message)

    def _speak(self, now: float) -> bool:
        ws = self._ws
        if ws is None:
            return False
        if ws.underlying_transport.get_write_buffer_size() < _MAX_UNSENT_BYTES:
            ws.send(WSMsgType.TEXT, self.encode(self.voice.piece(now)))
        return True


class Stream(Talk):
    """A Media Stream that was passed through."""

    _prefix = b""

    def on_text(self, message: bytes) -> None:
        """See Talk."""
        event = _stream_decoder.decode(message)
        if event.media is not None:
            self.ear.hear(pybase64.b64decode(event.media.payload), monotonic_s())
        elif event.event == "start":
            sid = event.stream_sid.encode()
            head = b'{"event":"media","streamSid":"%b","media":{"payload":"'
            self._prefix = head % sid
            self.begin()

    def encode(self, audio: bytes) -> bytes:
        """See Talk."""
        return self._prefix + pybase64.b64encode(audio) + b'"}}'


class Session(Talk):
    """A Realtime session."""

    _prefix = b""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._response_id = "resp_" + secrets.token_hex(8)
        self._item_id = "item_" + secrets.token_hex(8)
        self._events = 0
        self._session: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": "sess_" + secrets.token_hex(8),
            "model": "gpt-realtime",
            "output_modalities": ["audio"],
            "expires_at": int(unix_s()) + _SESSION_S,
        }

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Greet the client; see WSListener."""
        super().on_ws_connected(transport)
        self._tell("session.created", session=self._session)

    def on_text(self, message: bytes) -> None:
        """See Talk."""
        event = _client_decoder.decode(message)
        match event.type:
            case "input_audio_buffer.append":
                self.ear.hear(pybase64.b64decode(event.audio), monotonic_s())
            case "session.update":
                self._update(event.session or {})
            case "input_audio_buffer.clear":
                self._tell("input_audio_buffer.cleared")
            case "conversation.item.create":
                item = {"id": "item_" + secrets.token_hex(8), **(event.item or {})}
                self._tell("conversation.item.added", item=item)
                self._tell("conversation.item.done", item=item)
            case "response.create":
                self._respond()
            case _:
                pass

    def encode(self, audio: bytes) -> bytes:
        """See Talk."""
        self._events += 1
        encoded = pybase64.b64encode(audio)
        return b'%b"event_%d","delta":"%b"}' % (self._prefix, self._events, encoded)

    def _update(self, wanted: dict[str, Any]) -> None:
        self._session |= wanted
        if not self._speaking:
            pcm = _output_format(wanted) == "audio/pcm"
            self.voice, self.ear = self._model.voice_and_ear(pcm=pcm)
        self._tell("session.updated", session=self._session)

    def _respond(self) -> None:
        if self._speaking:
            return
        about = {"response_id": self._response_id, "output_index": 0}
        part = {**about, "item_id": self._item_id, "content_index": 0}
        facts = {"type": "response.output_audio.delta", **part}
        self._prefix = msgspec.json.encode(facts)[:-1] + b',"event_id":'
        response = {
            "object": "realtime.response",
            "id": self._response_id,
            "status": "in_progress",
            "status_details": None,
            "output": [],
            "output_modalities": ["audio"],
            "metadata": None,
            "usage": None,
        }
        item = {
            "id": self._item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        spoken = {"type": "audio", "transcript": ""}
        self._tell("response.created", response=response)
        self._tell("response.output_item.added", **about, item=item)
        self._tell("conversation.item.added", previous_item_id=None, item=item)
        self._tell("response.content_part.added", **part, part=spoken)
        self.begin()

    def _tell(self, kind: str, **facts: object) -> None:
        self._events += 1
        event_id = f"event_{self._events}"
        self.send(msgspec.json.encode({"type": kind, "event_id": event_id, **facts}))


def _output_format(session: dict[str, Any]) -> str:
    output = (session.get("audio") or {}).get("output") or {}
    kind: str = (output.get("format") or {}).get("type", "audio/pcm")
    return kind


async def run(orders: Orders) -> None:
    """Serve until standard input is closed, and write down what was heard."""
    model = Model(orders)
    tell({"port": await model.serve()})
    await obey(model.window)
    tell(model.figures(), Path(orders.out))
    model.pacer.stop()


if __name__ == "__main__":
    quiet_logs()
    uvloop.run(run(msgspec.json.decode(sys.argv[1], type=Orders)))
