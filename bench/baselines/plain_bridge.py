"""The bridge that people start from: FastAPI, `websockets`, `json`, a task each way.

Written in the manner of the samples that carriers and model makers publish, marks and
interruption included. Uvicorn runs it with uvloop and its fastest WebSocket protocol.
"""

import argparse
import asyncio
import json
from typing import Any

import uvicorn
import websockets
from fastapi import FastAPI, WebSocket
from fastapi.websockets import WebSocketDisconnect
from websockets.asyncio.client import ClientConnection

INSTRUCTIONS = "You answer the telephone of a small hotel. Be warm and brief."


def bridge(realtime_url: str, api_key: str) -> FastAPI:
    """Return the application."""
    app = FastAPI()

    @app.websocket("/media-stream")
    async def media_stream(caller: WebSocket) -> None:
        await caller.accept()
        url = f"{realtime_url}?model=gpt-realtime"
        headers = {"Authorization": f"Bearer {api_key}"}
        async with websockets.connect(url, additional_headers=headers) as model:
            await Call(caller, model).run()

    return app


class Call:
    """One call."""

    def __init__(self, caller: WebSocket, model: ClientConnection) -> None:
        self.caller = caller
        self.model = model
        self.stream_sid = ""
        self.latest_timestamp = 0
        self.response_started_at: int | None = None
        self.last_item = ""
        self.marks: list[str] = []

    async def run(self) -> None:
        """Pump both ways until one side ends."""
        await self.begin()
        await asyncio.gather(self.from_caller(), self.from_model())

    async def begin(self) -> None:
        """Set the session up and let the model speak first."""
        mulaw = {"type": "audio/pcmu"}
        session = {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": INSTRUCTIONS,
            "audio": {
                "input": {"format": mulaw, "turn_detection": {"type": "server_vad"}},
                "output": {"format": mulaw, "voice": "alloy"},
            },
        }
        await self.model.send(
            json.dumps({"type": "session.update", "session": session})
        )
        await self.model.send(json.dumps({"type": "response.create"}))

    async def from_caller(self) -> None:
        """Give the caller's audio to the model."""
        try:
            async for message in self.caller.iter_text():
                data = json.loads(message)
                if data["event"] == "media":
                    self.latest_timestamp = int(data["media"]["timestamp"])
                    audio = data["media"]["payload"]
                    event = {"type": "input_audio_buffer.append", "audio": audio}
                    await self.model.send(json.dumps(event))
                elif data["event"] == "start":
                    self.stream_sid = data["start"]["streamSid"]
                    self.response_started_at = None
                elif data["event"] == "mark" and self.marks:
                    self.marks.pop(0)
        except WebSocketDisconnect:
            pass
        await self.model.close()

    async def from_model(self) -> None:
        """Give the model's audio to the caller."""
        async for message in self.model:
            event = json.loads(message)
            if event["type"] == "response.output_audio.delta":
                await self.play(event)
            elif event["type"] == "input_audio_buffer.speech_started":
                await self.interrupt()

    async def play(self, event: dict[str, Any]) -> None:
        """Send audio, and a mark behind it."""
        media = {"payload": event["delta"]}
        await self.send({"event": "media", "media": media})
        if self.response_started_at is None:
            self.response_started_at = self.latest_timestamp
        self.last_item = event.get("item_id", "")
        await self.send({"event": "mark", "mark": {"name": "responsePart"}})
        self.marks.append("responsePart")

    async def interrupt(self) -> None:
        """Stop the voice: the caller speaks."""
        if not self.marks or self.response_started_at is None:
            return
        truncate = {
            "type": "conversation.item.truncate",
            "item_id": self.last_item,
            "content_index": 0,
            "audio_end_ms": self.latest_timestamp - self.response_started_at,
        }
        await self.model.send(json.dumps(truncate))
        await self.send({"event": "clear"})
        self.marks.clear()
        self.response_started_at = None

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message on the caller's Media Stream."""
        await self.caller.send_json({**message, "streamSid": self.stream_sid})


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--realtime-url", required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    chosen = parser.parse_args()
    uvicorn.run(
        bridge(chosen.realtime_url, "sk-lab"),
        host="127.0.0.1",
        port=chosen.port,
        log_level="warning",
        ssl_certfile=chosen.certificate,
        ssl_keyfile=chosen.key,
    )


if __name__ == "__main__":
    main()
