"""What the events of a Realtime server mean to a conversation."""

from typing import Final

from region_agent.core.conversation_events import (
    AudioEnded,
    CallerSaid,
    CallerUnheard,
    ConversationEvent,
    ModelSaid,
    ResponseBegan,
    ResponseEnded,
    ResponseRefused,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    TurnCommitted,
)
from region_agent.core.realtime_events import (
    CALLER_TRANSCRIPT,
    MODEL_TRANSCRIPT,
    NO_CALLER_TRANSCRIPT,
    ItemDetail,
    ResponseDetail,
    ServerEvent,
)

__all__ = ["heard"]

_REFUSED: Final = "conversation_already_has_active_response"
_WITHOUT_DETAILS: Final[dict[str, ConversationEvent]] = {
    "input_audio_buffer.speech_started": SpeechStarted(),
    "input_audio_buffer.speech_stopped": SpeechStopped(),
}


def heard(event: ServerEvent, *, turn_end: int) -> ConversationEvent | None:
    """Return what *event* means to a conversation, None for nothing.

    Args:
        event: Of the server.
        turn_end: Where a turn ends in the caller's audio that is committed now.
    """
    response = event.response or ResponseDetail()
    match event.type:
        case "response.created":
            return ResponseBegan(response.id or "")
        case "response.done":
            return ResponseEnded(response.id or "", response.status or "")
        case "response.output_item.done":
            return _tool_call(event.item or ItemDetail())
        case "input_audio_buffer.committed":
            return TurnCommitted(event.item_id or "", turn_end)
        case "error" if event.error is not None and event.error.code == _REFUSED:
            return ResponseRefused()
        case _:
            return _WITHOUT_DETAILS.get(event.type) or _of_item(event)


def _tool_call(item: ItemDetail) -> ConversationEvent | None:
    if item.type != "function_call" or item.status != "completed" or not item.call_id:
        return None
    return ToolCalled(item.call_id, item.name or "", item.arguments or "")


def _of_item(event: ServerEvent) -> ConversationEvent | None:
    item_id, text = event.item_id or "", event.transcript or ""
    match event.type:
        case "response.output_audio.done":
            return AudioEnded(item_id)
        case _ if event.type == CALLER_TRANSCRIPT:
            return CallerSaid(item_id, text)
        case _ if event.type == NO_CALLER_TRANSCRIPT:
            return CallerUnheard(item_id)
        case _ if event.type == MODEL_TRANSCRIPT:
            return ModelSaid(item_id, text)
        case _:
            return None
