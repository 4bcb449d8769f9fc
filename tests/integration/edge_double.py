"""What the Twilio stand-in calls: a webhook and a Media Streams server."""

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from lab.twilio import CallPlan

TOKEN = "0123456789abcdef"
ACCOUNT = "AC" + "0" * 32
SPEECH = bytes(range(0x60)) * 40

Talk = Callable[["EdgeDouble", ServerConnection, str], Awaitable[None]]


@dataclass
class EdgeDouble:
    """What the double of an edge saw, and what it answers."""

    base: str = ""
    stream_url: str = ""
    twiml: dict[str, list[str]] = field(default_factory=dict)
    posts: list[tuple[str, dict[str, str], dict[str, str]]] = field(
        default_factory=list
    )
    messages: list[dict[str, Any]] = field(default_factory=list)
    handshakes: list[dict[str, str]] = field(default_factory=list)
    refuses: bool = False
    talk: Talk | None = None

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.posts]

    def heard(self) -> bytes:
        return b"".join(
            base64.b64decode(message["media"]["payload"])
            for message in self.messages
            if message["event"] == "media"
        )

    def names(self, event: str) -> list[str]:
        return [m["mark"]["name"] for m in self.messages if m["event"] == event]

    def connect(self, inner: str = "", attributes: str = "") -> str:
        stream = f"<Stream url='{self.stream_url}'>{inner}</Stream>"
        return f"<Connect {attributes}>{stream}</Connect>"

    async def answer(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.posts.append((request.path, form, dict(request.headers)))
        queued = self.twiml.get(request.path)
        if not queued:
            return web.Response(status=404)
        inner = queued.pop(0)
        if inner == "broken":
            return web.Response(text="<Response>", content_type="text/xml")
        return web.Response(
            text=f"<Response>{inner}</Response>", content_type="text/xml"
        )

    async def stream(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.handshakes.append(dict(socket.request.headers.raw_items()))
        try:
            async for text in socket:
                message = json.loads(text)
                self.messages.append(message)
                if message["event"] == "start" and self.talk is not None:
                    await self.talk(self, socket, message["streamSid"])
        except ConnectionClosed:
            return

    def check(self, _socket: ServerConnection, request: Request) -> Response | None:
        del request
        return _socket.respond(403, "no") if self.refuses else None


def media(stream_sid: str, audio: bytes) -> str:
    payload = base64.b64encode(audio).decode()
    message = {"event": "media", "streamSid": stream_sid, "media": {"payload": payload}}
    return json.dumps(message)


def mark(stream_sid: str, name: str) -> str:
    message = {"event": "mark", "streamSid": stream_sid, "mark": {"name": name}}
    return json.dumps(message)


def plan(edge: EdgeDouble, **changes: Any) -> CallPlan:
    defaults: dict[str, Any] = {
        "webhook_url": f"{edge.base}/twilio/voice",
        "from_number": "+493012345678",
        "to_number": "+14155550123",
        "quiet_s": 0.1,
        "reply_timeout_s": 5.0,
        "max_duration_s": 20.0,
    }
    return CallPlan(**{**defaults, **changes})
