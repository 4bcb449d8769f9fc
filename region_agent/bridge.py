"""One call: binds the channel of a link to a Realtime session."""

from collections.abc import Callable
from dataclasses import dataclass

from backhaul.channels import Channel
from backhaul.core.messages import Clear, CloseReason, Message, Open, Opened
from backhaul.core.profile import Profile
from region_agent.core.realtime_protocol import (
    assistant_said,
    create_response,
    say_exactly,
)
from region_agent.core.transcript import Said, Speaker, Transcript
from region_agent.realtime import RealtimeSession

__all__ = ["Bridge", "BridgeCounters"]

_RESUMED = (
    "The line to the caller was interrupted for a moment. Apologise for that in one "
    "short sentence and go on with the conversation."
)


@dataclass(slots=True)
class BridgeCounters:
    """What all bridges of an agent saw."""

    audio_frames_in: int = 0
    """Frames from callers."""
    audio_frames_out: int = 0
    """Frames to callers."""
    audio_bytes_in: int = 0
    audio_bytes_out: int = 0
    interruptions: int = 0
    stale_deltas: int = 0
    """Model audio of a response that was interrupted, over or not the current one."""
    overlapping_responses: int = 0
    responses_failed: int = 0
    responses_retried: int = 0
    transcripts_caller: int = 0
    transcripts_model: int = 0
    """Items written down."""


class Bridge:
    """Moves audio between a caller and the model; one per call.

    It hears the channel (`ChannelHandler`) and the session (`SessionHandler`). The
    audio of one response at a time is forwarded: the first one that began.
    """

    def __init__(
        self,
        channel: Channel,
        session: RealtimeSession,
        counters: BridgeCounters,
        *,
        on_ended: Callable[["Bridge", CloseReason], None],
    ) -> None:
        self.transcript = Transcript()
        """What was said so far; never logged."""
        self._channel = channel
        self._session = session
        self._counters = counters
        self._on_ended = on_ended
        self._response_id = ""
        self._response_had_audio = False
        self._retried = False

    def start(self, message: Open, profile: Profile) -> None:
        """Tell the edge that the call stands, and let the model begin if it should."""
        self._channel.bind(self)
        self._session.bind(self)
        self._channel.send(Opened(self._session.session_id))
        self.transcript.add(Said(Speaker.MODEL, "", message.greeting_text))
        for event in _first_events(message, profile):
            self._session.send(event)

    def close(self, reason: CloseReason) -> None:
        """End the call from our side."""
        self._channel.close(reason)
        self._on_ended(self, reason)

    # ChannelHandler

    def on_audio(self, audio: bytes) -> None:
        """Audio of the caller arrived; see ChannelHandler."""
        self._counters.audio_frames_in += 1
        self._counters.audio_bytes_in += len(audio)
        self._session.append_audio(audio)

    def on_message(self, message: Message) -> None:
        """A message of the edge arrived; none concerns the bridge yet."""

    def on_channel_closed(self, reason: CloseReason) -> None:
        """The call is over; see ChannelHandler."""
        self._on_ended(self, reason)

    # SessionHandler

    def on_model_audio(self, response_id: str, audio: bytes) -> None:
        """Audio of the model arrived; see SessionHandler."""
        if response_id != self._response_id or not response_id:
            self._counters.stale_deltas += 1
            return
        self._counters.audio_frames_out += 1
        self._counters.audio_bytes_out += len(audio)
        self._response_had_audio = True
        self._channel.send_audio(audio)

    def on_speech_started(self) -> None:
        """The caller interrupts: drop the rest of the response; see SessionHandler."""
        self._counters.interruptions += 1
        self._response_id = ""
        # Also without a response: what the model sent earlier may still be playing.
        self._channel.send(Clear())

    def on_response_created(self, response_id: str) -> None:
        """The model begins to answer; see SessionHandler."""
        if self._response_id:
            self._counters.overlapping_responses += 1
            return
        self._response_id = response_id
        self._response_had_audio = False

    def on_response_done(self, response_id: str, status: str) -> None:
        """The model has answered, or failed to; see SessionHandler."""
        if response_id != self._response_id or not response_id:
            return
        self._response_id = ""
        if self._response_had_audio:
            self._retried = False
        if status == "failed":
            self._on_response_failed()

    def on_caller_transcript(self, item_id: str, text: str) -> None:
        """The caller's words are written down; see SessionHandler."""
        self._counters.transcripts_caller += 1
        self.transcript.add(Said(Speaker.CALLER, item_id, text))

    def on_model_transcript(self, item_id: str, text: str) -> None:
        """The model's words are written down; see SessionHandler."""
        self._counters.transcripts_model += 1
        self.transcript.add(Said(Speaker.MODEL, item_id, text))

    def on_session_closed(self, reason: str) -> None:  # noqa: ARG002
        """The session is gone; see SessionHandler."""
        self.close(CloseReason.SESSION_LOST)

    def _on_response_failed(self) -> None:
        self._counters.responses_failed += 1
        if self._response_had_audio or self._retried:
            return
        self._retried = True
        self._counters.responses_retried += 1
        self._session.send(create_response())


def _first_events(message: Open, profile: Profile) -> tuple[bytes, ...]:
    if message.greeting_text:
        return (assistant_said(message.greeting_text),)
    if message.resumed:
        return (create_response(f"{profile.instructions}\n\n{_RESUMED}"),)
    if profile.greeting:
        return (create_response(say_exactly(profile.greeting)),)
    if profile.caller_speaks_first:
        return ()
    return (create_response(),)
