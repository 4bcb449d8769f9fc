"""Measures how long the model takes from being asked to its first audio."""

from backhaul.clock import monotonic_s
from backhaul.core.estimators import SmoothedMean
from region_agent.core.realtime_events import ServerEvent

__all__ = ["FirstAudioWatch"]


class FirstAudioWatch:
    """Watches one session; what it measures goes into *mean* (s)."""

    def __init__(self, mean: SmoothedMean) -> None:
        self._mean = mean
        self._asked_at: float | None = None
        self._response_id: str | None = None

    def asked(self) -> None:
        """The model was asked for a response."""
        self._asked_at, self._response_id = monotonic_s(), None

    def on_event(self, event: ServerEvent) -> None:
        """The server tells something; only turns and responses matter."""
        match event.type:
            case "input_audio_buffer.committed":
                self.asked()  # by the server itself, as a rule
            case "response.created" if event.response is not None:
                # What an earlier response still says is no answer.
                self._response_id = event.response.id
            case _:
                pass

    def on_audio(self, response_id: str | None) -> None:
        """A response has audio."""
        if self._asked_at is None or response_id != self._response_id:
            return
        self._mean.add(monotonic_s() - self._asked_at)
        self._asked_at = None
