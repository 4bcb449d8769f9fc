"""Twilio's end of a media stream, spoken by hand."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from backhaul.clock import monotonic_s
from lab.media_player import SAMPLE_RATE_HZ, MediaPlayer

if TYPE_CHECKING:
    from tests.integration.conftest import Bench

AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
GREETING_AUDIO = bytes(range(256)) * 10
AUDIO = bytes(range(160))


async def ring(bench: "Bench", form: dict[str, str] | None = None) -> str:
    """Post the webhook and return the stream's URL."""
    _, text = await bench.post(form=form)
    return ET.fromstring(text)[0][0].get("url", "")  # noqa: S314 - our own


@asynccontextmanager
async def stream(
    bench: "Bench", url: str, *, signature: str | None = None
) -> AsyncIterator[ClientConnection]:
    if signature is None:
        signature = RequestValidator(AUTH_TOKEN).compute_signature(url, {})
    path = url.removeprefix("wss://voice.example.com")
    async with connect(
        f"ws://127.0.0.1:{bench.edge.media_port}{path}",
        additional_headers={"x-twilio-signature": signature},
        compression=None,
    ) as socket:
        yield socket


def start(call_number: int = 1) -> str:
    return json.dumps(
        {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": "MZ1",
            "start": {
                "accountSid": "AC" + "0" * 32,
                "callSid": f"CA{call_number:032x}",
                "streamSid": "MZ1",
                "tracks": ["inbound"],
                "mediaFormat": {
                    "encoding": "audio/x-mulaw",
                    "sampleRate": 8000,
                    "channels": 1,
                },
                "customParameters": {},
            },
        }
    )


def media(audio: bytes = AUDIO, **changes: Any) -> str:
    body = {"track": "inbound", "payload": base64.b64encode(audio).decode()}
    message = {"event": "media", "sequenceNumber": "2", "streamSid": "MZ1"}
    return json.dumps(message | {"media": body | changes})


def rare(event: str, **body: Any) -> str:
    return json.dumps(
        {"event": event, "sequenceNumber": "3", "streamSid": "MZ1", event: body}
    )


async def heard(socket: ClientConnection, *, at_least: int) -> bytes:
    """Return what was played, marks left out."""
    audio = b""
    while len(audio) < at_least:
        message = json.loads(await socket.recv())
        assert message["streamSid"] == "MZ1"
        if message["event"] == "mark":
            continue
        assert message["event"] == "media"
        audio += base64.b64decode(message["media"]["payload"])
    return audio


async def until(socket: ClientConnection, wanted: dict[str, Any]) -> None:
    """Read until *wanted* comes."""
    while json.loads(await socket.recv()) != wanted:
        pass


async def close_code(socket: ClientConnection) -> int | None:
    """Read until the edge closes and return its code."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


class PlayingTwilio:
    """Twilio's end of a stream that plays what it gets, as the stand-in does."""

    def __init__(self, socket: ClientConnection) -> None:
        self.player = MediaPlayer(started_at=monotonic_s())
        self.heard_at_clear: list[int] = []
        """Positions that were reached when a clear arrived."""
        self._socket = socket

    @property
    def position(self) -> int:
        """How far what was sent has been played."""
        waiting = self.player.buffered_s(now=monotonic_s()) * SAMPLE_RATE_HZ
        return len(self.player.received) - round(waiting)

    async def run(self) -> None:
        """Play and echo marks until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._tick())

    async def _listen(self) -> None:
        async for text in self._socket:
            message, now = json.loads(text), monotonic_s()
            match message["event"]:
                case "media":
                    audio = base64.b64decode(message["media"]["payload"])
                    self.player.media(audio, now=now)
                case "mark":
                    await self._echo(self.player.mark(message["mark"]["name"], now=now))
                case _:
                    self.heard_at_clear.append(self.position)
                    await self._echo(self.player.clear(now=now))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.020)
            await self._echo(self.player.expire(now=monotonic_s()))

    async def _echo(self, names: tuple[str, ...]) -> None:
        for name in names:
            await self._socket.send(rare("mark", name=name))


@asynccontextmanager
async def playing(socket: ClientConnection) -> AsyncIterator[PlayingTwilio]:
    twilio = PlayingTwilio(socket)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(twilio.run())
        yield twilio
        running.cancel()
