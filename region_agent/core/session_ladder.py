"""Where one pooled session stands, and what moves it up or off the ladder."""

from enum import Enum
from typing import Final

__all__ = ["TRANSITIONS", "SessionInput", "SessionState"]


class SessionState(Enum):
    """Where a session stands."""

    CONNECTING = "connecting"
    """Being opened; not usable yet."""
    CONFIGURED = "configured"
    """Open with the profile's settings, but not known to answer: it has not proven it
    yet, or its last proof is too long ago, or the next one takes too long."""
    VERIFIED = "verified"
    """In stock: it has lately proven that it answers."""
    LEASED = "leased"
    """Reserved for a call that is ringing."""
    IN_CALL = "in_call"
    RETIRED = "retired"
    """Gone, or ordered to go; never comes back."""


class SessionInput(Enum):
    """What can happen to one session."""

    OPENED = "opened"
    """The server has accepted the profile's settings."""
    OPEN_FAILED = "open_failed"
    PROVEN = "proven"
    """It has answered what it was asked for this purpose."""
    DOUBTED = "doubted"
    """Its proof is overdue."""
    SILENT = "silent"
    """It never answered: a zombie, open but dead."""
    LENT = "lent"
    RETURNED = "returned"
    """The lease was released, ran out, or moved to another session."""
    REDEEMED = "redeemed"
    """The call behind the lease began."""
    CALL_ENDED = "call_ended"
    CLOSED = "closed"
    """The server, or the network, closed it."""
    DISCARDED = "discarded"
    """The pool wants it no longer."""


_S = SessionState
_I = SessionInput

TRANSITIONS: Final[dict[tuple[SessionState, SessionInput], SessionState]] = {
    # What has no meaning in a state changes nothing: peers and timers race.
    **{(state, given): state for state in _S for given in _I},
    # A session may end from wherever it stands.
    **{(state, _I.CLOSED): _S.RETIRED for state in _S},
    **{(state, _I.DISCARDED): _S.RETIRED for state in _S},
    (_S.CONNECTING, _I.OPENED): _S.CONFIGURED,
    (_S.CONNECTING, _I.OPEN_FAILED): _S.RETIRED,
    (_S.CONFIGURED, _I.PROVEN): _S.VERIFIED,
    (_S.CONFIGURED, _I.SILENT): _S.RETIRED,
    (_S.VERIFIED, _I.DOUBTED): _S.CONFIGURED,
    (_S.VERIFIED, _I.LENT): _S.LEASED,
    (_S.LEASED, _I.RETURNED): _S.VERIFIED,
    (_S.LEASED, _I.SILENT): _S.RETIRED,
    (_S.LEASED, _I.REDEEMED): _S.IN_CALL,
    (_S.IN_CALL, _I.CALL_ENDED): _S.RETIRED,
}
"""Where each input leads from each state; total."""
