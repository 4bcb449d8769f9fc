"""The output items of a scripted response, with their events in the API's order."""

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import pybase64

from backhaul.core.g711 import decode
from lab.realtime_conversation import StoredItem
from lab.realtime_events import Json
from lab.speech_files import SpeechLine

__all__ = [
    "CHUNK_MS",
    "TOKENS_PER_STEP",
    "CalledFunction",
    "Output",
    "Place",
    "SpokenMessage",
]

CHUNK_MS = 200
"""Audio in one step; an assistant's audio takes a token for 50 ms."""

TOKENS_PER_STEP = 4
_CHARACTERS_PER_STEP = 4 * TOKENS_PER_STEP
_MULAW_BYTES_PER_MS = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where an output belongs.

    Attributes:
        in_conversation: Whether it becomes an item of the default conversation.
        output_format: The media type of audio, None when the response is written.
    """

    response_id: str
    output_index: int
    in_conversation: bool
    output_format: str | None


class Output(ABC):
    """One item that a response produces, step by step."""

    def __init__(self, place: Place, item: Json, steps: int) -> None:
        self.place = place
        self.item = StoredItem({"object": "realtime.item", **item})
        self.item.wire["status"] = "in_progress"
        self.previous_item_id: str | None = None
        self.opened = False
        self.closed = False
        self.steps = steps
        self.steps_done = 0

    @property
    def finished(self) -> bool:
        """Whether all of it was produced."""
        return self.steps_done >= self.steps

    def opening(self) -> Iterator[Json]:
        """Yield what comes before the first step."""
        self.opened = True
        yield self._event("response.output_item.added", item=dict(self.item.wire))
        yield from self._item_event("added")

    def step(self) -> tuple[bytes, list[Json]]:
        """Return the next audio (wire format; empty for text) and its events."""
        index = self.steps_done
        self.steps_done += 1
        return self._produce(index)

    def closing(self, status: Literal["completed", "incomplete"]) -> Iterator[Json]:
        """Yield what comes after the last step, the item being *status*."""
        self.closed = True
        self.item.wire["status"] = status
        yield from self._conclusion()
        yield from self._item_event("done")
        yield self._event("response.output_item.done", item=dict(self.item.wire))

    @abstractmethod
    def _produce(self, index: int) -> tuple[bytes, list[Json]]: ...

    @abstractmethod
    def _conclusion(self) -> Iterator[Json]: ...

    def _item_event(self, kind: str) -> Iterator[Json]:
        if self.place.in_conversation:
            yield {
                "type": f"conversation.item.{kind}",
                "previous_item_id": self.previous_item_id,
                "item": dict(self.item.wire),
            }

    def _event(self, kind: str, **fields: object) -> Json:
        return {
            "type": kind,
            "response_id": self.place.response_id,
            "output_index": self.place.output_index,
            **fields,
        }


class SpokenMessage(Output):
    """A message of one content part: *lines*, said one after the other, or written."""

    def __init__(self, place: Place, item_id: str, lines: Sequence[SpeechLine]) -> None:
        self._chunks = _chunks(lines)
        item: Json = {
            "id": item_id,
            "type": "message",
            "role": "assistant",
            "content": [],
        }
        super().__init__(place, item, len(self._chunks))
        self._spoken = ""

    def opening(self) -> Iterator[Json]:
        """Yield what comes before the first step."""
        yield from super().opening()
        yield self._part_event("response.content_part.added", part=self._part())

    def audio_delta(self, audio: bytes) -> Json:
        """Return the delta event that carries *audio*."""
        encoded = pybase64.b64encode(audio).decode()
        return self._part_event("response.output_audio.delta", delta=encoded)

    def _produce(self, index: int) -> tuple[bytes, list[Json]]:
        audio, words = self._chunks[index]
        self._spoken += words
        self.item.written_characters = len(self._spoken)
        if self.place.output_format is None:
            return b"", [self._part_event("response.output_text.delta", delta=words)]
        self.item.grow(len(audio) / _MULAW_BYTES_PER_MS)
        if self.place.output_format != "audio/pcmu":
            audio = _upsampled(decode(audio))
        events = [self.audio_delta(audio)]
        if words:
            kind = "response.output_audio_transcript.delta"
            events.insert(0, self._part_event(kind, delta=words))
        return audio, events

    def _conclusion(self) -> Iterator[Json]:
        if not self.item.wire["content"]:  # a truncated item stays truncated
            self.item.wire["content"] = [self._content()]
        if self.place.output_format is None:
            yield self._part_event("response.output_text.done", text=self._spoken)
        else:
            yield self._part_event("response.output_audio.done")
            yield self._part_event(
                "response.output_audio_transcript.done", transcript=self._spoken
            )
        yield self._part_event("response.content_part.done", part=self._part())

    def _content(self) -> Json:
        if self.place.output_format is None:
            return {"type": "output_text", "text": self._spoken}
        return {"type": "output_audio", "transcript": self._spoken}

    def _part(self) -> Json:
        if self.place.output_format is None:
            return {"type": "text", "text": self._spoken}
        return {"type": "audio", "transcript": self._spoken}

    def _part_event(self, kind: str, **fields: object) -> Json:
        return self._event(kind, item_id=self.item.item_id, content_index=0, **fields)


class CalledFunction(Output):
    """A function call, its *arguments* written a few characters at a time."""

    def __init__(
        self, place: Place, item_id: str, call_id: str, name: str, arguments: str
    ) -> None:
        item: Json = {
            "id": item_id,
            "type": "function_call",
            "name": name,
            "call_id": call_id,
            "arguments": "",
        }
        super().__init__(
            place, item, max(1, -(-len(arguments) // _CHARACTERS_PER_STEP))
        )
        self._arguments = arguments

    def _produce(self, index: int) -> tuple[bytes, list[Json]]:
        start = index * _CHARACTERS_PER_STEP
        delta = self._arguments[start : start + _CHARACTERS_PER_STEP]
        self.item.wire["arguments"] += delta
        self.item.written_characters += len(delta)
        kind = "response.function_call_arguments.delta"
        return b"", [self._call_event(kind, delta=delta)] if delta else []

    def _conclusion(self) -> Iterator[Json]:
        # Sent when the call was cut off, too; so says the documentation of this event.
        yield self._call_event(
            "response.function_call_arguments.done",
            name=self.item.wire["name"],
            arguments=self.item.wire["arguments"],
        )

    def _call_event(self, kind: str, **fields: object) -> Json:
        call_id: str = self.item.wire["call_id"]
        return self._event(kind, item_id=self.item.item_id, call_id=call_id, **fields)


def _chunks(lines: Sequence[SpeechLine]) -> list[tuple[bytes, str]]:
    """Return the audio in pieces, each with the words that begin in it."""
    spoken = b"".join(line.audio for line in lines)
    size = CHUNK_MS * _MULAW_BYTES_PER_MS
    pieces = [spoken[n : n + size] for n in range(0, len(spoken), size)]
    words = [f"{word} " for line in lines for word in line.text.split()]
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
