"""The client events of the OpenAI Realtime protocol, GA form.

Source: the event types of the `openai` package, which the tests hold every client
event against.
"""

from typing import Any, Final

import msgspec
import pybase64

from backhaul.core.profile import Profile, VadKind
from region_agent.core.tool_declarations import declared_tools

__all__ = [
    "MAX_SESSION_S",
    "PROOF_ID",
    "apologise",
    "append_audio",
    "asks_for_response",
    "assistant_said",
    "caller_said",
    "cancel_response",
    "continue_reply",
    "create_response",
    "delete_item",
    "function_called",
    "function_output",
    "keys_in_words",
    "prove_session",
    "say_exactly",
    "server_answers",
    "server_interrupts",
    "truncate_item",
    "update_session",
]

MAX_SESSION_S: Final = 3600.0
"""Longest life of a session (s), as documented; used when the server names none."""

PROOF_ID: Final = "warmline_proof"
"""Names the events that ask a session whether it is alive."""

_UNKNOWN_WORDS: Final = "(The caller said something that was not written down.)"
_LAST_WORDS: Final = 12
"""So many words of a reply that broke off are quoted."""
_RESPONSE_CREATE: Final = b'{"type":"response.create"'

_encode = msgspec.json.encode


def append_audio(audio: bytes) -> bytes:
    """Return ``input_audio_buffer.append`` with raw mu-law *audio*."""
    # Base64 needs no JSON escapes, so the event is put together from bytes.
    return b'{"type":"input_audio_buffer.append","audio":"%b"}' % pybase64.b64encode(
        audio
    )


def update_session(profile: Profile) -> bytes:
    """Return ``session.update`` with all that *profile* says, mu-law both ways."""
    mulaw = {"type": "audio/pcmu"}
    near = profile.noise_reduction
    transcribe = profile.transcription_model
    session: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": profile.instructions,
        "audio": {
            "input": {
                "format": mulaw,
                "turn_detection": _turn_detection(profile),
                "noise_reduction": {"type": near} if near else None,
                "transcription": {"model": transcribe} if transcribe else None,
            },
            "output": {
                "format": mulaw,
                "voice": profile.voice,
                "speed": profile.speed,
            },
        },
    }
    if tools := declared_tools(profile):
        session["tools"] = tools
    if profile.max_output_tokens:
        session["max_output_tokens"] = profile.max_output_tokens
    return _encode({"type": "session.update", "session": session})


def _turn_detection(profile: Profile) -> dict[str, Any]:
    turns = profile.turn_detection
    # Said aloud, defaults or not: the conversation rests on who does what.
    who = {
        "create_response": server_answers(profile),
        "interrupt_response": server_interrupts(profile),
    }
    if turns.type is VadKind.SEMANTIC:
        return {"type": turns.type, "eagerness": turns.eagerness, **who}
    return {
        "type": turns.type,
        "threshold": turns.threshold,
        "prefix_padding_ms": turns.prefix_padding_ms,
        "silence_duration_ms": turns.silence_duration_ms,
        **who,
    }


def server_answers(profile: Profile) -> bool:
    """Tell whether the server answers each turn by itself.

    One that does not interrupt must not: its answer would be refused while the
    interrupted one is still active, and come on top of one that goes on over a cough.
    """
    return profile.turn_detection.create_response and server_interrupts(profile)


def server_interrupts(profile: Profile) -> bool:
    """Tell whether the server stops its own reply when the caller makes a sound."""
    return profile.turn_detection.interrupt_response and not profile.min_interruption_ms


def create_response(instructions: str = "") -> bytes:
    """Return ``response.create``.

    Args:
        instructions: Replace the session's own for this response; empty keeps them.
    """
    event: dict[str, Any] = {"type": "response.create"}
    if instructions:
        event["response"] = {"instructions": instructions}
    return _encode(event)


def asks_for_response(event: bytes) -> bool:
    """Tell whether *event* is one that `create_response` made."""
    return event.startswith(_RESPONSE_CREATE)


def prove_session() -> bytes:
    """Return ``input_audio_buffer.clear``, which any live session confirms.

    No response comes of it, so it is not billed.
    """
    return _encode({"type": "input_audio_buffer.clear", "event_id": PROOF_ID})


def ask_for_anything() -> bytes:
    """Return ``session.update`` without a change, which any live session confirms.

    Unlike `prove_session` it can be sent while somebody speaks.
    """
    return _encode({"type": "session.update", "session": {"type": "realtime"}})


def cancel_response(response_id: str) -> bytes:
    """Return ``response.cancel``."""
    return _encode({"type": "response.cancel", "response_id": response_id})


def assistant_said(text: str, item_id: str = "", *, after: str = "") -> bytes:
    """Return ``conversation.item.create``: the assistant has already said *text*.

    Args:
        text: What was said; assistant audio cannot be given to a session.
        item_id: Our own name for the item; empty: the server chooses one.
        after: The item it follows; empty: the last one.
    """
    content = [{"type": "output_text", "text": text}]
    item = {"type": "message", "role": "assistant", "content": content}
    return _create_item({"id": item_id, **item} if item_id else item, after)


def caller_said(text: str) -> bytes:
    """Return ``conversation.item.create``: something the caller said or did, as text.

    Args:
        text: Empty when nobody knows what they said.
    """
    content = [{"type": "input_text", "text": text or _UNKNOWN_WORDS}]
    return _create_item({"type": "message", "role": "user", "content": content})


def keys_in_words(digits: str) -> str:
    """Return what the model is told of keys that the caller pressed."""
    return f"The caller pressed these keys of the telephone: {' '.join(digits)}"


def function_called(call_id: str, name: str, arguments: str) -> bytes:
    """Return ``conversation.item.create``: the model called a function before."""
    call = {"call_id": call_id, "name": name, "arguments": arguments}
    return _create_item({"type": "function_call", **call})


def function_output(call_id: str, output: str) -> bytes:
    """Return ``conversation.item.create`` with what a function gave."""
    return _create_item(
        {"type": "function_call_output", "call_id": call_id, "output": output}
    )


def _create_item(item: dict[str, Any], after: str = "") -> bytes:
    event: dict[str, Any] = {"type": "conversation.item.create", "item": item}
    if after:
        event["previous_item_id"] = after
    return _encode(event)


def truncate_item(item_id: str, audio_end_ms: int) -> bytes:
    """Return ``conversation.item.truncate``: only so much (ms, > 0) was heard."""
    return _encode(
        {
            "type": "conversation.item.truncate",
            "item_id": item_id,
            "content_index": 0,
            "audio_end_ms": audio_end_ms,
        }
    )


def delete_item(item_id: str) -> bytes:
    """Return ``conversation.item.delete``."""
    return _encode({"type": "conversation.item.delete", "item_id": item_id})


def apologise(profile: Profile) -> str:
    """Return instructions for the first words to a caller who was cut off."""
    return (
        f"{profile.instructions}\n\nThe line to the caller was interrupted for a "
        "moment. Apologise for that in one short sentence and go on with the "
        "conversation."
    )


def continue_reply(profile: Profile, heard: str) -> str:
    """Return instructions to go on with a reply that broke off.

    Args:
        profile: Whose instructions they replace.
        heard: What the caller heard of it.
    """
    last_words = " ".join(heard.split()[-_LAST_WORDS:])
    return (
        f"{profile.instructions}\n\nThe line was interrupted while you were speaking. "
        "Go on with your last reply exactly where it broke off. Do not repeat any of "
        "it and do not mention the interruption. The last words that the caller heard "
        f"were: {last_words}"
    )


def say_exactly(text: str) -> str:
    """Return instructions that make the model speak *text* word for word."""
    return (
        "Say exactly the following text, word for word, in a natural voice, and "
        f"nothing before or after it:\n\n{text}"
    )
