"""What a scripted response would have cost in tokens."""

import math
from dataclasses import dataclass

from lab.realtime_conversation import Conversation, StoredItem
from lab.realtime_events import Json

__all__ = ["UsageMeter"]

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
        self, conversation: Conversation, instructions: str, output: StoredItem
    ) -> Json:
        """Return the ``usage`` of a response that said *output*."""
        context = [item for item in conversation.items if item is not output]
        text = _text_tokens(
            len(instructions) + sum(item.text_length() for item in context)
        )
        audio = sum(_audio_tokens(item) for item in context)
        cached = min(self.cached_tokens, text + audio)
        self.cached_tokens = (text + audio) // _CACHE_BLOCK_TOKENS * _CACHE_BLOCK_TOKENS
        cached_text = min(cached, text)
        out_text = _text_tokens(_spoken_length(output))
        out_audio = _audio_tokens(output)
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


def _text_tokens(characters: int) -> int:
    return math.ceil(characters / _CHARACTERS_PER_TEXT_TOKEN)


def _audio_tokens(item: StoredItem) -> int:
    assistant = item.wire.get("role") == "assistant"
    per_token = _ASSISTANT_AUDIO_MS_PER_TOKEN if assistant else _USER_AUDIO_MS_PER_TOKEN
    return math.ceil(item.audio_ms / per_token)


def _spoken_length(item: StoredItem) -> int:
    return sum(
        len(content.get("transcript") or content.get("text") or "")
        for content in item.wire.get("content", ())
    )
