"""The OpenAI Agents SDK's realtime session behind a Twilio Media Stream.

As its Twilio example goes about it: mu-law both ways, 50 ms of audio gathered in each
direction, marks that feed a playback tracker.
"""

import argparse
import asyncio
import base64
import json
from typing import Any

import uvicorn
from agents.realtime import (
    RealtimeAgent,
    RealtimePlaybackTracker,
    RealtimeRunner,
    RealtimeSession,
    RealtimeSessionEvent,
)
from fastapi import FastAPI, WebSocket
from fastapi.websockets import WebSocketDisconnect

INSTRUCTIONS = "You answer the telephone of a small hotel. Be warm and brief."
GATHER_BYTES = 400
AGENT = RealtimeAgent(name="desk", instructions=INSTRUCTIONS)


def bridge(realtime_url: str) -> FastAPI:
    """Return the application."""
    app = FastAPI()

    @app.websocket("/media-stream")
    async def media_stream(caller: WebSocket) -> None:
        tracker = RealtimePlaybackTracker()
        session = await RealtimeRunner(AGENT).run(
            model_config={
                "api_key": "sk-lab",
                "url": f"{realtime_url}?model=gpt-realtime",
                "playback_tracker": tracker,
                "initial_model_settings": {
                    "input_audio_format": "g711_ulaw",
                    "output_audio_format": "g711_ulaw",
                    "turn_detection": {"type": "semantic_vad"},
                },
            }
        )
        async with session:
            await caller.accept()
            await Call(caller, session, tracker).run()

    return app


class Call:
    """One call."""

    def __init__(
        self,
        caller: WebSocket,
        session: RealtimeSession,
        tracker: RealtimePlaybackTracker,
    ) -> None:
        self.caller = caller
        self.session = session
        self.tracker = tracker
        self.stream_sid = ""
        self.to_model = bytearray()
        self.to_caller = bytearray()
        self.waiting_marks: list[str] = []
        self.marks: dict[str, tuple[str, int, int]] = {}
        self.count = 0

    async def run(self) -> None:
        """Pump both ways until one side ends."""
        speaking = asyncio.gather(self.from_model(), self.from_caller())
        await self.session.send_message("Greet the caller.")
        await speaking

    async def from_caller(self) -> None:
        """Give the caller's audio to the model."""
        try:
            while True:
                await self.on_message(json.loads(await self.caller.receive_text()))
        except WebSocketDisconnect:
            await self.session.close()

    async def on_message(self, message: dict[str, Any]) -> None:
        """Take what the carrier says."""
        if message["event"] == "start":
            self.stream_sid = message["start"]["streamSid"]
        elif message["event"] == "media":
            self.to_model += base64.b64decode(message["media"]["payload"])
            if len(self.to_model) >= GATHER_BYTES:
                audio = bytes(self.to_model)
                self.to_model.clear()
                await self.session.send_audio(audio)
        elif message["event"] == "mark" and message["mark"]["name"] in self.marks:
            item, index, size = self.marks.pop(message["mark"]["name"])
            self.tracker.on_play_bytes(item, index, bytes(size))

    async def from_model(self) -> None:
        """Give the model's audio to the caller."""
        async for event in self.session:
            await self.on_event(event)

    async def on_event(self, event: RealtimeSessionEvent) -> None:
        """Take what the session says."""
        if event.type == "audio":
            audio = event.audio
            self.to_caller += audio.data
            self.count += 1
            name = str(self.count)
            self.marks[name] = (audio.item_id, audio.content_index, len(audio.data))
            self.waiting_marks.append(name)
            if len(self.to_caller) >= GATHER_BYTES:
                await self.flush()
        elif event.type == "audio_interrupted":
            await self.flush()
            await self.send({"event": "clear"})
        elif event.type == "audio_end":
            await self.flush()

    async def flush(self) -> None:
        """Send what was gathered, and marks behind it."""
        if not self.to_caller:
            return
        payload = base64.b64encode(bytes(self.to_caller)).decode()
        self.to_caller.clear()
        await self.send({"event": "media", "media": {"payload": payload}})
        for name in self.waiting_marks:
            await self.send({"event": "mark", "mark": {"name": name}})
        self.waiting_marks.clear()

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message on the caller's Media Stream."""
        message["streamSid"] = self.stream_sid
        await self.caller.send_text(json.dumps(message))


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--realtime-url", required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    chosen = parser.parse_args()
    uvicorn.run(
        bridge(chosen.realtime_url),
        host="127.0.0.1",
        port=chosen.port,
        log_level="warning",
        ssl_certfile=chosen.certificate,
        ssl_keyfile=chosen.key,
    )


if __name__ == "__main__":
    main()
