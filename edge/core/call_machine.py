"""Life of one call at the edge: ringing, bridged, reconnecting, ended."""

from dataclasses import dataclass
from enum import Enum

from backhaul.core.messages import CloseReason

__all__ = [
    "TRANSITIONS",
    "CallAction",
    "CallCompleted",
    "CallConfig",
    "CallEnded",
    "CallEvent",
    "CallMachine",
    "CallState",
    "CallStateChanged",
    "ChannelClosed",
    "CloseChannel",
    "CloseStream",
    "OpenChannel",
    "PlayGreeting",
    "ReleaseLease",
    "Resumed",
    "StreamLost",
    "StreamStarted",
    "StreamStopped",
]


class CallState(Enum):
    """Where a call stands."""

    RINGING = "ringing"
    """The webhook was answered; the Media Stream is awaited."""
    BRIDGED = "bridged"
    RECONNECTING = "reconnecting"
    """Something broke; Twilio is expected at the action URL."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class CallConfig:
    """Figures of a call."""

    token_ttl_s: float = 30.0
    """From the webhook's answer to `start` (s)."""
    reconnect_timeout_s: float = 30.0
    """From a failure to Twilio's request of the action URL (s)."""
    max_streams: int = 2
    """Media Streams one call may have: the first one and reconnects."""


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """Twilio's `start` arrived and belongs to this call."""


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """Twilio's `stop` arrived: the caller hung up."""


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The Media Stream was refused or closed without `stop`."""

    reason: CloseReason


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """The agent closed the channel, or its link is gone."""

    reason: CloseReason


@dataclass(frozen=True, slots=True)
class Resumed:
    """Another session was leased for the same call."""


@dataclass(frozen=True, slots=True)
class CallCompleted:
    """Twilio says that the call is over."""


CallEvent = (
    StreamStarted | StreamStopped | StreamLost | ChannelClosed | Resumed | CallCompleted
)


@dataclass(frozen=True, slots=True)
class PlayGreeting:
    """Play the profile's greeting from memory, in this turn of the loop."""


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """Redeem the lease and open a channel."""

    resumed: bool


@dataclass(frozen=True, slots=True)
class ReleaseLease:
    """Give the leased session back; it was never used."""


@dataclass(frozen=True, slots=True)
class CloseChannel:
    """Close the channel."""

    reason: CloseReason


@dataclass(frozen=True, slots=True)
class CloseStream:
    """Close the Media Stream; Twilio then requests the action URL."""


@dataclass(frozen=True, slots=True)
class CallStateChanged:
    """The call's state changed."""

    old: CallState
    new: CallState
    reason: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """Forget the call; *reason* is its story's last word."""

    reason: CloseReason


CallAction = (
    PlayGreeting
    | OpenChannel
    | ReleaseLease
    | CloseChannel
    | CloseStream
    | CallStateChanged
    | CallEnded
)

_RINGING, _BRIDGED = CallState.RINGING, CallState.BRIDGED
_RECONNECTING, _ENDED = CallState.RECONNECTING, CallState.ENDED

TRANSITIONS: dict[tuple[CallState, type[CallEvent]], CallState] = {
    (_RINGING, StreamStarted): _BRIDGED,
    (_RINGING, StreamStopped): _ENDED,
    (_RINGING, StreamLost): _RECONNECTING,
    (_RINGING, ChannelClosed): _RINGING,
    (_RINGING, Resumed): _RINGING,
    (_RINGING, CallCompleted): _ENDED,
    (_BRIDGED, StreamStarted): _BRIDGED,
    (_BRIDGED, StreamStopped): _ENDED,
    (_BRIDGED, StreamLost): _RECONNECTING,
    (_BRIDGED, ChannelClosed): _RECONNECTING,
    (_BRIDGED, Resumed): _BRIDGED,
    (_BRIDGED, CallCompleted): _ENDED,
    (_RECONNECTING, StreamStarted): _RECONNECTING,
    (_RECONNECTING, StreamStopped): _ENDED,
    (_RECONNECTING, StreamLost): _RECONNECTING,
    (_RECONNECTING, ChannelClosed): _RECONNECTING,
    (_RECONNECTING, Resumed): _RINGING,
    (_RECONNECTING, CallCompleted): _ENDED,
    (_ENDED, StreamStarted): _ENDED,
    (_ENDED, StreamStopped): _ENDED,
    (_ENDED, StreamLost): _ENDED,
    (_ENDED, ChannelClosed): _ENDED,
    (_ENDED, Resumed): _ENDED,
    (_ENDED, CallCompleted): _ENDED,
}
"""Every state and event; a model that hangs up ends the call instead (see handle)."""


class CallMachine:
    """Decides about one call at the edge."""

    def __init__(self, config: CallConfig, *, now: float) -> None:
        self.state = CallState.RINGING
        self.end_reason: CloseReason | None = None
        self._config = config
        self.streams = 1
        """Media Streams this call has been given."""
        self._deadline: float | None = now + config.token_ttl_s
        self._failure = CloseReason.NEVER_STARTED

    @property
    def may_resume(self) -> bool:
        """Whether a failed call may be given another Media Stream."""
        return (
            self.state is CallState.RECONNECTING
            and self.streams < self._config.max_streams
        )

    def handle(self, event: CallEvent, *, now: float) -> tuple[CallAction, ...]:
        """Take note of *event*; see `backhaul.core.machine.Machine`."""
        if isinstance(event, Resumed) and not self.may_resume:
            return ()
        new = TRANSITIONS[self.state, type(event)]
        if event == ChannelClosed(CloseReason.MODEL_HUNG_UP):
            new = CallState.ENDED
        if new is self.state:
            return ()
        return self._enter(new, _reason_of(event), now=now, because=_label_of(event))

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called; see Machine."""
        return self._deadline

    def expire(self, *, now: float) -> tuple[CallAction, ...]:
        """End a call whose Media Stream or action request never came."""
        if self._deadline is None or now < self._deadline:
            return ()
        return self._enter(CallState.ENDED, self._failure, now=now, because="timeout")

    def _enter(
        self, new: CallState, reason: CloseReason, *, now: float, because: str
    ) -> tuple[CallAction, ...]:
        old, self.state = self.state, new
        changed = CallStateChanged(old, new, because)
        match new:
            case CallState.RINGING:
                self.streams += 1
                self._deadline = now + self._config.token_ttl_s
                return (changed,)
            case CallState.BRIDGED:
                self._deadline = None
                return (changed, *self._start())
            case CallState.RECONNECTING:
                self._deadline = now + self._config.reconnect_timeout_s
                self._failure = reason
                return (changed, *_undo(old, reason), CloseStream())
            case CallState.ENDED:  # pragma: no branch - the last of all kinds
                self._deadline = None
                self.end_reason = reason
                return (changed, *_undo(old, reason), CloseStream(), CallEnded(reason))

    def _start(self) -> tuple[CallAction, ...]:
        if self.streams == 1:
            return (PlayGreeting(), OpenChannel(resumed=False))
        return (OpenChannel(resumed=True),)


def _undo(old: CallState, reason: CloseReason) -> tuple[CallAction, ...]:
    match old:
        case CallState.RINGING:
            return (ReleaseLease(),)
        case CallState.BRIDGED:
            return (CloseChannel(reason),)
        case _:
            return ()


def _reason_of(event: CallEvent) -> CloseReason:
    match event:
        case StreamLost(reason) | ChannelClosed(reason):
            return reason
        case _:
            return CloseReason.CALLER_HUNG_UP


def _label_of(event: CallEvent) -> str:
    match event:
        case StreamStarted():
            return "stream_started"
        case Resumed():
            return "resumed"
        case _:
            return _reason_of(event).value
