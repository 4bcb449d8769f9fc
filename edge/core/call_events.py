"""What happens to a call at the edge, and what is done about it."""

from dataclasses import dataclass
from enum import Enum

from backhaul.core.messages import CloseReason, HandoverReason

__all__ = [
    "CallAction",
    "CallCompleted",
    "CallEnded",
    "CallEvent",
    "CallState",
    "CallStateChanged",
    "ChannelClosed",
    "CloseChannel",
    "CloseStream",
    "FindSession",
    "GivenUp",
    "HandedOver",
    "HoldCaller",
    "MoveWanted",
    "OpenChannel",
    "PlayGreeting",
    "PlayScript",
    "Recalled",
    "ReleaseLease",
    "Resumed",
    "ScriptGiven",
    "ScriptPlayed",
    "SentAway",
    "SessionFound",
    "SessionNotFound",
    "StreamLost",
    "StreamStarted",
    "StreamStopped",
    "TellReturned",
]


class CallState(Enum):
    """Where a call stands."""

    SEARCHING = "searching"
    """The Media Stream is awaited, and a session is being opened."""
    RINGING = "ringing"
    """A session is leased; the Media Stream is awaited."""
    UNPLACED = "unplaced"
    """The Media Stream is awaited, and no session can be had."""
    HOLDING = "holding"
    """The caller is on the line, and a session is being opened."""
    BRIDGED = "bridged"
    MOVING = "moving"
    """The same, while another session is searched that is to take over."""
    FALLBACK = "fallback"
    """The caller hears the profile's script, for there is no session."""
    AWAY = "away"
    """The stream was ended on purpose: the caller is served by Twilio alone, and the
    channel stays."""
    RECONNECTING = "reconnecting"
    """Something broke; Twilio is expected at the action URL."""
    ENDED = "ended"


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
class SessionFound:
    """A session is leased for the call."""


@dataclass(frozen=True, slots=True)
class SessionNotFound:
    """Nobody has a session for the call, after all tries."""


@dataclass(frozen=True, slots=True)
class MoveWanted:
    """The call would be better off elsewhere; its session still works."""

    asked: HandoverReason | None = None
    """Why its agent asks for that; None: it is the edge's own wish."""


@dataclass(frozen=True, slots=True)
class ScriptGiven:
    """The script was sent to the carrier, behind what the caller has yet to hear."""

    heard_at: float
    """When the caller has heard all of it (s)."""


@dataclass(frozen=True, slots=True)
class ScriptPlayed:
    """The caller has heard the script, or there is none to play."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The carrier was told how the call ends without a session."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """Twilio was told to stream the caller again; another session is searched."""


@dataclass(frozen=True, slots=True)
class SentAway:
    """The agent asks for something that Twilio does without a stream."""

    takes_s: float
    """How long that may take (s)."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """Twilio was told to stream the caller again, on the channel there is."""

    outcome: str
    """What came of the errand; see `backhaul.core.messages.Returned`."""
    takes_s: float
    """What the caller hears before the stream starts (s)."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """Somebody else talks to the caller now."""


@dataclass(frozen=True, slots=True)
class CallCompleted:
    """Twilio says that the call is over."""


CallEvent = (
    StreamStarted
    | StreamStopped
    | StreamLost
    | ChannelClosed
    | SessionFound
    | SessionNotFound
    | MoveWanted
    | ScriptGiven
    | ScriptPlayed
    | GivenUp
    | Resumed
    | SentAway
    | Recalled
    | HandedOver
    | CallCompleted
)


@dataclass(frozen=True, slots=True)
class PlayGreeting:
    """Play the profile's greeting from memory, in this turn of the loop."""


@dataclass(frozen=True, slots=True)
class HoldCaller:
    """Let the caller hear a tone when it has been quiet for long, until it is not."""


@dataclass(frozen=True, slots=True)
class FindSession:
    """Look for another session, under a new epoch; an open channel stays open."""

    asked: HandoverReason | None = None
    """See `MoveWanted`."""


@dataclass(frozen=True, slots=True)
class PlayScript:
    """Play the profile's script from memory, if it is there."""


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """Redeem the lease and open a channel: a new conversation, or the same again."""


@dataclass(frozen=True, slots=True)
class TellReturned:
    """Tell the agent that the caller is back, and what came of the errand."""

    outcome: str


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
    | HoldCaller
    | FindSession
    | PlayScript
    | OpenChannel
    | TellReturned
    | ReleaseLease
    | CloseChannel
    | CloseStream
    | CallStateChanged
    | CallEnded
)
