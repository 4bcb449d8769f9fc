"""Which state of a call follows which event; everything else leaves it as it is."""

from typing import Final, get_args

from edge.core.call_events import (
    CallCompleted,
    CallEvent,
    CallState,
    ChannelClosed,
    GivenUp,
    HandedOver,
    MoveWanted,
    Resumed,
    ScriptPlayed,
    SentAway,
    SessionFound,
    SessionNotFound,
    StreamLost,
    StreamStarted,
    StreamStopped,
)

__all__ = ["TRANSITIONS"]

_EVENTS: Final[tuple[type[CallEvent], ...]] = get_args(CallEvent)

_WAITING: Final = (CallState.SEARCHING, CallState.RINGING, CallState.UNPLACED)
"""The Media Stream is awaited."""
_STREAMED: Final = (
    CallState.HOLDING,
    CallState.BRIDGED,
    CallState.MOVING,
    CallState.FALLBACK,
)

_CHANGES: Final[dict[tuple[CallState, type[CallEvent]], CallState]] = {
    **{(state, StreamStopped): CallState.ENDED for state in CallState},
    **{(state, CallCompleted): CallState.ENDED for state in CallState},
    **{(state, StreamLost): CallState.RECONNECTING for state in _WAITING},
    **{(state, StreamLost): CallState.RECONNECTING for state in _STREAMED},
    (CallState.SEARCHING, SessionFound): CallState.RINGING,
    (CallState.SEARCHING, SessionNotFound): CallState.UNPLACED,
    (CallState.SEARCHING, StreamStarted): CallState.HOLDING,
    (CallState.RINGING, StreamStarted): CallState.BRIDGED,
    (CallState.UNPLACED, StreamStarted): CallState.FALLBACK,
    (CallState.HOLDING, SessionFound): CallState.BRIDGED,
    (CallState.HOLDING, SessionNotFound): CallState.FALLBACK,
    (CallState.BRIDGED, ChannelClosed): CallState.HOLDING,
    (CallState.BRIDGED, SentAway): CallState.AWAY,
    (CallState.BRIDGED, MoveWanted): CallState.MOVING,
    (CallState.MOVING, SessionFound): CallState.BRIDGED,
    (CallState.MOVING, SessionNotFound): CallState.BRIDGED,
    (CallState.MOVING, ChannelClosed): CallState.HOLDING,
    (CallState.MOVING, SentAway): CallState.AWAY,
    (CallState.FALLBACK, ScriptPlayed): CallState.RECONNECTING,
    (CallState.AWAY, StreamStarted): CallState.BRIDGED,
    (CallState.AWAY, StreamLost): CallState.RECONNECTING,
    (CallState.AWAY, ChannelClosed): CallState.RECONNECTING,
    (CallState.AWAY, HandedOver): CallState.ENDED,
    (CallState.RECONNECTING, Resumed): CallState.SEARCHING,
    (CallState.RECONNECTING, HandedOver): CallState.ENDED,
    (CallState.RECONNECTING, GivenUp): CallState.ENDED,
}

TRANSITIONS: Final[dict[tuple[CallState, type[CallEvent]], CallState]] = {
    (state, event): _CHANGES.get((state, event), state)
    for state in CallState
    for event in _EVENTS
}
"""Every state and event; see `CallMachine.handle` for who ends a call otherwise."""
