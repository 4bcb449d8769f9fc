"""Who uses a Realtime session, and what of its events they are told."""

from typing import Protocol

from region_agent.core.realtime_events import ServerEvent

__all__ = ["SessionHandler"]


class SessionHandler(Protocol):
    """Whoever uses a session; called on the event loop."""

    def on_model_audio(self, response_id: str, item_id: str, audio: bytes) -> None:
        """Raw mu-law of an item of a response arrived."""
        ...

    def on_event(self, event: ServerEvent) -> None:
        """Any other event of a known type arrived; its texts are not to be logged."""
        ...

    def on_session_closed(self, reason: str) -> None:
        """The session is of no more use; called once, not after `close`."""
        ...
