"""What the Realtime stand-in heard and said: the evidence of a test or a demo."""

import hashlib
from collections import OrderedDict
from dataclasses import asdict, dataclass, field

from lab.model_script import ScriptRun
from lab.realtime_conversation import Conversation
from lab.realtime_events import Json
from lab.realtime_tools import CallLog
from lab.realtime_usage import total

__all__ = ["Ledger", "ResponseRecord", "SessionRecord", "Tape", "TurnRecord"]


class Tape:
    """Audio in the order it passed: all of it hashed, the beginning of it kept."""

    def __init__(self, max_kept_bytes: int) -> None:
        self._max_kept_bytes = max_kept_bytes
        self._hash = hashlib.sha256()
        self.byte_count = 0
        self.kept = bytearray()

    def add(self, audio: bytes) -> None:
        """Take note of *audio*."""
        self._hash.update(audio)
        self.byte_count += len(audio)
        self.kept += audio[: max(0, self._max_kept_bytes - len(self.kept))]

    def erase(self) -> int:
        """Forget the audio, not the hash; return the bytes freed."""
        freed = len(self.kept)
        self.kept = bytearray()
        self._max_kept_bytes = 0
        return freed

    def wire(self) -> Json:
        """Return what there is to say about it, for the control endpoint."""
        return {"bytes": self.byte_count, "sha256": self._hash.hexdigest()}


@dataclass(slots=True)
class ResponseRecord:
    """One response; times are monotonic seconds.

    Attributes:
        asked_by: ``client``, ``turn_detection`` or ``idle_timeout``.
        line: The names of the lines said, joined by ``+``; empty before it began.
        missing_outputs: The calls (ids) the model had no answer to when it was asked.
    """

    response_id: str
    requested_at: float
    asked_by: str = "client"
    missing_outputs: list[str] = field(default_factory=list[str])
    line: str = ""
    first_audio_at: float | None = None
    done_at: float | None = None
    status: str = "in_progress"
    audio: Tape = field(default_factory=lambda: Tape(0))

    def wire(self) -> Json:
        """Return what there is to say about it, for the control endpoint."""
        requested, first = self.requested_at, self.first_audio_at
        return {
            "id": self.response_id,
            "asked_by": self.asked_by,
            "missing_outputs": self.missing_outputs,
            "line": self.line,
            "status": self.status,
            "requested_at": requested,
            "first_audio_at": first,
            "first_audio_ms": None if first is None else 1e3 * (first - requested),
            "done_at": self.done_at,
            "audio": self.audio.wire(),
        }


@dataclass(slots=True)
class TurnRecord:
    """The caller speaking, as it was detected; times are monotonic seconds.

    Attributes:
        audio_start_ms: Of all audio heard; the prefix padding is part of the turn.
        started_at: When ``speech_started`` was sent.
        stopped_at: When ``speech_stopped`` was sent, None while the turn goes on.
    """

    item_id: str
    audio_start_ms: int
    started_at: float
    audio_end_ms: int | None = None
    stopped_at: float | None = None

    def wire(self) -> Json:
        """Return what there is to say about it, for the control endpoint."""
        return asdict(self)


@dataclass(slots=True)
class SessionRecord:
    """One session, as long as the ledger remembers it.

    Attributes:
        state: ``connecting``, ``open`` or ``closed``.
        opened_at: When it was accepted, monotonic seconds.
        closing_at: When the server began to close it, monotonic seconds.
        closed_at: When its socket closed, monotonic seconds.
        close_code: The WebSocket close code, None while it is open.
        heard_from: When it heard its caller for the first time, monotonic seconds.
        heard_until: When it did for the last time.
        usage: The usage of every response, in order.
        transcription_usage: The usage of every transcribed turn, in order.
        script: What the model was to do in the call, None when nobody said.
    """

    session_id: str
    model: str
    opened_at: float
    heard: Tape
    said: Tape
    conversation: Conversation = field(default_factory=Conversation)
    responses: list[ResponseRecord] = field(default_factory=list[ResponseRecord])
    turns: list[TurnRecord] = field(default_factory=list[TurnRecord])
    usage: list[Json] = field(default_factory=list[Json])
    transcription_usage: list[Json] = field(default_factory=list[Json])
    calls: CallLog = field(default_factory=CallLog)
    script: ScriptRun | None = None
    config: Json = field(default_factory=dict[str, object])
    errors: list[str] = field(default_factory=list[str])
    state: str = "connecting"
    closing_at: float | None = None
    closed_at: float | None = None
    close_code: int | None = None
    heard_from: float | None = None
    heard_until: float | None = None
    expires_at: int = 0

    def hear(self, audio: bytes, *, now: float) -> None:
        """Take note of what the caller says."""
        self.heard.add(audio)
        self.heard_until = now
        if self.heard_from is None:
            self.heard_from = now

    def usage_total(self) -> Json:
        """Return what all responses cost: the fields of ``usage``, each summed."""
        return total(self.usage)

    def wire(self) -> Json:
        """Return all but the audio, for the control endpoint."""
        return {
            "id": self.session_id,
            "model": self.model,
            "state": self.state,
            "opened_at": self.opened_at,
            "closing_at": self.closing_at,
            "closed_at": self.closed_at,
            "close_code": self.close_code,
            "heard_from": self.heard_from,
            "heard_until": self.heard_until,
            "expires_at": self.expires_at,
            "audio_in": self.heard.wire(),
            "audio_out": self.said.wire(),
            "responses": [response.wire() for response in self.responses],
            "turns": [turn.wire() for turn in self.turns],
            "items": [item.record() for item in self.conversation.items],
            "deleted_items": [item.record() for item in self.conversation.deleted],
            "function_calls": [call.wire() for call in self.calls.all()],
            "script": None if self.script is None else self.script.wire(),
            "usage": self.usage,
            "usage_total": self.usage_total(),
            "transcription_usage_total": total(self.transcription_usage),
            "total_tokens": sum(usage["total_tokens"] for usage in self.usage),
            "errors": self.errors,
            "config": self.config,
        }


class Ledger:
    """The records of the last sessions; memory is bounded in every direction."""

    def __init__(
        self,
        *,
        max_sessions: int = 2000,
        max_session_bytes: int = 10_000_000,
        max_total_bytes: int = 256_000_000,
    ) -> None:
        self._max_sessions = max_sessions
        self._max_session_bytes = max_session_bytes
        self._max_total_bytes = max_total_bytes
        self._records: OrderedDict[str, SessionRecord] = OrderedDict()
        self._open = 0
        self.peak_open = 0
        self.refused: dict[int, int] = {}

    def open(self, session_id: str, model: str, *, now: float) -> SessionRecord:
        """Begin the record of a session."""
        record = SessionRecord(
            session_id,
            model,
            now,
            heard=Tape(self._max_session_bytes),
            said=Tape(0),
        )
        self._records[session_id] = record
        self._open += 1
        self.peak_open = max(self.peak_open, self._open)
        return record

    def close(self, record: SessionRecord, code: int | None, *, now: float) -> None:
        """End the record of a session and make room for others."""
        record.state = "closed"
        record.close_code = code
        record.closed_at = now
        self._open -= 1
        self._forget_oldest()

    def refuse(self, status: int) -> None:
        """Take note of a connection answered with an HTTP *status*."""
        self.refused[status] = self.refused.get(status, 0) + 1

    def get(self, session_id: str) -> SessionRecord | None:
        """Return the record of a session, None when it is not (or no more) known."""
        return self._records.get(session_id)

    def sessions(self) -> list[SessionRecord]:
        """Return the known sessions, oldest first."""
        return list(self._records.values())

    def wire(self) -> Json:
        """Return everything but the audio, for the control endpoint."""
        return {
            "open": self._open,
            "peak_open": self.peak_open,
            "refused": self.refused,
            "sessions": [record.wire() for record in self._records.values()],
        }

    def _forget_oldest(self) -> None:
        closed = [r for r in self._records.values() if r.state == "closed"]
        for record in closed[: max(0, len(self._records) - self._max_sessions)]:
            del self._records[record.session_id]
        kept = sum(len(record.heard.kept) for record in self._records.values())
        for record in closed:
            if kept <= self._max_total_bytes:
                return
            kept -= record.heard.erase()
