"""The carrier of `peers.py`, in a process of its own: places calls and keeps time.

Cheap enough not to be what is measured: one WebSocket callback and one template per
message. It speaks Twilio's Media Streams, plays what comes back on a clock and returns
marks when they were played. Its orders are one JSON argument; see `Orders`.
"""

import asyncio
import secrets
import socket
import ssl
import sys
from array import array
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import pybase64
import uvloop
from peers_audio import (
    BYTES_PER_S,
    Delays,
    Ear,
    PulseEar,
    PulseVoice,
    StampEar,
    StampVoice,
    Voice,
    Window,
    loud_mulaw,
    pulses_of,
)
from peers_end import Pacer, obey, quiet_logs, tell
from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)

from backhaul.clock import monotonic_s
from backhaul.errors import WarmlineError
from lab.twilio_facts import call_parameters
from lab.twilio_plan import CallPlan
from lab.twilio_webhook import WebhookClient
from lab.twiml import parse_twiml
from lab.twiml_verbs import Connect

FRAME_S: Final = 0.02
FIRST_AUDIO_S: Final = 30.0
_MAX_UNSENT_BYTES: Final = 64 * 1024
"""A peer that reads so slowly loses media, as with Twilio (31930)."""


class Orders(msgspec.Struct, frozen=True):
    """What the carrier is to do."""

    calls: int
    url: str
    """Of the voice webhook, or of the Media Stream itself (ws, wss)."""
    out: str
    """Where the figures go."""
    voice: str = "stamps"
    """Or pulses: then calls begin one after the other, and are told apart by that."""
    calls_per_s: float = 25.0
    auth_token: str = ""
    account_sid: str = ""
    ca: str = ""


class _Payload(msgspec.Struct):
    payload: str


class _Name(msgspec.Struct):
    name: str


class _Media(msgspec.Struct, tag="media", tag_field="event"):
    media: _Payload


class _Mark(msgspec.Struct, tag="mark", tag_field="event"):
    mark: _Name


class _Clear(msgspec.Struct, tag="clear", tag_field="event"):
    pass


_decoder = msgspec.json.Decoder(_Media | _Mark | _Clear)


class Caller(WSListener):
    """One call."""

    def __init__(self, call_sid: str, orders: Orders, voice: Voice, ear: Ear) -> None:
        self.voice = voice
        self.ear = ear
        self.lost = False
        """Whether the peer ended the call."""
        self.dropped = 0
        """Frames that the peer was too slow to take."""
        self.heard = asyncio.get_running_loop().create_future()
        """Done with the time of the first audio."""
        self.started_at = 0.0
        self._sids = {"accountSid": orders.account_sid, "callSid": call_sid}
        self._stream_sid = "MZ" + secrets.token_hex(16)
        self._ws: WSTransport | None = None
        self._frames = 0
        self._sequence = 1
        self._played_at = 0.0
        self._marks: deque[tuple[float, str]] = deque()
        # What stays the same in every message is written once.
        sid = self._stream_sid.encode()
        self._media = (
            b'{"event":"media","sequenceNumber":"%d","media":{"track":"inbound",'
            b'"chunk":"%d","timestamp":"%d","payload":"%b"},"streamSid":"' + sid + b'"}'
        )

    # WSListener

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Name the stream; see WSListener."""
        self._ws = transport
        tcp = transport.underlying_transport.get_extra_info("socket")
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        self.started_at = monotonic_s()
        start = {
            **self._sids,
            "streamSid": self._stream_sid,
            "tracks": ["inbound"],
            "mediaFormat": {
                "encoding": "audio/x-mulaw",
                "sampleRate": 8000,
                "channels": 1,
            },
            "customParameters": {},
        }
        self._send_event("start", start)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take what the peer says; see WSListener."""
        if frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()
        if frame.msg_type is not WSMsgType.TEXT:
            return
        message = _decoder.decode(frame.get_payload_as_bytes())
        now = monotonic_s()
        if isinstance(message, _Media):
            audio = pybase64.b64decode(message.media.payload)
            self._played_at = max(self._played_at, now) + len(audio) / BYTES_PER_S
            self.ear.hear(audio, now)
            if not self.heard.done():
                self.heard.set_result(now)
        elif isinstance(message, _Mark):
            self._marks.append((self._played_at, message.mark.name))
        else:
            self._played_at = now
            self._marks = deque((now, name) for _, name in self._marks)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """Note whose doing it was; see WSListener."""
        self.lost = self._ws is not None
        self._ws = None

    # The call

    def speak(self, now: float) -> bool:
        """Send the next 20 ms, and the marks that were played meanwhile."""
        ws = self._ws
        if ws is None:
            return False
        while self._marks and self._marks[0][0] <= now:
            self._send_event("mark", {"name": self._marks.popleft()[1]})
        audio = self.voice.piece(now)
        timestamp_ms = self._frames * 20
        self._frames += 1
        self._sequence += 1
        if ws.underlying_transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            self.dropped += 1
            return True
        facts = (self._sequence, self._frames, timestamp_ms, pybase64.b64encode(audio))
        ws.send(WSMsgType.TEXT, self._media % facts)
        return True

    def hang_up(self) -> None:
        """End the call."""
        ws = self._ws
        if ws is not None:
            self._send_event("stop", self._sids)
            self._ws = None
            ws.send_close(WSCloseCode.OK)
            ws.disconnect()

    def _send_event(self, event: str, body: Mapping[str, object]) -> None:
        self._sequence += event != "start"
        numbered = {"event": event, "sequenceNumber": str(self._sequence), event: body}
        self._send({**numbered, "streamSid": self._stream_sid})

    def _send(self, message: dict[str, object]) -> None:
        if self._ws is not None:
            self._ws.send(WSMsgType.TEXT, msgspec.json.encode(message))


class Carrier:
    """All calls of this process."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.window = Window()
        self.delays = Delays()
        self.callers: list[Caller] = []
        self.pacer = Pacer(FRAME_S, self.window, spread=True)
        self.first_audio_s = array("d")
        self.failed: list[str] = []
        self._context = (
            ssl.create_default_context(cafile=orders.ca) if orders.ca else None
        )
        self._webhooks = WebhookClient(orders.auth_token, ssl_context=self._context)
        self._in_turn = orders.voice == "pulses"

    async def place_all(self) -> None:
        """Place every call; return when each has heard something, or failed."""
        began = monotonic_s()
        async with asyncio.TaskGroup() as group:
            for number in range(self.orders.calls):
                placed = group.create_task(self._place_safely())
                if self._in_turn:
                    await placed
                due = began + (number + 1) / self.orders.calls_per_s
                await asyncio.sleep(max(due - monotonic_s(), 0))

    async def _place_safely(self) -> None:
        try:
            async with asyncio.timeout(FIRST_AUDIO_S):
                await self._place()
        except (OSError, TimeoutError, ValueError, WSError, WarmlineError) as exc:
            self.failed.append(f"{type(exc).__name__}: {exc}")

    async def _place(self) -> None:
        call_sid = "CA" + secrets.token_hex(16)
        url = await self._stream_url(call_sid)
        caller = Caller(call_sid, self.orders, self._voice(), self._ear())
        headers = {"X-Twilio-Signature": self._webhooks.signature(url)}
        await ws_connect(
            lambda: caller,
            url,
            ssl_context=self._context,
            extra_headers=headers,
        )
        self.callers.append(caller)
        self.pacer.add(caller.speak)
        self.first_audio_s.append(await caller.heard - caller.started_at)

    async def _stream_url(self, call_sid: str) -> str:
        orders = self.orders
        if orders.url.startswith("ws"):
            return orders.url
        plan = CallPlan(
            webhook_url=orders.url,
            from_number="+14155550123",
            to_number="+14155550100",
        )
        account = orders.account_sid
        facts = call_parameters(
            plan, call_sid=call_sid, account_sid=account, status="ringing"
        )
        document = await self._webhooks.fetch(orders.url, "POST", facts)
        for verb in parse_twiml(document):
            if isinstance(verb, Connect):
                return verb.stream.url
        raise ValueError(f"no stream: {document[:200]!r}")

    def _voice(self) -> Voice:
        made = PulseVoice if self._in_turn else StampVoice
        return made(FRAME_S, self.window)

    def _ear(self) -> Ear:
        if self._in_turn:
            return PulseEar(loud_mulaw, self.window)
        return StampEar(self.delays, self.window)

    def figures(self) -> dict[str, object]:
        """Return what was measured."""
        callers = self.callers
        found: dict[str, object] = {
            "calls": len(callers),
            "failed": self.failed,
            "lost_calls": sum(caller.lost for caller in callers),
            "dropped": sum(caller.dropped for caller in callers),
            "late_p99_ms": self.pacer.late_p99_ms(),
            "first_audio_ms": [round(s * 1000, 1) for s in self.first_audio_s],
        }
        if self._in_turn:
            pulses = {
                "pulses_sent": [pulses_of(caller.voice) for caller in callers],
                "pulses_heard": [pulses_of(caller.ear) for caller in callers],
            }
            return found | pulses
        voices = [c.voice for c in callers if isinstance(c.voice, StampVoice)]
        sent = sum(voice.sent for voice in voices)
        return found | {"sent": sent, "delays_ms": self.delays.figures()}

    async def aclose(self) -> None:
        """Hang up."""
        for caller in self.callers:
            caller.hang_up()
        await self._webhooks.aclose()


async def run(orders: Orders) -> None:
    """Place the calls, talk, and write down what was heard."""
    carrier = Carrier(orders)
    await carrier.place_all()
    talking = sum(not caller.lost for caller in carrier.callers)
    tell({"ready": talking, "failed": carrier.failed[:3]})
    await obey(carrier.window)
    tell(carrier.figures(), Path(orders.out))
    carrier.pacer.stop()
    await carrier.aclose()


if __name__ == "__main__":
    quiet_logs()
    uvloop.run(run(msgspec.json.decode(sys.argv[1], type=Orders)))
