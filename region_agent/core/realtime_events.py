"""The events of a Realtime server, reduced to what this project acts upon.

Source: the event types of the `openai` package, GA form.
"""

from typing import Final

import msgspec
import pybase64

from backhaul.errors import RemoteProtocolError
from region_agent.core.usage import ResponseUsage

__all__ = [
    "CALLER_TRANSCRIPT",
    "FATAL_ERRORS",
    "KNOWN_EVENTS",
    "MODEL_TEXT",
    "MODEL_TRANSCRIPT",
    "NO_CALLER_TRANSCRIPT",
    "RATE_LIMIT_ERRORS",
    "ErrorDetail",
    "ItemDetail",
    "ResponseDetail",
    "ServerEvent",
    "SessionDetail",
    "audio_of",
    "decode_event",
    "error_label",
    "usage_of",
]

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
        "invalid_tool_call_id",
        "input_audio_buffer_commit_empty",
        "item_create_duplicate_item_id",
        "item_delete_invalid_item_id",
        "item_truncate_invalid_item_id",
        "response_cancel_not_active",
        "server_error",
        "unsupported_content_type",
    }
)

CALLER_TRANSCRIPT: Final = "conversation.item.input_audio_transcription.completed"
"""What the caller said; only with a transcription model."""

NO_CALLER_TRANSCRIPT: Final = "conversation.item.input_audio_transcription.failed"
"""What the caller said will not be known."""

MODEL_TEXT: Final = "response.output_audio_transcript.delta"
"""More of what the model says, ahead of its audio."""

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
        NO_CALLER_TRANSCRIPT,
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
        MODEL_TEXT,
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
    event_id: str | None = None
    """Of the client event that it is about, if that had one."""


class ResponseDetail(msgspec.Struct, frozen=True):
    """What we read of a response object."""

    id: str | None = None
    status: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    """See `usage_of`."""


class ItemDetail(msgspec.Struct, frozen=True):
    """What we read of an item: whether it is the call of a function, and which."""

    type: str | None = None
    status: str | None = None
    """A call that was cut off is ``incomplete``; its arguments may be torn."""
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    """JSON, as the model wrote it; it need not be any."""


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
    item: ItemDetail | None = None
    audio_end_ms: float | None = None
    """Where a turn ends, in all audio that was appended to the session (ms)."""


_decoder = msgspec.json.Decoder(ServerEvent)
_usage_decoder: msgspec.json.Decoder[ResponseUsage | None] = msgspec.json.Decoder(
    ResponseUsage | None
)


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


def usage_of(response: ResponseDetail) -> ResponseUsage | None:
    """Return the tokens a response took; None when it does not say, or not legibly.

    A response whose usage is odd has ended all the same.
    """
    try:
        return _usage_decoder.decode(response.usage)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
