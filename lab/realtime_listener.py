"""Listens to the caller of one Realtime session: turns, commits, transcripts."""

import random
from collections.abc import Callable

from lab.realtime_config import BYTES_PER_MS, SessionConfig
from lab.realtime_conversation import StoredItem
from lab.realtime_events import Json, RefusedEventError
from lab.realtime_input import InputBuffer, transcribe
from lab.realtime_mind import Mind
from lab.realtime_record import SessionRecord, TurnRecord
from lab.realtime_schema import ResponseParams
from lab.realtime_speaker import Speaker
from lab.realtime_timeline import Ids, RealtimeLatency, Timeline
from lab.realtime_usage import UsageMeter
from lab.speech_files import SpeechLine
from lab.vad import SpeechStarted, SpeechStopped

__all__ = ["Listener", "send_item"]


def send_item(
    timeline: Timeline, item: StoredItem, previous_id: str | None, *, now: float
) -> None:
    """Announce an item that is complete from the start."""
    for kind in ("added", "done"):
        event: Json = {
            "type": f"conversation.item.{kind}",
            "previous_item_id": previous_id,
            "item": dict(item.wire),
        }
        timeline.send(event, now=now)


_THINKING_S = 0.05


def _by_heart(audio: bytes, lines: tuple[SpeechLine, ...]) -> Callable[[], str | None]:
    return lambda: transcribe(audio, lines)


class Listener:
    """The caller's side of a session.

    *on_call* is told when the session hears a caller for the first time, *on_refused*
    of a response that turn detection wanted and could not have.
    """

    def __init__(
        self,
        *,
        timeline: Timeline,
        ids: Ids,
        rng: random.Random,
        latency: RealtimeLatency,
        config: SessionConfig,
        record: SessionRecord,
        lines: tuple[SpeechLine, ...],
        speaker: Speaker,
        on_call: Callable[[float], None],
        on_refused: Callable[[RefusedEventError, float], None],
        mind: Mind | None = None,
    ) -> None:
        self._timeline = timeline
        self._ids = ids
        self._rng = rng
        self._latency = latency
        self._config = config
        self._record = record
        self._lines = lines
        self._speaker = speaker
        self._on_call = on_call
        self._on_refused = on_refused
        self._mind = mind
        self._input = InputBuffer(config)
        self._turn: TurnRecord | None = None
        self._idle_waits = 0
        self.deaf = False
        """Whether neither the beginning nor the end of a turn is noticed any more."""

    @property
    def heard_anything(self) -> bool:
        """Whether any audio was ever appended."""
        return self._input.heard_anything

    def reconfigure(self) -> None:
        """Follow a changed turn detection."""
        self._input.reconfigure()
        if not self._input.speaking:
            self._turn = None

    def append(self, audio: bytes, *, now: float) -> None:
        """Hear *audio*.

        Raises:
            RefusedEventError: If it cannot be listened to.
        """
        was_silent = not self._input.heard_anything
        events = self._input.append(audio)
        self._record.hear(audio, now=now)
        if was_silent and self._input.heard_anything:
            self._on_call(now)
        for change in events:
            if self.deaf:
                continue
            if isinstance(change, SpeechStarted):
                self._on_speech_started(change, now)
            else:
                self._on_speech_stopped(change, now)

    def commit(self, *, now: float) -> None:
        """Make an item of all that was heard since the last.

        Raises:
            RefusedEventError: If that is too little.
        """
        audio = self._input.commit_all()
        item_id = self._turn.item_id if self._turn else self._ids.make("item")
        self._commit(item_id, audio, now)

    def clear(self) -> None:
        """Forget all that was heard since the last item."""
        self._input.clear()
        self._turn = None

    def await_idle(self, played_at: float, *, now: float) -> None:
        """Respond unasked when the caller stays silent after *played_at* (s)."""
        detection = self._config.turn_detection or {}
        timeout_ms: int | None = detection.get("idle_timeout_ms")
        if timeout_ms is None:
            return
        self._idle_waits += 1
        waits = self._idle_waits
        due = max(played_at, now) + timeout_ms / 1000
        self._timeline.at(due, lambda at: self._on_idle(waits, timeout_ms, at))

    def _on_speech_started(self, started: SpeechStarted, now: float) -> None:
        self._turn = TurnRecord(self._ids.make("item"), started.audio_start_ms, now)
        self._record.turns.append(self._turn)
        self._idle_waits += 1
        self._send(
            {
                "type": "input_audio_buffer.speech_started",
                "audio_start_ms": started.audio_start_ms,
                "item_id": self._turn.item_id,
            },
            now,
        )
        if self._detects("interrupt_response"):
            self._speaker.cancel(None, "turn_detected", now=now)

    def _on_speech_stopped(self, stopped: SpeechStopped, now: float) -> None:
        turn = self._turn or TurnRecord(self._ids.make("item"), 0, now)
        turn.audio_end_ms = stopped.audio_end_ms
        turn.stopped_at = now
        self._send(
            {
                "type": "input_audio_buffer.speech_stopped",
                "audio_end_ms": stopped.audio_end_ms,
                "item_id": turn.item_id,
            },
            now,
        )
        audio = self._input.commit_turn(turn.audio_start_ms, stopped.audio_end_ms)
        self._commit(turn.item_id, audio, now)
        if self._detects("create_response"):
            self._respond_unasked("turn_detection", now)

    def _detects(self, option: str) -> bool:
        detection = self._config.turn_detection
        return detection is not None and bool(detection[option])

    def _respond_unasked(self, asked_by: str, now: float) -> None:
        try:
            self._speaker.start(ResponseParams(), asked_by=asked_by, now=now)
        except RefusedEventError as refusal:
            self._on_refused(refusal, now)

    def _commit(self, item_id: str, audio: bytes, now: float) -> None:
        self._turn = None
        audio_ms = len(audio) / BYTES_PER_MS[self._config.input_format]
        wire: Json = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        item = StoredItem(wire, audio_ms)
        previous_id = self._record.conversation.append(item)
        self._send(
            {
                "type": "input_audio_buffer.committed",
                "previous_item_id": previous_id,
                "item_id": item_id,
            },
            now,
        )
        send_item(self._timeline, item, previous_id, now=now)
        words = _by_heart(audio, self._lines)
        if self._mind is not None:
            words = self._mind.hear(audio)
        if self._config.input["transcription"] is not None:
            due = now + self._rng.uniform(*self._latency.transcription_s)
            self._timeline.at(due, lambda at: self._transcribe(item, words, at))

    def _transcribe(
        self, item: StoredItem, words: Callable[[], str | None], now: float
    ) -> None:
        transcript = words()
        if transcript is None:
            again = now + _THINKING_S
            self._timeline.at(again, lambda at: self._transcribe(item, words, at))
            return
        item.wire["content"] = [{"type": "input_audio", "transcript": transcript}]
        about = {"item_id": item.item_id, "content_index": 0}
        kind = "conversation.item.input_audio_transcription"
        self._send({"type": f"{kind}.delta", **about, "delta": transcript}, now)
        usage = UsageMeter.transcription(item.audio_ms, transcript)
        self._record.transcription_usage.append(usage)
        self._send(
            {
                "type": f"{kind}.completed",
                **about,
                "transcript": transcript,
                "usage": usage,
            },
            now,
        )

    def _on_idle(self, waits: int, timeout_ms: int, now: float) -> None:
        busy = self._input.speaking or self._speaker.responding
        if waits != self._idle_waits or busy:
            return
        item_id = self._ids.make("item")
        end_ms = self._input.position_ms
        start_ms = max(0, end_ms - timeout_ms)
        self._send(
            {
                "type": "input_audio_buffer.timeout_triggered",
                "audio_start_ms": start_ms,
                "audio_end_ms": end_ms,
                "item_id": item_id,
            },
            now,
        )
        self._commit(item_id, self._input.commit_turn(start_ms, end_ms), now)
        self._respond_unasked("idle_timeout", now)

    def _send(self, event: Json, now: float) -> None:
        self._timeline.send(event, now=now)
