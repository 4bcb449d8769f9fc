"""One scripted response: the events it consists of, in the order the API sends them."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import pybase64

from backhaul.core.g711 import decode
from lab.realtime_conversation import StoredItem
from lab.realtime_events import Json
from lab.speech_files import SpeechLine

__all__ = ["CHUNK_MS", "Outcome", "Script", "ScriptedResponse", "Status"]

CHUNK_MS = 200
_MULAW_BYTES_PER_MS = 8

Status = Literal["completed", "cancelled", "failed", "incomplete"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a response ended; *reason* and *error* as in ``status_details``."""

    status: Status
    reason: str | None = None
    error: Json | None = None

    def details(self) -> Json | None:
        """Return the ``status_details`` of the response."""
        if self.status == "completed":
            return None
        return {"type": self.status, "reason": self.reason, "error": self.error}


class Script:
    """What the model says next: what it is told to word for word, else in turn."""

    def __init__(
        self, replies: tuple[SpeechLine, ...], known: tuple[SpeechLine, ...]
    ) -> None:
        self._replies = replies
        self._known = sorted(known, key=lambda line: -len(line.text))
        self._spoken = 0

    def next_line(self, instructions: str | None) -> SpeechLine:
        """Return the line asked for in *instructions*, or else the next reply."""
        for line in self._known if instructions else ():
            if instructions and line.text in instructions:
                return line
        line = self._replies[self._spoken % len(self._replies)]
        self._spoken += 1
        return line


class ScriptedResponse:
    """A response being given; the session decides when each part is sent."""

    def __init__(
        self,
        *,
        response_id: str,
        item_id: str,
        line: SpeechLine,
        base: Json,
        max_tokens: int | None,
    ) -> None:
        self.response_id = response_id
        self.line = line
        self.item = StoredItem(
            {
                "id": item_id,
                "object": "realtime.item",
                "type": "message",
                "role": "assistant",
                "status": "in_progress",
                "content": [],
            }
        )
        self.outcome: Outcome | None = None
        self.previous_item_id: str | None = None
        self.opened = False
        self.spoken = ""
        self._base = base
        self._chunks = _chunks(line)
        self.exhausts_tokens = False
        if max_tokens is not None:
            # An assistant's audio takes a token for 50 ms.
            limit = max(1, max_tokens * 50 // CHUNK_MS)
            self.exhausts_tokens = limit < len(self._chunks)
            del self._chunks[limit:]
        self._next = 0

    @property
    def in_conversation(self) -> bool:
        """Whether it writes to the default conversation."""
        return self._base["conversation_id"] is not None

    @property
    def is_audio(self) -> bool:
        """Whether it is spoken, not written."""
        return bool(self._base["output_modalities"] == ["audio"])

    @property
    def finished(self) -> bool:
        """Whether everything was said."""
        return self._next >= len(self._chunks)

    @property
    def half_said(self) -> bool:
        """Whether half of it was said."""
        return self._next * 2 >= len(self._chunks)

    def wire(self, usage: Json | None = None) -> Json:
        """Return the ``response`` object as it is now."""
        outcome = self.outcome
        return {
            "id": self.response_id,
            "object": "realtime.response",
            "status": outcome.status if outcome else "in_progress",
            "status_details": outcome.details() if outcome else None,
            "output": [dict(self.item.wire)] if outcome and self.opened else [],
            "usage": usage,
            **self._base,
        }

    def opening(self) -> Iterator[Json]:
        """Yield what comes before the first delta."""
        self.opened = True
        yield self._event("response.output_item.added", item=dict(self.item.wire))
        if self.in_conversation:
            yield {
                "type": "conversation.item.added",
                "previous_item_id": self.previous_item_id,
                "item": dict(self.item.wire),
            }
        yield self._part_event("response.content_part.added", self._part(""))

    def chunk(self) -> tuple[bytes, list[Json]]:
        """Return the next audio (wire format; empty for text) and its events."""
        audio, words = self._chunks[self._next]
        self._next += 1
        self.spoken += words
        if not self.is_audio:
            return b"", [self._part_event("response.output_text.delta", delta=words)]
        self.item.audio_ms += len(audio) / _MULAW_BYTES_PER_MS
        audio = self._in_output_format(audio)
        events = [self.audio_delta(audio)]
        if words:
            said = self._part_event(
                "response.output_audio_transcript.delta", delta=words
            )
            events.insert(0, said)
        return audio, events

    def audio_delta(self, audio: bytes) -> Json:
        """Return the delta event that carries *audio*."""
        encoded = pybase64.b64encode(audio).decode()
        return self._part_event("response.output_audio.delta", delta=encoded)

    def closing(self) -> Iterator[Json]:
        """Yield what comes after the last delta, save for ``response.done``."""
        if not self.opened:
            return
        completed = self.outcome is not None and self.outcome.status == "completed"
        self.item.wire["status"] = "completed" if completed else "incomplete"
        if not self.item.wire["content"]:  # a truncated item stays truncated
            self.item.wire["content"] = [self._content()]
        if self.is_audio:
            yield self._part_event("response.output_audio.done")
            yield self._part_event(
                "response.output_audio_transcript.done", transcript=self.spoken
            )
        else:
            yield self._part_event("response.output_text.done", text=self.spoken)
        yield self._part_event("response.content_part.done", self._part(self.spoken))
        if self.in_conversation:
            yield {
                "type": "conversation.item.done",
                "previous_item_id": self.previous_item_id,
                "item": dict(self.item.wire),
            }
        yield self._event("response.output_item.done", item=dict(self.item.wire))

    def _content(self) -> Json:
        if self.is_audio:
            return {"type": "output_audio", "transcript": self.spoken}
        return {"type": "output_text", "text": self.spoken}

    def _part(self, text: str) -> Json:
        if self.is_audio:
            return {"type": "audio", "transcript": text}
        return {"type": "text", "text": text}

    def _in_output_format(self, audio: bytes) -> bytes:
        if self._base["audio"]["output"]["format"]["type"] == "audio/pcmu":
            return audio
        return _upsampled(decode(audio))

    def _event(self, kind: str, **fields: object) -> Json:
        return {
            "type": kind,
            "response_id": self.response_id,
            "output_index": 0,
            **fields,
        }

    def _part_event(
        self, kind: str, part: Json | None = None, **fields: object
    ) -> Json:
        if part is not None:
            fields["part"] = part
        return self._event(kind, item_id=self.item.item_id, content_index=0, **fields)


def _chunks(line: SpeechLine) -> list[tuple[bytes, str]]:
    """Return the audio in pieces, each with the words that begin in it."""
    size = CHUNK_MS * _MULAW_BYTES_PER_MS
    pieces = [line.audio[n : n + size] for n in range(0, len(line.audio), size)]
    words = [f"{word} " for word in line.text.split()]
    words[-1] = words[-1].rstrip()
    # The transcript runs ahead of the audio, as the real one does.
    marks = [-(-len(words) * n // len(pieces)) for n in range(len(pieces) + 1)]
    said = ("".join(words[a:b]) for a, b in pairwise(marks))
    return list(zip(pieces, said, strict=True))


def _upsampled(pcm: bytes) -> bytes:
    """Return 8 kHz *pcm* at 24 kHz, by straight lines between the samples."""
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
    tripled: list[int] = []
    for first, second in pairwise((*samples, samples[-1])):
        tripled += (first, (2 * first + second) // 3, (first + 2 * second) // 3)
    return struct.pack(f"<{len(tripled)}h", *tripled)
