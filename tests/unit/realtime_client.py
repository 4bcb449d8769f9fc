"""A client of a Realtime session core, with literal times, and readers of events."""

import base64
import json
import random
from dataclasses import replace
from typing import Any

from lab.model_script import ModelScript, ModelTurn, ScriptQueue, ScriptRun
from lab.realtime_events import RefusedEventError
from lab.realtime_faults import FaultPlan
from lab.realtime_mind import Mind
from lab.realtime_record import Ledger
from lab.realtime_session import MessageReceived, RealtimeSession
from lab.realtime_timeline import CloseSocket, Ids, RealtimeLatency, SendText
from lab.speech_files import all_lines, load_line

Json = dict[str, Any]
PCMU = {"type": "audio/pcmu"}
BOOK = {
    "type": "function",
    "name": "book",
    "description": "Books a table.",
    "parameters": {"type": "object", "properties": {"seats": {"type": "integer"}}},
}
SLOW = replace(RealtimeLatency.none(), first_audio_s=(0.25, 0.25), audio_speed=4.0)


class Client:
    """Plays a client against a session core, with literal times."""

    def __init__(
        self,
        latency: RealtimeLatency | None = None,
        refusal: RefusedEventError | None = None,
        *,
        mind: Mind | None = None,
        recalls: bool = False,
    ) -> None:
        rng = random.Random(1)
        ids = Ids(rng)
        self.faults = FaultPlan()
        self.scripts = ScriptQueue()
        self.record = Ledger().open(ids.make("sess"), "gpt-realtime-2.1", now=0.0)
        self.closed: CloseSocket | None = None
        self.raw: list[bytes] = []
        self.session = RealtimeSession(
            record=self.record,
            ids=ids,
            rng=rng,
            latency=latency or RealtimeLatency.none(),
            connect_s=0.0,
            lifetime_s=3600.0,
            lines=all_lines(),
            faults=self.faults,
            scripts=self.scripts,
            refusal=refusal,
            mind=mind,
            recalls=recalls,
            now=0.0,
        )
        self.hello = self._take(self.session.expire(now=0.0))

    def at(self, now: float) -> list[Json]:
        """Return what is sent until *now*."""
        events: list[Json] = []
        while (due := self.session.next_deadline()) is not None and due <= now:
            events += self._take(self.session.expire(now=due))
        return events

    def send(self, event: Json | str | bytes, now: float = 0.0) -> list[Json]:
        data = json.dumps(event) if isinstance(event, dict) else event
        before = self.at(now)
        return before + self._take(self.session.handle(MessageReceived(data), now=now))

    def configure(self, **audio_input: Any) -> list[Json]:
        audio = {"input": {"format": PCMU, **audio_input}, "output": {"format": PCMU}}
        return self.update({"audio": audio})

    def update(self, session: Json, now: float = 0.0) -> list[Json]:
        update = {"type": "session.update", "session": {"type": "realtime", **session}}
        return self.send(update, now)

    def hear(self, audio: bytes, now: float = 0.0) -> list[Json]:
        data = base64.b64encode(audio).decode()
        return self.send({"type": "input_audio_buffer.append", "audio": data}, now)

    def script(self, *turns: ModelTurn, now: float = 0.0) -> list[Json]:
        """Script the call, which begins with a frame of silence."""
        self.scripts.add(ModelScript(turns))
        return self.hear(b"\xff" * 160, now)

    def run(self) -> ScriptRun:
        assert self.record.script is not None
        return self.record.script

    def say(self, now: float = 0.0, **response: Any) -> list[Json]:
        return self.send({"type": "response.create", "response": response}, now)

    def _take(self, actions: tuple[SendText | CloseSocket, ...]) -> list[Json]:
        events: list[Json] = []
        for action in actions:
            if isinstance(action, CloseSocket):
                self.closed = action
                continue
            self.raw.append(action.text)
            try:
                events.append(json.loads(action.text))
            except ValueError:
                events.append({"type": "(malformed)"})
        return events


def types(events: list[Json]) -> list[str]:
    """Return the event types, deltas that repeat only once."""
    kinds = [event.get("type", "(none)") for event in events]
    kinds = [kind for kind in kinds if kind != "response.output_audio_transcript.delta"]
    return [k for n, k in enumerate(kinds) if n == 0 or kinds[n - 1] != k]


def only(events: list[Json], kind: str) -> Json:
    (event,) = [event for event in events if event.get("type") == kind]
    return event


def error_of(events: list[Json]) -> Json:
    error: Json = only(events, "error")["error"]
    return error


def audio_of(events: list[Json]) -> bytes:
    kind = "response.output_audio.delta"
    deltas = [event["delta"] for event in events if event.get("type") == kind]
    return b"".join(map(base64.b64decode, deltas))


def utterance(name: str) -> bytes:
    return load_line(name).audio + b"\xff" * 8000


def message(role: str, kind: str, text: str, **more: Any) -> Json:
    content = [{"type": kind, "text": text}]
    return {"type": "message", "role": role, "content": content, **more}


def create(item: Json, **more: Any) -> Json:
    return {"type": "conversation.item.create", "item": item, **more}


def answer(call_id: str, output: str = "done", **more: Any) -> Json:
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    return create({**item, **more})
