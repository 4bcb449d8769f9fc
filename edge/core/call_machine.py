"""Life of one call at the edge: ringing, held, bridged, moved, away, ended."""

from dataclasses import dataclass

from backhaul.core.close_reason import CloseReason
from backhaul.core.handover import HandoverReason
from edge.core.call_events import (
    CallAction,
    CallEnded,
    CallEvent,
    CallState,
    CallStateChanged,
    ChannelClosed,
    CloseChannel,
    CloseStream,
    FindSession,
    GivenUp,
    HandedOver,
    HoldCaller,
    MoveWanted,
    OpenChannel,
    PlayGreeting,
    PlayScript,
    Recalled,
    ReleaseLease,
    Resumed,
    ScriptGiven,
    ScriptPlayed,
    SentAway,
    SessionFound,
    SessionNotFound,
    StreamLost,
    StreamStarted,
    TellReturned,
)
from edge.core.call_table import TRANSITIONS
from edge.core.move_budget import MoveBudget, MoveKind

__all__ = ["ENDED_BY_AGENT", "TRANSITIONS", "CallConfig", "CallMachine"]


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
    hold_limit_s: float = 20.0
    """A caller on hold gets the script at the latest after this (s)."""
    script_limit_s: float = 3.0
    """The script counts as played at the latest so long after it should have been (s);
    what is queued before it takes its time first."""
    max_reconnects: int = 1
    """How often one call may be given another stream after it lost one."""
    moves_at_once: int = 3
    """How often it may be given another session at short notice, after losses ..."""
    move_every_s: float = 60.0
    """... once in so long (s) beyond that, or when its session still works ..."""
    max_moves: int = 12
    """... and in all. Then the caller hears the script."""
    handover_every_s: float = 5.0
    """After any move, so long (s) no agent can have it moved."""


ENDED_BY_AGENT = frozenset(
    {
        CloseReason.MODEL_HUNG_UP,
        CloseReason.SILENCE,
        CloseReason.MAX_DURATION,
        CloseReason.STALE_EPOCH,
    }
)
"""The last words were heard, and nothing is to follow; or another edge has the call."""


class CallMachine:
    """Decides about one call at the edge."""

    def __init__(self, config: CallConfig, *, leased: bool, now: float) -> None:
        """Begin with the webhook's answer.

        Args:
            config: The figures.
            leased: Whether there is a session already; if not, one is searched.
            now: Monotonic time (s).
        """
        self.state = CallState.RINGING if leased else CallState.SEARCHING
        self.end_reason: CloseReason | None = None
        self._config = config
        self.streams = 1
        """Media Streams this call has been given."""
        self.fell_back = False
        """Whether no session could be had for the caller."""
        self._reconnects = 0
        self._moves = MoveBudget(
            at_once=config.moves_at_once,
            every_s=config.move_every_s,
            at_most=config.max_moves,
            asked_every_s=config.handover_every_s,
            now=now,
        )
        self._deadline: float | None = now + config.token_ttl_s
        self._failure = CloseReason.NEVER_STARTED
        self._outcome = ""
        """What the agent is told when a caller who was away is back."""

    @property
    def moves(self) -> int:
        """How often it was given another session on its stream, or was to be."""
        return self._moves.moves

    @property
    def may_resume(self) -> bool:
        """Whether a failed call may be given another stream."""
        return (
            self.state is CallState.RECONNECTING
            and not self.fell_back
            and self._reconnects < self._config.max_reconnects
        )

    def handle(self, event: CallEvent, *, now: float) -> tuple[CallAction, ...]:
        """Take note of *event*; see `backhaul.core.machine.Machine`."""
        if isinstance(event, Resumed) and not self.may_resume:
            return ()
        if isinstance(event, Recalled):
            self._recall(event, now=now)
        if isinstance(event, ScriptGiven) and self.state is CallState.FALLBACK:
            self._deadline = max(event.heard_at, now) + self._config.script_limit_s
        new = self._next(event, now=now)
        if new is self.state:
            return ()
        return self._enter(new, self._reason_of(event), event, now=now)

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called; see Machine."""
        return self._deadline

    def expire(self, *, now: float) -> tuple[CallAction, ...]:
        """Go on with a call for which something never came."""
        if self._deadline is None or now < self._deadline:
            return ()
        match self.state:
            case CallState.HOLDING:
                new, reason = CallState.FALLBACK, CloseReason.MODEL_UNAVAILABLE
            case CallState.FALLBACK:
                new, reason = CallState.RECONNECTING, CloseReason.MODEL_UNAVAILABLE
            case CallState.MOVING:
                new, reason = CallState.BRIDGED, CloseReason.MODEL_UNAVAILABLE
            case _:
                new, reason = CallState.ENDED, self._failure
        return self._enter(new, reason, None, now=now)

    def _next(self, event: CallEvent, *, now: float) -> CallState:
        if isinstance(event, ChannelClosed) and event.reason in ENDED_BY_AGENT:
            return CallState.ENDED
        new = TRANSITIONS[self.state, type(event)]
        kind = _kind_of_move(event)
        if kind is None or self.state is not CallState.BRIDGED:
            return new
        if self._moves.take(kind, now=now):
            return new
        # What only would be better elsewhere stays.
        return CallState.FALLBACK if kind is MoveKind.LOST else CallState.BRIDGED

    def _recall(self, event: Recalled, *, now: float) -> None:
        if self.state is CallState.AWAY:
            self.streams += 1
            self._outcome = event.outcome
            self._deadline = now + self._config.token_ttl_s + event.takes_s

    def _enter(
        self,
        new: CallState,
        reason: CloseReason,
        event: CallEvent | None,
        *,
        now: float,
    ) -> tuple[CallAction, ...]:
        old, self.state = self.state, new
        takes_s = event.takes_s if isinstance(event, SentAway) else 0.0
        self._set_deadline(old, reason, now=now, takes_s=takes_s)
        changed = CallStateChanged(old, new, _label_of(event))
        return (changed, *self._effects(old, reason, event))

    def _effects(
        self, old: CallState, reason: CloseReason, event: CallEvent | None
    ) -> tuple[CallAction, ...]:
        effects: tuple[CallAction, ...] = ()
        match self.state:
            case CallState.SEARCHING:
                self.streams += 1
                self._reconnects += 1
            case CallState.HOLDING:
                effects = (*_undo(old, reason), *self._hold(old))
            case CallState.BRIDGED | CallState.MOVING:
                effects = self._talk(old, event)
            case CallState.FALLBACK:
                self.fell_back = True
                effects = (*_undo(old, reason), PlayScript())
            case CallState.AWAY:
                effects = (CloseStream(),)
            case CallState.RECONNECTING:
                effects = (*_undo(old, reason), CloseStream())
            case CallState.ENDED:
                self.end_reason = reason
                effects = (*_undo(old, reason), CloseStream(), CallEnded(reason))
            case _:
                pass  # the stream is awaited as before
        return effects

    def _set_deadline(
        self, old: CallState, reason: CloseReason, *, now: float, takes_s: float
    ) -> None:
        config = self._config
        match self.state:
            case CallState.SEARCHING:
                self._deadline = now + config.token_ttl_s
            case CallState.RINGING | CallState.UNPLACED:
                pass  # the stream is awaited since before
            case CallState.HOLDING | CallState.MOVING:
                self._deadline = now + config.hold_limit_s
            case CallState.FALLBACK:
                self._deadline = now + config.script_limit_s
            case CallState.AWAY:
                self._deadline = now + config.away_timeout_s + takes_s
                self._failure = CloseReason.MEDIA_STREAM_LOST
            case CallState.RECONNECTING:
                soon = now + config.reconnect_timeout_s
                # Who is away may come back as late as was agreed.
                agreed = self._deadline if old is CallState.AWAY else None
                self._deadline = max(soon, agreed or soon)
                self._failure = reason
            case _:
                self._deadline = None

    def _hold(self, old: CallState) -> tuple[CallAction, ...]:
        if old is CallState.BRIDGED:
            return (FindSession(), HoldCaller())
        if old is CallState.SEARCHING and self._reconnects == 0:
            return (PlayGreeting(), HoldCaller())
        return (HoldCaller(),)

    def _talk(self, old: CallState, event: CallEvent | None) -> tuple[CallAction, ...]:
        if isinstance(event, MoveWanted):
            return (FindSession(event.asked),)
        if old is CallState.AWAY:
            return (TellReturned(self._outcome),)
        if old is CallState.MOVING:
            moved = (CloseChannel(CloseReason.HANDED_OVER), OpenChannel())
            return moved if isinstance(event, SessionFound) else ()
        if old is CallState.RINGING and self._reconnects == 0:
            return (PlayGreeting(), OpenChannel())
        return (OpenChannel(),)

    def _reason_of(self, event: CallEvent) -> CloseReason:
        match event:
            case StreamLost(reason) | ChannelClosed(reason):
                return reason
            case HandedOver():
                return CloseReason.TRANSFERRED
            case SessionNotFound() | ScriptPlayed():
                return CloseReason.MODEL_UNAVAILABLE
            case GivenUp():
                return self._failure
            case _:
                return CloseReason.CALLER_HUNG_UP


_MOVES = {
    None: MoveKind.BETTER,
    HandoverReason.DRAINING: MoveKind.ASKED,
    HandoverReason.SESSION_EXPIRING: MoveKind.ASKED,
    HandoverReason.MODEL_SILENT: MoveKind.SILENT,
    HandoverReason.MODEL_DEAF: MoveKind.UNHEARD,
}
"""What becomes of the wish to move, by the agent's reason; None: the edge's own."""


def _kind_of_move(event: CallEvent) -> MoveKind | None:
    match event:
        case ChannelClosed():
            return MoveKind.LOST
        case MoveWanted(asked):
            return _MOVES[asked]
        case _:
            return None


def _undo(old: CallState, reason: CloseReason) -> tuple[CallAction, ...]:
    match old:
        case CallState.RINGING:
            return (ReleaseLease(),)
        case CallState.BRIDGED | CallState.MOVING | CallState.AWAY:
            return (CloseChannel(reason),)
        case _:
            return ()


_LABELS: dict[type[CallEvent], str] = {
    StreamStarted: "stream_started",
    SessionFound: "session_found",
    SessionNotFound: "session_not_found",
    ScriptPlayed: "script_played",
    GivenUp: "given_up",
    Resumed: "resumed",
    SentAway: "sent_away",
    MoveWanted: "move_wanted",
}


def _label_of(event: CallEvent | None) -> str:
    match event:
        case None:
            return "timeout"
        case StreamLost(reason) | ChannelClosed(reason):
            return reason.value
        case HandedOver():
            return CloseReason.TRANSFERRED.value
        case MoveWanted(asked) if asked is not None:
            return asked.value
        case _:
            return _LABELS.get(type(event), CloseReason.CALLER_HUNG_UP.value)
