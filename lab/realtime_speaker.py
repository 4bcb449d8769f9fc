"""Gives the responses of one Realtime session, at the pace of a real one."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from lab.realtime_config import SessionConfig, check_output_format
from lab.realtime_events import Json, RefusedEventError
from lab.realtime_faults import Fault, FaultPlan
from lab.realtime_record import ResponseRecord, SessionRecord
from lab.realtime_response import CHUNK_MS, Outcome, Script, ScriptedResponse
from lab.realtime_schema import ResponseParams
from lab.realtime_timeline import Ids, RealtimeLatency, Timeline
from lab.realtime_usage import UsageMeter

__all__ = ["Speaker"]

_RESPONSE_FAULTS = (
    Fault.CLOSE_1011,
    Fault.MALFORMED,
    Fault.UNKNOWN_EVENT,
    Fault.FAILED_RESPONSE,
    Fault.DELTA_AFTER_DONE,
)
_SERVER_ERROR = {
    "type": "server_error",
    "code": "server_error",
    "message": "The server had an error while processing your request.",
}
_TORN_EVENT = b'{"type":"response.output_audio.delta","del'
_RATE_LIMITS = {
    "type": "rate_limits.updated",
    "rate_limits": [
        {"name": "requests", "limit": 5000, "remaining": 4999, "reset_seconds": 0.012},
        {"name": "tokens", "limit": 800000, "remaining": 795500, "reset_seconds": 0.3},
    ],
}


@dataclass(slots=True)
class _Active:
    response: ScriptedResponse
    record: ResponseRecord
    faults: frozenset[Fault]
    instructions: str


class Speaker:
    """Gives responses; *on_spoken* is told when the playback of one would end."""

    def __init__(
        self,
        *,
        timeline: Timeline,
        ids: Ids,
        rng: random.Random,
        latency: RealtimeLatency,
        config: SessionConfig,
        record: SessionRecord,
        script: Script,
        faults: FaultPlan,
        on_spoken: Callable[[float, float], None],
    ) -> None:
        self._timeline = timeline
        self._ids = ids
        self._rng = rng
        self._latency = latency
        self._config = config
        self._record = record
        self._script = script
        self._faults = faults
        self._on_spoken = on_spoken
        self._usage = UsageMeter()
        self._conversation_id = ids.make("conv")
        self._active: dict[str, _Active] = {}
        self.spoke = False

    @property
    def responding(self) -> bool:
        """Whether any response is active."""
        return bool(self._active)

    def start(self, params: ResponseParams, *, now: float) -> None:
        """Begin a response.

        Raises:
            RefusedEventError: If the conversation has one already, or *params* ask
                for what cannot be.
        """
        wish: Json = msgspec.to_builtins(params)
        base = self._base(wish)
        self._check_free(base)
        active = self._activate(base, wish.get("instructions"), now)
        created = {"type": "response.created", "response": active.response.wire()}
        sent_at = self._timeline.send(created, now=now)
        self._timeline.send(_RATE_LIMITS, now=now)
        due = sent_at + self._rng.uniform(*self._latency.first_audio_s)
        if slow := self._faults.take(Fault.SLOW_FIRST_AUDIO):
            due += slow.seconds
        self._timeline.at(due, lambda at: self._begin(active, due, at))

    def cancel(self, response_id: str | None, reason: str, *, now: float) -> bool:
        """End a response (None: the conversation's); return whether there was one."""
        active = self._find(response_id)
        if active is None:
            return False
        self._finish(active, Outcome("cancelled", reason), now)
        return True

    def _find(self, response_id: str | None) -> _Active | None:
        if response_id is not None:
            return self._active.get(response_id)
        for active in self._active.values():
            if active.response.in_conversation:
                return active
        return None

    def _check_free(self, base: Json) -> None:
        current = self._find(None)
        if base["conversation_id"] is not None and current is not None:
            raise RefusedEventError(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress: "
                f"{current.response.response_id}. Wait until the response is finished "
                "before creating a new one.",
            )

    def _base(self, wish: Json) -> Json:
        output: Json = wish.get("audio", {}).get("output", {})
        check_output_format(output, "response.audio.output.format")
        if self.spoke:
            self._config.check_voice(output, "response.audio.output.voice")
        chosen: Json = {**self._config.output, **output}
        voice: Any = chosen["voice"]
        session = self._config.wire
        return {
            "conversation_id": None
            if wish.get("conversation") == "none"
            else self._conversation_id,
            "output_modalities": wish.get(
                "output_modalities", session["output_modalities"]
            ),
            "max_output_tokens": wish.get(
                "max_output_tokens", session["max_output_tokens"]
            ),
            "audio": {
                "output": {
                    "format": chosen["format"],
                    "voice": voice["id"] if isinstance(voice, dict) else voice,
                }
            },
            "metadata": wish.get("metadata"),
        }

    def _activate(self, base: Json, instructions: str | None, now: float) -> _Active:
        limit = base["max_output_tokens"]
        response = ScriptedResponse(
            response_id=self._ids.make("resp"),
            item_id=self._ids.make("item"),
            line=self._script.next_line(instructions),
            base=base,
            max_tokens=None if limit == "inf" else limit,
        )
        record = ResponseRecord(response.response_id, response.line.name, now)
        faults = frozenset(f for f in _RESPONSE_FAULTS if self._faults.take(f))
        told = self._config.instructions if instructions is None else instructions
        active = _Active(response, record, faults, told)
        self._active[response.response_id] = active
        self._record.responses.append(record)
        return active

    def _begin(self, active: _Active, due: float, now: float) -> None:
        response = active.response
        if response.outcome is not None:
            return
        if Fault.FAILED_RESPONSE in active.faults:
            self._finish(active, Outcome("failed", error=_SERVER_ERROR), now)
            return
        if response.in_conversation:
            response.previous_item_id = self._record.conversation.append(response.item)
        for event in response.opening():
            self._timeline.send(event, now=now)
        if Fault.MALFORMED in active.faults:
            self._timeline.send_raw(_TORN_EVENT, now=now)
            self._timeline.send({"response_id": response.response_id}, now=now)
        self._go_on(active, due, now)

    def _go_on(self, active: _Active, due: float, now: float) -> None:
        response = active.response
        if response.outcome is not None:
            return
        if Fault.CLOSE_1011 in active.faults and response.half_said:
            self._timeline.close(1011, "keepalive ping timeout", now=now)
            return
        self._say(active, now)
        if response.finished:
            self._complete(active, now)
            return
        following = due + CHUNK_MS / 1000 / self._latency.audio_speed
        self._timeline.at(following, lambda at: self._go_on(active, following, at))

    def _say(self, active: _Active, now: float) -> None:
        audio, events = active.response.chunk()
        for event in events:
            self._timeline.send(event, now=now)
        if Fault.UNKNOWN_EVENT in active.faults:
            unknown = {"type": "response.output_mood.delta", "delta": "cheerful"}
            self._timeline.send(unknown, now=now)
        if audio:
            self.spoke = True
            if active.record.first_audio_at is None:
                active.record.first_audio_at = now
            active.record.audio.add(audio)
            self._record.said.add(audio)

    def _complete(self, active: _Active, now: float) -> None:
        outcome = Outcome("completed")
        if active.response.exhausts_tokens:
            outcome = Outcome("incomplete", "max_output_tokens")
        self._finish(active, outcome, now)
        if active.record.first_audio_at is not None:
            ends = active.record.first_audio_at + active.response.item.audio_ms / 1000
            self._on_spoken(max(ends, now), now)

    def _finish(self, active: _Active, outcome: Outcome, now: float) -> None:
        response = active.response
        response.outcome = outcome
        for event in response.closing():
            self._timeline.send(event, now=now)
        usage = None
        if outcome.status != "failed":
            usage = self._usage.response(
                self._record.conversation, active.instructions, response.item
            )
            self._record.usage.append(usage)
        done = {"type": "response.done", "response": response.wire(usage)}
        self._timeline.send(done, now=now)
        active.record.status = outcome.status
        del self._active[response.response_id]
        if Fault.DELTA_AFTER_DONE in active.faults:
            self._timeline.send(response.audio_delta(b"\xff" * 160), now=now)
