"""Life of one call at the edge: ringing, bridged, away, reconnecting, ended."""

from dataclasses import dataclass

from backhaul.core.messages import CloseReason
from edge.core.call_events import (
    CallAction,
    CallCompleted,
    CallEnded,
    CallEvent,
    CallState,
    CallStateChanged,
    ChannelClosed,
    CloseChannel,
    CloseStream,
    HandedOver,
    OpenChannel,
    PlayGreeting,
    Recalled,
    ReleaseLease,
    Resumed,
    SentAway,
    StreamLost,
    StreamStarted,
    StreamStopped,
    TellReturned,
)

__all__ = ["TRANSITIONS", "CallConfig", "CallMachine"]


@dataclass(frozen=True, slots=True)
class CallConfig:
    """Figures of a call."""

    token_ttl_s: float = 30.0
    """From the webhook's answer to `start` (s)."""
    reconnect_timeout_s: float = 30.0
    """From a failure to Twilio's request of the action URL (s)."""
    away_timeout_s: float = 30.0
    """From the purposeful end of a stream to what comes next (s); what the errand
    itself may take comes on top."""
    max_reconnects: int = 1
    """How often one call may be given another session after a failure."""


_RINGING, _BRIDGED, _AWAY = CallState.RINGING, CallState.BRIDGED, CallState.AWAY
_RECONNECTING, _ENDED = CallState.RECONNECTING, CallState.ENDED

TRANSITIONS: dict[tuple[CallState, type[CallEvent]], CallState] = {
    (_RINGING, StreamStarted): _BRIDGED,
    (_RINGING, StreamStopped): _ENDED,
    (_RINGING, StreamLost): _RECONNECTING,
    (_RINGING, ChannelClosed): _RINGING,
    (_RINGING, Resumed): _RINGING,
    (_RINGING, SentAway): _RINGING,
    (_RINGING, Recalled): _RINGING,
    (_RINGING, HandedOver): _RINGING,
    (_RINGING, CallCompleted): _ENDED,
    (_BRIDGED, StreamStarted): _BRIDGED,
    (_BRIDGED, StreamStopped): _ENDED,
    (_BRIDGED, StreamLost): _RECONNECTING,
    (_BRIDGED, ChannelClosed): _RECONNECTING,
    (_BRIDGED, Resumed): _BRIDGED,
    (_BRIDGED, SentAway): _AWAY,
    (_BRIDGED, Recalled): _BRIDGED,
    (_BRIDGED, HandedOver): _BRIDGED,
    (_BRIDGED, CallCompleted): _ENDED,
    (_AWAY, StreamStarted): _BRIDGED,
    (_AWAY, StreamStopped): _ENDED,
    (_AWAY, StreamLost): _RECONNECTING,
    (_AWAY, ChannelClosed): _RECONNECTING,
    (_AWAY, Resumed): _AWAY,
    (_AWAY, SentAway): _AWAY,
    (_AWAY, Recalled): _AWAY,
    (_AWAY, HandedOver): _ENDED,
    (_AWAY, CallCompleted): _ENDED,
    (_RECONNECTING, StreamStarted): _RECONNECTING,
    (_RECONNECTING, StreamStopped): _ENDED,
    (_RECONNECTING, StreamLost): _RECONNECTING,
    (_RECONNECTING, ChannelClosed): _RECONNECTING,
    (_RECONNECTING, Resumed): _RINGING,
    (_RECONNECTING, SentAway): _RECONNECTING,
    (_RECONNECTING, Recalled): _RECONNECTING,
    (_RECONNECTING, HandedOver): _ENDED,
    (_RECONNECTING, CallCompleted): _ENDED,
    (_ENDED, StreamStarted): _ENDED,
    (_ENDED, StreamStopped): _ENDED,
    (_ENDED, StreamLost): _ENDED,
    (_ENDED, ChannelClosed): _ENDED,
    (_ENDED, Resumed): _ENDED,
    (_ENDED, SentAway): _ENDED,
    (_ENDED, Recalled): _ENDED,
    (_ENDED, HandedOver): _ENDED,
    (_ENDED, CallCompleted): _ENDED,
}
"""Every state and event; an agent that ends the call ends it here (see handle)."""

_ENDED_BY_AGENT = frozenset(
    {CloseReason.MODEL_HUNG_UP, CloseReason.SILENCE, CloseReason.MAX_DURATION}
)
"""The last words were heard, and nothing is to follow."""


class CallMachine:
    """Decides about one call at the edge."""

    def __init__(self, config: CallConfig, *, now: float) -> None:
        self.state = CallState.RINGING
        self.end_reason: CloseReason | None = None
        self._config = config
        self.streams = 1
        """Media Streams this call has been given."""
        self._reconnects = 0
        self._deadline: float | None = now + config.token_ttl_s
        self._failure = CloseReason.NEVER_STARTED
        self._outcome = ""
        """What the agent is told when a caller who was away is back."""

    @property
    def may_resume(self) -> bool:
        """Whether a failed call may be given another session."""
        return (
            self.state is CallState.RECONNECTING
            and self._reconnects < self._config.max_reconnects
        )

    def handle(self, event: CallEvent, *, now: float) -> tuple[CallAction, ...]:
        """Take note of *event*; see `backhaul.core.machine.Machine`."""
        if isinstance(event, Resumed) and not self.may_resume:
            return ()
        new = TRANSITIONS[self.state, type(event)]
        if isinstance(event, ChannelClosed) and event.reason in _ENDED_BY_AGENT:
            new = CallState.ENDED
        if isinstance(event, Recalled):
            self._recall(event, now=now)
        if new is self.state:
            return ()
        takes_s = event.takes_s if isinstance(event, SentAway) else 0.0
        return self._enter(
            new, _reason_of(event), now=now, because=_label_of(event), takes_s=takes_s
        )

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called; see Machine."""
        return self._deadline

    def expire(self, *, now: float) -> tuple[CallAction, ...]:
        """End a call whose Media Stream or action request never came."""
        if self._deadline is None or now < self._deadline:
            return ()
        return self._enter(CallState.ENDED, self._failure, now=now, because="timeout")

    def _recall(self, event: Recalled, *, now: float) -> None:
        if self.state is CallState.AWAY:
            self.streams += 1
            self._outcome = event.outcome
            self._deadline = now + self._config.token_ttl_s + event.takes_s

    def _enter(
        self,
        new: CallState,
        reason: CloseReason,
        *,
        now: float,
        because: str,
        takes_s: float = 0.0,
    ) -> tuple[CallAction, ...]:
        old, self.state = self.state, new
        changed = CallStateChanged(old, new, because)
        match new:
            case CallState.RINGING:
                self.streams += 1
                self._reconnects += 1
                self._deadline = now + self._config.token_ttl_s
                return (changed,)
            case CallState.BRIDGED:
                self._deadline = None
                return (changed, *self._start(old))
            case CallState.AWAY:
                self._deadline = now + self._config.away_timeout_s + takes_s
                self._failure = CloseReason.MEDIA_STREAM_LOST
                return (changed, CloseStream())
            case CallState.RECONNECTING:
                soon = now + self._config.reconnect_timeout_s
                # Who is away may come back as late as was agreed.
                agreed = self._deadline if old is CallState.AWAY else None
                self._deadline = max(soon, agreed or soon)
                self._failure = reason
                return (changed, *_undo(old, reason), CloseStream())
            case CallState.ENDED:  # pragma: no branch - the last of all kinds
                self._deadline = None
                self.end_reason = reason
                return (changed, *_undo(old, reason), CloseStream(), CallEnded(reason))

    def _start(self, old: CallState) -> tuple[CallAction, ...]:
        if old is CallState.AWAY:
            return (TellReturned(self._outcome),)
        if self._reconnects == 0:
            return (PlayGreeting(), OpenChannel(resumed=False))
        return (OpenChannel(resumed=True),)


def _undo(old: CallState, reason: CloseReason) -> tuple[CallAction, ...]:
    match old:
        case CallState.RINGING:
            return (ReleaseLease(),)
        case CallState.BRIDGED | CallState.AWAY:
            return (CloseChannel(reason),)
        case _:
            return ()


def _reason_of(event: CallEvent) -> CloseReason:
    match event:
        case StreamLost(reason) | ChannelClosed(reason):
            return reason
        case HandedOver():
            return CloseReason.TRANSFERRED
        case _:
            return CloseReason.CALLER_HUNG_UP


def _label_of(event: CallEvent) -> str:
    match event:
        case StreamStarted():
            return "stream_started"
        case Resumed():
            return "resumed"
        case SentAway():
            return "sent_away"
        case _:
            return _reason_of(event).value
