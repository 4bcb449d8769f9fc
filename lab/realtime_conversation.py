"""The items of one Realtime session, in order, as the server keeps them."""

import binascii
from dataclasses import dataclass, field

import msgspec
import pybase64

from lab.realtime_events import Json, RefusedEventError
from lab.realtime_schema import FunctionCall, FunctionCallOutput, Item, Message

__all__ = ["Conversation", "StoredItem", "decode_audio"]

_ALLOWED_CONTENT = {
    "system": ("input_text",),
    "user": ("input_text", "input_audio", "input_image"),
    "assistant": ("output_text",),
}
_CONTENT_FIELD = {
    "input_text": "text",
    "output_text": "text",
    "input_audio": "audio",
    "input_image": "image_url",
}


@dataclass(slots=True)
class StoredItem:
    """One item.

    Attributes:
        wire: The item as the protocol shows it.
        audio_ms: How much audio the conversation keeps of it, in milliseconds.
        generated_ms: How much audio the model made for it, in milliseconds.
        written_characters: How much text the model wrote for it, transcript included.
        truncations: Every length (ms) it was cut to and when, monotonic seconds.
        deleted_at: When it was taken out, monotonic seconds.
    """

    wire: Json
    audio_ms: float = 0.0
    generated_ms: float = 0.0
    written_characters: int = 0
    truncations: list[tuple[int, float]] = field(
        default_factory=list[tuple[int, float]]
    )
    deleted_at: float | None = None

    @property
    def item_id(self) -> str:
        """Its identifier."""
        return str(self.wire["id"])

    def grow(self, audio_ms: float) -> None:
        """Add what the model said; nothing comes back after a truncation."""
        self.generated_ms += audio_ms
        if not self.truncations:
            self.audio_ms = self.generated_ms

    def record(self) -> Json:
        """Return all there is to say about it, for the control endpoint."""
        return {
            **self.wire,
            "audio_ms": self.audio_ms,
            "generated_ms": self.generated_ms,
            "truncated_ms": [end_ms for end_ms, _ in self.truncations],
            "truncated_at": [at for _, at in self.truncations],
            "deleted_at": self.deleted_at,
        }

    def text_length(self) -> int:
        """Return the number of characters of text it adds to the context."""
        own = len(self.wire.get("arguments", "")) + len(self.wire.get("output", ""))
        return own + sum(len(c.get("text", "")) for c in self.wire.get("content", ()))


def decode_audio(text: str) -> bytes:
    """Return the audio in base64 *text*.

    Raises:
        RefusedEventError: If it is not base64.
    """
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RefusedEventError(
            "invalid_value",
            "Invalid 'audio'. Expected base64-encoded audio bytes.",
            param="audio",
        ) from None


class Conversation:
    """An ordered set of items; every refusal is a `RefusedEventError`.

    Attributes:
        items: What the model knows, in order.
        deleted: What the client took out, in the order it did.
    """

    def __init__(self) -> None:
        self.items: list[StoredItem] = []
        self.deleted: list[StoredItem] = []

    def last_id(self) -> str | None:
        """Return the id of the last item, None when there is none."""
        return self.items[-1].item_id if self.items else None

    def find(self, item_id: str, verb: str) -> StoredItem:
        """Return an item that a client wants to *verb*."""
        for item in self.items:
            if item.item_id == item_id:
                return item
        raise RefusedEventError(
            f"item_{verb}_invalid_item_id",
            f"Error {verb} item: the item with id '{item_id}' does not exist.",
            param="item_id",
        )

    def append(self, item: StoredItem) -> str | None:
        """Put *item* last and return the id of the one before it."""
        previous_id = self.last_id()
        self.items.append(item)
        return previous_id

    def insert(self, item: StoredItem, previous_item_id: str | None) -> str | None:
        """Put *item* after another, ``root`` meaning first, None meaning last."""
        if any(known.item_id == item.item_id for known in self.items):
            raise RefusedEventError(
                "item_create_duplicate_item_id",
                "Error adding item: an item with id "
                f"'{item.item_id}' already exists in the conversation.",
                param="item.id",
            )
        if previous_item_id is None:
            return self.append(item)
        if previous_item_id == "root":
            self.items.insert(0, item)
            return None
        index = self._index_of(previous_item_id)
        self.items.insert(index + 1, item)
        return previous_item_id

    def remove(self, item_id: str, *, now: float) -> None:
        """Take an item out."""
        item = self.find(item_id, "delete")
        item.deleted_at = now
        self.items.remove(item)
        self.deleted.append(item)

    def truncate(
        self, item_id: str, content_index: int, audio_end_ms: int, *, now: float
    ) -> None:
        """Keep only the first *audio_end_ms* of the audio, and no transcript."""
        item = self.find(item_id, "truncate")
        if item.wire.get("role") != "assistant" or not item.audio_ms:
            raise RefusedEventError(
                "invalid_value", "Only model output audio messages can be truncated."
            )
        if content_index != 0:
            raise RefusedEventError(
                "invalid_value",
                f"There is no content part {content_index}.",
                param="content_index",
            )
        if not 0 < audio_end_ms <= item.audio_ms:
            raise RefusedEventError(
                "invalid_value",
                f"Audio content of {item.audio_ms:.0f}ms is already shorter than "
                f"{audio_end_ms}ms, or nothing of it would be left.",
                param="audio_end_ms",
            )
        item.audio_ms = float(audio_end_ms)
        item.truncations.append((audio_end_ms, now))
        item.wire["content"] = [{"type": "output_audio"}]
        item.wire["status"] = "incomplete"

    def accept(self, item: Item, new_id: str, *, audio_bytes_per_ms: int) -> StoredItem:
        """Return *item* as the server stores it, not yet part of the conversation."""
        wire: Json = msgspec.to_builtins(item)
        wire = {"id": new_id, **wire, "object": "realtime.item", "status": "completed"}
        audio_ms = 0.0
        if isinstance(item, Message):
            audio_ms = _checked_content(wire, audio_bytes_per_ms)
        elif isinstance(item, FunctionCall):
            wire.setdefault("call_id", f"call_{new_id[5:]}")
        else:
            self._check_call(item)
        return StoredItem(wire, audio_ms)

    def _index_of(self, item_id: str) -> int:
        for index, item in enumerate(self.items):
            if item.item_id == item_id:
                return index
        raise RefusedEventError(
            "item_create_invalid_previous_item_id",
            f"Error adding item: previous item '{item_id}' does not exist.",
            param="previous_item_id",
        )

    def _check_call(self, item: FunctionCallOutput) -> None:
        calls = (i.wire for i in self.items if i.wire["type"] == "function_call")
        if not any(call["call_id"] == item.call_id for call in calls):
            raise RefusedEventError(
                "invalid_tool_call_id",
                f"Tool call ID '{item.call_id}' not found in conversation.",
                param="item.call_id",
            )


def _checked_content(wire: Json, audio_bytes_per_ms: int) -> float:
    """Return the length (ms) of the audio in *wire*, which is then left out of it."""
    audio_ms = 0.0
    for index, content in enumerate(wire["content"]):
        kind: str = content["type"]
        if kind not in _ALLOWED_CONTENT[wire["role"]]:
            allowed = ", ".join(f"'{name}'" for name in _ALLOWED_CONTENT[wire["role"]])
            raise RefusedEventError(
                "invalid_value",
                f"Invalid value: '{kind}'. Supported values are: {allowed}.",
                param=f"item.content[{index}].type",
            )
        field = _CONTENT_FIELD[kind]
        if field not in content:
            param = f"item.content[{index}].{field}"
            raise RefusedEventError(
                "missing_required_parameter",
                f"Missing required parameter: '{param}'.",
                param=param,
            )
        if kind == "input_audio":
            audio_ms += len(decode_audio(content.pop("audio"))) / audio_bytes_per_ms
    return audio_ms
