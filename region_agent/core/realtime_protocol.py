"""The OpenAI Realtime protocol, GA form: builds client events, reads server events.

Source: the event types of the `openai` package, which the tests hold every client
event against.
"""

from typing import Any, Final

import msgspec
import pybase64

from backhaul.core.profile import Profile, TurnDetection, VadKind
from backhaul.errors import RemoteProtocolError

__all__ = [
    "CALLER_TRANSCRIPT",
    "FATAL_ERRORS",
    "KNOWN_EVENTS",
    "MAX_SESSION_S",
    "MODEL_TRANSCRIPT",
    "RATE_LIMIT_ERRORS",
    "ErrorDetail",
    "ResponseDetail",
    "ServerEvent",
    "SessionDetail",
    "append_audio",
    "assistant_said",
    "audio_of",
    "create_response",
    "decode_event",
    "error_label",
    "say_exactly",
    "update_session",
]

MAX_SESSION_S: Final = 3600.0
"""Longest life of a session (s), as documented; used when the server names none."""

FATAL_ERRORS: Final = frozenset(
    {
        "account_deactivated",
        "billing_hard_limit_reached",
        "credit_balance_exhausted",
        "insufficient_quota",
        "invalid_api_key",
        "session_expired",
    }
)
"""Error codes after which a session is of no more use."""

RATE_LIMIT_ERRORS: Final = frozenset({"rate_limit_exceeded", "rate_limit_error"})
"""Error codes that ask to slow down; the session goes on."""

_KNOWN_ERRORS: Final = (
    FATAL_ERRORS
    | RATE_LIMIT_ERRORS
    | {
        "conversation_already_has_active_response",
        "input_audio_buffer_commit_empty",
        "item_create_duplicate_item_id",
        "item_truncate_invalid_item_id",
        "response_cancel_not_active",
        "server_error",
        "unsupported_content_type",
    }
)

CALLER_TRANSCRIPT: Final = "conversation.item.input_audio_transcription.completed"
"""What the caller said; only with a transcription model."""

MODEL_TRANSCRIPT: Final = "response.output_audio_transcript.done"
"""What the model said, all of it even when it was interrupted."""

KNOWN_EVENTS: Final = frozenset(
    {
        "conversation.created",
        "conversation.item.added",
        "conversation.item.created",
        "conversation.item.deleted",
        "conversation.item.done",
        CALLER_TRANSCRIPT,
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.failed",
        "conversation.item.input_audio_transcription.segment",
        "conversation.item.retrieved",
        "conversation.item.truncated",
        "error",
        "input_audio_buffer.cleared",
        "input_audio_buffer.committed",
        "input_audio_buffer.dtmf_event_received",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.timeout_triggered",
        "mcp_list_tools.completed",
        "mcp_list_tools.failed",
        "mcp_list_tools.in_progress",
        "output_audio_buffer.cleared",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "rate_limits.updated",
        "response.content_part.added",
        "response.content_part.done",
        "response.created",
        "response.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.mcp_call.completed",
        "response.mcp_call.failed",
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.delta",
        MODEL_TRANSCRIPT,
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.output_text.done",
        "session.created",
        "session.updated",
    }
)
"""Every event a Realtime server is documented to send."""


class SessionDetail(msgspec.Struct, frozen=True):
    """What we read of a session object."""

    id: str | None = None
    expires_at: float | None = None
    """Unix seconds."""


class ErrorDetail(msgspec.Struct, frozen=True):
    """What we read of an error; its message may quote the caller, so it is not."""

    code: str | None = None
    type: str | None = None


class ResponseDetail(msgspec.Struct, frozen=True):
    """What we read of a response object."""

    id: str | None = None
    status: str | None = None


class ServerEvent(msgspec.Struct, frozen=True):
    """Any server event, reduced to what this project acts upon."""

    type: str = ""
    delta: str | None = None
    response_id: str | None = None
    item_id: str | None = None
    transcript: str | None = None
    session: SessionDetail | None = None
    error: ErrorDetail | None = None
    response: ResponseDetail | None = None


_decoder = msgspec.json.Decoder(ServerEvent)
_encode = msgspec.json.encode


def decode_event(message: bytes) -> ServerEvent:
    """Return the server event in *message*.

    Raises:
        RemoteProtocolError: If it is not JSON, has no type, or a field that matters
            has the wrong type. The message is never part of the error.
    """
    try:
        event = _decoder.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise RemoteProtocolError("server event does not decode") from None
    if not event.type:
        raise RemoteProtocolError("server event has no type")
    return event


def error_label(code: str) -> str:
    """Return *code* if it is a known one, else ``other``: the labels stay few."""
    return code if code in _KNOWN_ERRORS else "other"


def audio_of(event: ServerEvent) -> bytes:
    """Return the raw mu-law of a ``response.output_audio.delta``.

    Raises:
        RemoteProtocolError: If it is not base64.
    """
    try:
        return pybase64.b64decode(event.delta or "", validate=True)
    except ValueError:
        raise RemoteProtocolError("audio delta is not base64") from None


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
                "turn_detection": _turn_detection(profile.turn_detection),
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
    if profile.max_output_tokens:
        session["max_output_tokens"] = profile.max_output_tokens
    return _encode({"type": "session.update", "session": session})


def _turn_detection(turns: TurnDetection) -> dict[str, Any]:
    # Both flags are the server's defaults, said aloud because the bridge rests on them.
    automatic = {"create_response": True, "interrupt_response": True}
    if turns.type is VadKind.SEMANTIC:
        return {"type": turns.type, "eagerness": turns.eagerness, **automatic}
    return {
        "type": turns.type,
        "threshold": turns.threshold,
        "prefix_padding_ms": turns.prefix_padding_ms,
        "silence_duration_ms": turns.silence_duration_ms,
        **automatic,
    }


def create_response(instructions: str = "") -> bytes:
    """Return ``response.create``.

    Args:
        instructions: Replace the session's own for this response; empty keeps them.
    """
    event: dict[str, Any] = {"type": "response.create"}
    if instructions:
        event["response"] = {"instructions": instructions}
    return _encode(event)


def assistant_said(text: str) -> bytes:
    """Return ``conversation.item.create``: the assistant has already said *text*."""
    item = {
        "type": "message",
        "role": "assistant",
        # Assistant audio cannot be given to a session, only what was said.
        "content": [{"type": "output_text", "text": text}],
    }
    return _encode({"type": "conversation.item.create", "item": item})


def say_exactly(text: str) -> str:
    """Return instructions that make the model speak *text* word for word."""
    return (
        "Say exactly the following text, word for word, in a natural voice, and "
        f"nothing before or after it:\n\n{text}"
    )
