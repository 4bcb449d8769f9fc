"""What the Realtime stand-in heard and said: the evidence of a test or a demo."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from lab.realtime_conversation import Conversation
from lab.realtime_events import Json

__all__ = ["Ledger", "ResponseRecord", "SessionRecord", "Tape"]


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
    """One response; times are monotonic seconds."""

    response_id: str
    line: str
    requested_at: float
    first_audio_at: float | None = None
    status: str = "in_progress"
    audio: Tape = field(default_factory=lambda: Tape(0))

    def wire(self) -> Json:
        """Return what there is to say about it, for the control endpoint."""
        requested, first = self.requested_at, self.first_audio_at
        return {
            "id": self.response_id,
            "line": self.line,
            "status": self.status,
            "requested_at": requested,
            "first_audio_at": first,
            "first_audio_ms": None if first is None else 1e3 * (first - requested),
            "audio": self.audio.wire(),
        }


@dataclass(slots=True)
class SessionRecord:
    """One session, as long as the ledger remembers it.

    Attributes:
        state: ``connecting``, ``open`` or ``closed``.
        opened_at: When it was accepted, monotonic seconds.
        closed_at: When its socket closed, monotonic seconds.
        close_code: The WebSocket close code, None while it is open.
        usage: The usage of every response, in order.
    """

    session_id: str
    model: str
    opened_at: float
    heard: Tape
    said: Tape
    conversation: Conversation = field(default_factory=Conversation)
    responses: list[ResponseRecord] = field(default_factory=list[ResponseRecord])
    usage: list[Json] = field(default_factory=list[Json])
    config: Json = field(default_factory=dict[str, object])
    errors: list[str] = field(default_factory=list[str])
    state: str = "connecting"
    closed_at: float | None = None
    close_code: int | None = None
    expires_at: int = 0

    def wire(self) -> Json:
        """Return all but the audio, for the control endpoint."""
        return {
            "id": self.session_id,
            "model": self.model,
            "state": self.state,
            "opened_at": self.opened_at,
            "closed_at": self.closed_at,
            "close_code": self.close_code,
            "expires_at": self.expires_at,
            "audio_in": self.heard.wire(),
            "audio_out": self.said.wire(),
            "responses": [response.wire() for response in self.responses],
            "items": [
                {**item.wire, "audio_ms": item.audio_ms}
                for item in self.conversation.items
            ],
            "usage": self.usage,
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
