"""Twilio's end of a media stream, spoken by hand."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

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


async def heard(socket: ClientConnection, *, at_least: int) -> bytes:
    audio = b""
    while len(audio) < at_least:
        message = json.loads(await socket.recv())
        assert message["event"] == "media"
        assert message["streamSid"] == "MZ1"
        audio += base64.b64decode(message["media"]["payload"])
    return audio


async def close_code(socket: ClientConnection) -> int | None:
    """Read until the edge closes and return its code."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None
