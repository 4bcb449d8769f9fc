"""Who uses a Realtime session, and what of its events they are told."""

from typing import Protocol

from region_agent.core.realtime_protocol import (
    CALLER_TRANSCRIPT,
    MODEL_TRANSCRIPT,
    ServerEvent,
)

__all__ = ["SessionHandler", "tell"]


class SessionHandler(Protocol):
    """Whoever uses a session; called on the event loop."""

    def on_model_audio(self, response_id: str, audio: bytes) -> None:
        """Raw mu-law of a response arrived."""
        ...

    def on_speech_started(self) -> None:
        """The caller began to talk."""
        ...

    def on_response_created(self, response_id: str) -> None:
        """The model begins a response."""
        ...

    def on_response_done(self, response_id: str, status: str) -> None:
        """A response ended: completed, cancelled, failed or incomplete."""
        ...

    def on_caller_transcript(self, item_id: str, text: str) -> None:
        """What the caller said is written down; never to be logged."""
        ...

    def on_model_transcript(self, item_id: str, text: str) -> None:
        """What the model says is written down; never to be logged."""
        ...

    def on_session_closed(self, reason: str) -> None:
        """The session is of no more use; called once, not after `close`."""
        ...


def tell(handler: SessionHandler, event: ServerEvent) -> None:
    """Tell *handler* of *event*, if it is one that matters to a conversation."""
    response = event.response
    match event.type:
        case "input_audio_buffer.speech_started":
            handler.on_speech_started()
        case "response.created" if response:
            handler.on_response_created(response.id or "")
        case "response.done" if response:
            handler.on_response_done(response.id or "", response.status or "")
        case _ if event.type == CALLER_TRANSCRIPT:
            handler.on_caller_transcript(event.item_id or "", event.transcript or "")
        case _ if event.type == MODEL_TRANSCRIPT:
            handler.on_model_transcript(event.item_id or "", event.transcript or "")
        case _:
            pass
