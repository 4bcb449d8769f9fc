"""Gives the responses of one Realtime session, at the pace of a real one."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lab.model_script import ScriptRun
from lab.realtime_config import SessionConfig
from lab.realtime_events import Json, RefusedEventError
from lab.realtime_faults import Fault, FaultPlan
from lab.realtime_model import SERVER_ERROR, Model
from lab.realtime_output import CHUNK_MS, CalledFunction, Output
from lab.realtime_record import ResponseRecord, SessionRecord
from lab.realtime_response import COMPLETED, Outcome, Request, ScriptedResponse
from lab.realtime_schema import ResponseParams
from lab.realtime_timeline import Ids, RealtimeLatency, Timeline
from lab.realtime_usage import UsageMeter

__all__ = ["Speaker"]

_RESPONSE_FAULTS = (
    Fault.MALFORMED,
    Fault.UNKNOWN_EVENT,
    Fault.FAILED_RESPONSE,
    Fault.DELTA_AFTER_DONE,
)
_THINKING_S = 0.02
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
    created_at: float
    slow_s: float
    due: float = 0.0
    begun: bool = False
    outcome: Outcome = COMPLETED


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
        model: Model,
        faults: FaultPlan,
        on_spoken: Callable[[float, float], None],
    ) -> None:
        self._timeline = timeline
        self._ids = ids
        self._rng = rng
        self._latency = latency
        self._config = config
        self._record = record
        self._model = model
        self._faults = faults
        self._on_spoken = on_spoken
        self._usage = UsageMeter()
        self._conversation_id = ids.make("conv")
        self._active: dict[str, _Active] = {}
        self.spoke = False
        self.mute = False
        """Whether what is asked for is accepted, and never begins."""

    @property
    def responding(self) -> bool:
        """Whether any response is active."""
        return bool(self._active)

    def start(
        self, params: ResponseParams, *, asked_by: str = "client", now: float
    ) -> None:
        """Begin a response.

        Raises:
            RefusedEventError: If the conversation has one already, or *params* ask
                for what cannot be.
        """
        request = Request.read(params, self._config, self._conversation_id)
        if self.spoke:
            self._config.check_voice(request.output, "response.audio.output.voice")
        self._check_free(request)
        if self.mute:
            return
        active = self._activate(request, asked_by, now)
        created = {"type": "response.created", "response": active.response.wire()}
        active.created_at = self._timeline.send(created, now=now)
        self._timeline.send(_RATE_LIMITS, now=now)
        scripted_s = self._model.first_audio_s(request)
        drawn_s = self._rng.uniform(*self._latency.first_audio_s)
        self._schedule(active, drawn_s if scripted_s is None else scripted_s)

    def follow(self, run: ScriptRun, *, now: float) -> None:
        """Follow a script, beginning with a response that has not begun yet."""
        self._model.follow(run)
        for active in self._active.values():
            wait_s = self._model.first_audio_s(active.response.request)
            if wait_s is not None and not active.begun:
                self._schedule(active, max(wait_s, now - active.created_at))

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

    def _check_free(self, request: Request) -> None:
        current = self._find(None)
        if request.conversation_id is not None and current is not None:
            raise RefusedEventError(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress: "
                f"{current.response.response_id}. Wait until the response is finished "
                "before creating a new one.",
            )

    def _activate(self, request: Request, asked_by: str, now: float) -> _Active:
        response = ScriptedResponse(self._ids.make("resp"), request)
        record = ResponseRecord(response.response_id, now, asked_by)
        if response.in_conversation:
            record.missing_outputs = self._record.calls.missing()
        own = self._record.session_id
        faults = frozenset(f for f in _RESPONSE_FAULTS if self._faults.take(f, own))
        slow = self._faults.take(Fault.SLOW_FIRST_AUDIO, own)
        active = _Active(response, record, faults, now, slow.seconds if slow else 0.0)
        self._active[response.response_id] = active
        self._record.responses.append(record)
        return active

    def _schedule(self, active: _Active, wait_s: float) -> None:
        due = active.created_at + wait_s + active.slow_s
        active.due = due
        self._timeline.at(due, lambda at: self._begin(active, due, at))

    def _begin(self, active: _Active, due: float, now: float) -> None:
        response = active.response
        if response.outcome is not None or active.begun or active.due != due:
            return
        active.begun = True
        if Fault.FAILED_RESPONSE in active.faults:
            self._finish(active, Outcome("failed", error=SERVER_ERROR), now)
            return
        plan = self._model.plan(response)
        if plan is None:
            active.begun = False
            active.due = again = now + _THINKING_S
            self._timeline.at(again, lambda at: self._begin(active, again, at))
            return
        own = self._record.session_id
        if plan.lines and self._faults.take(Fault.CLOSE_1011, own):
            active.faults |= {Fault.CLOSE_1011}
        active.outcome = plan.outcome
        active.record.line = "+".join(line.name for line in plan.lines)
        response.begin(self._model.outputs(plan, response))
        if Fault.MALFORMED in active.faults:
            self._timeline.send_raw(_TORN_EVENT, now=now)
            self._timeline.send({"response_id": response.response_id}, now=now)
        self._go_on(active, due, now)

    def _go_on(self, active: _Active, due: float, now: float) -> None:
        response = active.response
        if response.outcome is not None:
            return
        if Fault.CLOSE_1011 in active.faults and response.half_given:
            self._timeline.close(1011, "keepalive ping timeout", now=now)
            return
        self._step(active, now)
        if response.finished:
            self._complete(active, now)
            return
        following = due + CHUNK_MS / 1000 / self._latency.audio_speed
        self._timeline.at(following, lambda at: self._go_on(active, following, at))

    def _step(self, active: _Active, now: float) -> None:
        output = active.response.current
        if output is None:
            return
        if not output.opened:
            self._open(active, output, now)
        audio, events = active.response.step(output)
        self._send(events, now)
        if Fault.UNKNOWN_EVENT in active.faults:
            unknown = {"type": "response.output_mood.delta", "delta": "cheerful"}
            self._timeline.send(unknown, now=now)
        if audio:
            self.spoke = True
            if active.record.first_audio_at is None:
                active.record.first_audio_at = now
            active.record.audio.add(audio)
            self._record.said.add(audio)
        if output.finished and not active.response.finished:
            self._send(output.closing("completed"), now)
            self._note_call(output, now)

    def _open(self, active: _Active, output: Output, now: float) -> None:
        if output.place.in_conversation:
            output.previous_item_id = self._record.conversation.append(output.item)
        if isinstance(output, CalledFunction):
            response_id = active.response.response_id
            self._record.calls.open(output.item.wire, response_id)
        self._send(output.opening(), now)

    def _note_call(self, output: Output, now: float) -> None:
        if isinstance(output, CalledFunction):
            self._record.calls.made(output.item.wire["call_id"], now=now)

    def _complete(self, active: _Active, now: float) -> None:
        outcome = active.outcome
        if active.response.exhausts_tokens:
            outcome = Outcome("incomplete", "max_output_tokens")
        self._finish(active, outcome, now)
        message = active.response.message
        if active.record.first_audio_at is not None and message is not None:
            ends = active.record.first_audio_at + message.item.generated_ms / 1000
            self._on_spoken(max(ends, now), now)

    def _finish(self, active: _Active, outcome: Outcome, now: float) -> None:
        response = active.response
        response.outcome = outcome
        last = response.current
        if last is not None and last.opened:
            completed = outcome.status == "completed"
            self._send(last.closing("completed" if completed else "incomplete"), now)
            self._note_call(last, now)
        usage = None
        if outcome.status != "failed":
            usage = self._usage.response(
                self._record.conversation,
                response.request.instructions,
                response.items(),
            )
            self._record.usage.append(usage)
        done = {"type": "response.done", "response": response.wire(usage)}
        self._timeline.send(done, now=now)
        active.record.status = outcome.status
        active.record.done_at = now
        del self._active[response.response_id]
        if Fault.DELTA_AFTER_DONE in active.faults and response.message is not None:
            late = response.message.audio_delta(b"\xff" * 160)
            self._timeline.send(late, now=now)

    def _send(self, events: Iterable[Json], now: float) -> None:
        for event in events:
            self._timeline.send(event, now=now)
