"""What a scripted response would have cost in tokens."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.realtime_conversation import Conversation, StoredItem
from lab.realtime_events import Json

__all__ = ["UsageMeter", "total"]

# Source: OpenAI's page on Realtime costs.
_USER_AUDIO_MS_PER_TOKEN = 100
_ASSISTANT_AUDIO_MS_PER_TOKEN = 50
_CHARACTERS_PER_TEXT_TOKEN = 4
_CACHE_BLOCK_TOKENS = 64


@dataclass(slots=True)
class UsageMeter:
    """Counts the tokens of one session's responses; the context is cached between."""

    cached_tokens: int = 0

    def response(
        self,
        conversation: Conversation,
        instructions: str,
        outputs: Sequence[StoredItem],
    ) -> Json:
        """Return the ``usage`` of a response that produced *outputs*."""
        own = {output.item_id for output in outputs}
        context = [item for item in conversation.items if item.item_id not in own]
        text = _text_tokens(
            len(instructions) + sum(item.text_length() for item in context)
        )
        audio = sum(_context_audio_tokens(item) for item in context)
        cached = min(self.cached_tokens, text + audio)
        self.cached_tokens = (text + audio) // _CACHE_BLOCK_TOKENS * _CACHE_BLOCK_TOKENS
        cached_text = min(cached, text)
        out_text = sum(_text_tokens(item.written_characters) for item in outputs)
        out_audio = sum(
            math.ceil(item.generated_ms / _ASSISTANT_AUDIO_MS_PER_TOKEN)
            for item in outputs
        )
        return {
            "total_tokens": text + audio + out_text + out_audio,
            "input_tokens": text + audio,
            "output_tokens": out_text + out_audio,
            "input_token_details": {
                "text_tokens": text,
                "audio_tokens": audio,
                "image_tokens": 0,
                "cached_tokens": cached,
                "cached_tokens_details": {
                    "text_tokens": cached_text,
                    "audio_tokens": cached - cached_text,
                    "image_tokens": 0,
                },
            },
            "output_token_details": {
                "text_tokens": out_text,
                "audio_tokens": out_audio,
            },
        }

    @staticmethod
    def transcription(audio_ms: float, transcript: str) -> Json:
        """Return the ``usage`` of a transcribed turn."""
        heard = math.ceil(audio_ms / _USER_AUDIO_MS_PER_TOKEN)
        written = _text_tokens(len(transcript))
        return {
            "type": "tokens",
            "total_tokens": heard + written,
            "input_tokens": heard,
            "output_tokens": written,
            "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
        }


def total(usages: Iterable[Json]) -> Json:
    """Return the sum of *usages*, field by field."""
    summed: Json = {}
    for usage in usages:
        for name, value in usage.items():
            if isinstance(value, dict):
                parts: list[Json] = [summed.get(name, {}), value]
                summed[name] = total(parts)
            elif isinstance(value, int):
                summed[name] = summed.get(name, 0) + value
    return summed


def _text_tokens(characters: int) -> int:
    return math.ceil(characters / _CHARACTERS_PER_TEXT_TOKEN)


def _context_audio_tokens(item: StoredItem) -> int:
    assistant = item.wire.get("role") == "assistant"
    per_token = _ASSISTANT_AUDIO_MS_PER_TOKEN if assistant else _USER_AUDIO_MS_PER_TOKEN
    return math.ceil(item.audio_ms / per_token)
