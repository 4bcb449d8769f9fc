"""One scripted Realtime session: client events in, server events out (sans-I/O)."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec import UnsetType

from lab.model_script import ScriptQueue
from lab.realtime_config import BYTES_PER_MS, SessionConfig
from lab.realtime_conversation import decode_audio
from lab.realtime_events import Json, RefusedEventError, parse_client_event
from lab.realtime_faults import Fault, FaultPlan
from lab.realtime_listener import Listener, send_item
from lab.realtime_mind import Mind
from lab.realtime_model import Model
from lab.realtime_record import SessionRecord
from lab.realtime_schema import (
    AppendAudio,
    CancelResponse,
    ClearAudio,
    ClearOutputAudio,
    ClientEvent,
    CommitAudio,
    CreateItem,
    CreateResponse,
    DeleteItem,
    FunctionCall,
    FunctionCallOutput,
    ResponseParams,
    RetrieveItem,
    TruncateItem,
    UpdateSession,
)
from lab.realtime_speaker import Speaker
from lab.realtime_timeline import Action, Ids, RealtimeLatency, Timeline
from lab.speech_files import SpeechLine

__all__ = [
    "BecomeDeaf",
    "BecomeMute",
    "BecomeZombie",
    "ExpireNow",
    "MessageReceived",
    "RealtimeSession",
    "SessionEvent",
]

_MAX_RECORDED_ERRORS = 100

_Handlers = dict[type[ClientEvent], Callable[[Any, float], None]]


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """The client sent a message; the protocol knows text only."""

    data: str | bytes


@dataclass(frozen=True, slots=True)
class ExpireNow:
    """The session has reached its maximum duration."""


@dataclass(frozen=True, slots=True)
class BecomeZombie:
    """The session answers nothing any more, though its socket stays open."""


@dataclass(frozen=True, slots=True)
class BecomeMute:
    """The session begins no response any more; it answers all else."""


@dataclass(frozen=True, slots=True)
class BecomeDeaf:
    """The session takes the caller's audio, and notices nothing of any turn in it."""


SessionEvent = MessageReceived | ExpireNow | BecomeZombie | BecomeMute | BecomeDeaf


class RealtimeSession:
    """A session from ``session.created`` to its end; a `Machine`.

    Args:
        record: Where it is written down what was heard and said.
        ids: Makes the identifiers.
        rng: Draws the latencies.
        latency: How long everything takes.
        connect_s: What is left (s) of the connection's latency.
        lifetime_s: Seconds until it expires.
        lines: All that can be said or understood.
        faults: What is to go wrong.
        scripts: What the model is to do in the calls to come.
        refusal: Why the session ends as soon as it began, None when it does not.
        recalls: Whether ordinary replies follow from what was said before.
        mind: Hears and answers instead of prepared lines; None: nobody does.
        now: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        record: SessionRecord,
        ids: Ids,
        rng: random.Random,
        latency: RealtimeLatency,
        connect_s: float,
        lifetime_s: float,
        lines: tuple[SpeechLine, ...],
        faults: FaultPlan,
        scripts: ScriptQueue,
        refusal: RefusedEventError | None,
        recalls: bool = False,
        mind: Mind | None = None,
        now: float,
    ) -> None:
        self._record = record
        self._mind = mind
        self._recalls = recalls
        self._ids = ids
        self._faults = faults
        self._rng = rng
        self._latency = latency
        self._scripts = scripts
        self._conversation = record.conversation
        self._config = SessionConfig(record.model)
        self._timeline = Timeline(ids)
        self._speaker = self._new_speaker(lines, faults)
        self._listener = Listener(
            timeline=self._timeline,
            ids=ids,
            rng=rng,
            latency=latency,
            config=self._config,
            record=record,
            lines=lines,
            speaker=self._speaker,
            on_call=self._on_call,
            on_refused=lambda refusal, at: self._send_error(refusal, None, at),
            mind=mind,
        )
        self._handlers = self._handlers_by_type()
        if refusal is not None:
            self._timeline.at(now + connect_s, lambda at: self._refuse(refusal, at))
            return
        self._send({"type": "session.created", "session": self._wire()}, now, connect_s)
        self._timeline.at(now + connect_s + lifetime_s, self._expire)

    def handle(self, event: SessionEvent, *, now: float) -> tuple[Action, ...]:
        """Take *event* and return what is to be sent at once."""
        actions = self._timeline.run(now=now)
        if self._timeline.closed:
            return actions
        match event:
            case ExpireNow():
                self._expire(now)
            case BecomeZombie():
                self._timeline.fall_silent()
            case BecomeMute():
                self._speaker.mute = True
            case BecomeDeaf():
                self._listener.deaf = True
            case MessageReceived(data):
                self._on_message(data, now)
        return actions + self._timeline.run(now=now)

    def next_deadline(self) -> float | None:
        """Return when something is to be sent next."""
        return self._timeline.next_deadline()

    def expire(self, *, now: float) -> tuple[Action, ...]:
        """Return what is due."""
        return self._timeline.run(now=now)

    def _new_speaker(self, lines: tuple[SpeechLine, ...], faults: FaultPlan) -> Speaker:
        return Speaker(
            timeline=self._timeline,
            ids=self._ids,
            rng=self._rng,
            latency=self._latency,
            config=self._config,
            record=self._record,
            model=Model(
                lines,
                self._ids,
                self._conversation if self._recalls else None,
                self._mind,
            ),
            faults=faults,
            on_spoken=lambda ends, at: self._listener.await_idle(ends, now=at),
        )

    def _handlers_by_type(self) -> _Handlers:
        return {
            UpdateSession: self._on_update,
            AppendAudio: self._on_append,
            CommitAudio: self._on_commit,
            ClearAudio: self._on_clear,
            ClearOutputAudio: self._on_clear_output,
            CreateItem: self._on_create_item,
            TruncateItem: self._on_truncate,
            DeleteItem: self._on_delete,
            RetrieveItem: self._on_retrieve,
            CreateResponse: self._on_create_response,
            CancelResponse: self._on_cancel,
        }

    def _on_message(self, data: str | bytes, now: float) -> None:
        event_id: str | None = None
        try:
            event = parse_client_event(data)
            event_id = _known(event.event_id)
            self._handlers[type(event)](event, now)
        except RefusedEventError as refusal:
            self._send_error(refusal, event_id, now)

    def _send(self, event: Json, now: float, delay_s: float = 0.0) -> None:
        self._timeline.send(event, now=now, delay_s=delay_s)

    def _send_error(
        self, refusal: RefusedEventError, event_id: str | None, now: float
    ) -> None:
        if len(self._record.errors) < _MAX_RECORDED_ERRORS:
            self._record.errors.append(refusal.code)
        self._send(refusal.event(event_id), now)

    def _wire(self) -> Json:
        self._record.config = self._config.wire
        return {
            **self._config.wire,
            "object": "realtime.session",
            "id": self._record.session_id,
            "expires_at": self._record.expires_at,
        }

    def _refuse(self, refusal: RefusedEventError, now: float) -> None:
        self._send_error(refusal, None, now)
        reason = f"invalid_request_error.{refusal.code}"
        self._timeline.close(4000, reason, now=now)

    def _expire(self, now: float) -> None:
        message = "Your session hit the maximum duration of 60 minutes."
        self._send_error(RefusedEventError("session_expired", message), None, now)
        self._timeline.close(1001, message, now=now)

    def _on_call(self, now: float) -> None:
        run = self._scripts.take()
        if run is not None:
            self._record.script = run
            self._speaker.follow(run, now=now)

    def _on_update(self, event: UpdateSession, now: float) -> None:
        self._config.update(
            event.session,
            spoke=self._speaker.spoke,
            heard=self._listener.heard_anything,
            responding=self._speaker.responding,
        )
        self._listener.reconfigure()
        delay_s = self._rng.uniform(*self._latency.session_update_s)
        self._send({"type": "session.updated", "session": self._wire()}, now, delay_s)
        if self._faults.take(Fault.ZOMBIE):
            self._timeline.at(now + delay_s, lambda _: self._timeline.fall_silent())

    def _on_append(self, event: AppendAudio, now: float) -> None:
        self._listener.append(decode_audio(event.audio), now=now)

    def _on_commit(self, _: CommitAudio, now: float) -> None:
        self._listener.commit(now=now)

    def _on_clear(self, _: ClearAudio, now: float) -> None:
        self._listener.clear()
        self._send({"type": "input_audio_buffer.cleared"}, now)

    def _on_clear_output(self, _event: ClearOutputAudio, _now: float) -> None:
        raise RefusedEventError(
            "invalid_value",
            "output_audio_buffer.clear is for WebRTC and SIP sessions only.",
            param="type",
        )

    def _on_create_item(self, event: CreateItem, now: float) -> None:
        per_ms = BYTES_PER_MS[self._config.input_format]
        new_id = self._ids.make("item")
        item = self._conversation.accept(event.item, new_id, audio_bytes_per_ms=per_ms)
        after = _known(event.previous_item_id)
        previous_id = self._conversation.insert(item, after)
        send_item(self._timeline, item, previous_id, now=now)
        if isinstance(event.item, FunctionCall):
            self._record.calls.open(item.wire, None)
        elif isinstance(event.item, FunctionCallOutput):
            self._record.calls.answer(item.wire, now=now)

    def _on_truncate(self, event: TruncateItem, now: float) -> None:
        self._conversation.truncate(
            event.item_id, event.content_index, event.audio_end_ms, now=now
        )
        self._send(
            {
                "type": "conversation.item.truncated",
                "item_id": event.item_id,
                "content_index": event.content_index,
                "audio_end_ms": event.audio_end_ms,
            },
            now,
        )

    def _on_delete(self, event: DeleteItem, now: float) -> None:
        self._conversation.remove(event.item_id, now=now)
        self._send({"type": "conversation.item.deleted", "item_id": event.item_id}, now)

    def _on_retrieve(self, event: RetrieveItem, now: float) -> None:
        item = self._conversation.find(event.item_id, "retrieve")
        self._send(
            {"type": "conversation.item.retrieved", "item": dict(item.wire)}, now
        )

    def _on_create_response(self, event: CreateResponse, now: float) -> None:
        params = event.response
        if isinstance(params, UnsetType):
            params = ResponseParams()
        self._speaker.start(params, now=now)

    def _on_cancel(self, event: CancelResponse, now: float) -> None:
        response_id = _known(event.response_id)
        if not self._speaker.cancel(response_id, "client_cancelled", now=now):
            raise RefusedEventError(
                "response_cancel_not_active",
                "Cancellation failed: no active response found",
            )


def _known(value: str | UnsetType | None) -> str | None:
    return None if isinstance(value, UnsetType) else value
