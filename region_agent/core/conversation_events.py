"""What a conversation hears of, and what it orders; see `conversation.Conversation`."""

from dataclasses import dataclass, field

from backhaul.core.checkpoint import Checkpoint, VoiceProgress
from backhaul.core.messages import (
    Cleared,
    CloseReason,
    Digit,
    Flow,
    HandoverReason,
    Message,
    Open,
    Played,
    Returned,
    TransferKind,
)
from region_agent.core.call_events import Speaker

__all__ = [
    "AudioEnded",
    "CallBegan",
    "CallReserved",
    "CallTaken",
    "CallTool",
    "CallerMissed",
    "CallerSaid",
    "CallerTurnEnded",
    "CallerUnheard",
    "CallerVoiced",
    "ConversationAction",
    "ConversationEvent",
    "EdgeBack",
    "EdgeLost",
    "EndCall",
    "FalselyStarted",
    "Interrupted",
    "KeysPressed",
    "LeaveWanted",
    "ModelSaid",
    "ResponseBegan",
    "ResponseEnded",
    "ResponseRefused",
    "ResponseRetried",
    "SendAudio",
    "SendEvent",
    "SendMessage",
    "SilencePrompted",
    "SpeechStarted",
    "SpeechStopped",
    "Spoken",
    "ToolAnswered",
    "ToolCalled",
    "TranscriptGrew",
    "TransferEnded",
    "TransferStarted",
    "TurnCommitted",
]


# What happened.


@dataclass(frozen=True, slots=True)
class CallBegan:
    """The session is bound to a caller."""

    opening_text: str = field(default="", repr=False)
    """What the edge plays by itself; empty for nothing."""
    opening_bytes: int = 0
    resumed: bool = False
    """Whether the caller was talking to another session before; it is apologised for
    if nothing is known of that."""
    checkpoint: Checkpoint | None = field(default=None, repr=False)
    """What is known of that; None for nothing."""
    voice: VoiceProgress = field(default_factory=VoiceProgress)
    """How far the voice had come by then."""

    @classmethod
    def of(cls, message: Open) -> "CallBegan":
        """Return what the edge's *message* says of it."""
        return cls(
            opening_text=message.greeting_text,
            opening_bytes=message.greeting_bytes,
            resumed=message.resumed,
            checkpoint=message.checkpoint,
            voice=message.voice,
        )


@dataclass(frozen=True, slots=True)
class EdgeLost:
    """No edge has the call for the moment: nobody hears anything."""


@dataclass(frozen=True, slots=True)
class EdgeBack:
    """The edge is there again, and nothing was lost."""


@dataclass(frozen=True, slots=True)
class CallReserved:
    """Another edge is about to have the call; what was not heard by now is lost."""


@dataclass(frozen=True, slots=True)
class CallTaken:
    """It has it."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The model's server hears the caller."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The model's server has heard the caller's turn end."""


@dataclass(frozen=True, slots=True)
class TurnCommitted:
    """The caller's turn is an item of the conversation now."""

    item_id: str = ""
    position: int = 0
    """Where it ends in the caller's audio (bytes, counted over the whole call)."""


@dataclass(frozen=True, slots=True)
class CallerVoiced:
    """So much voice was in the latest audio (ms) of a caller who is in doubt."""

    voiced_ms: float


@dataclass(frozen=True, slots=True)
class CallerMissed:
    """The session does not notice that the caller speaks, or has ended; see Hearing."""


@dataclass(frozen=True, slots=True)
class ResponseBegan:
    """The model begins a response."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """A response ended: completed, cancelled, failed or incomplete."""

    response_id: str
    status: str


@dataclass(frozen=True, slots=True)
class ResponseRefused:
    """A response was asked for while another one was active."""


@dataclass(frozen=True, slots=True)
class AudioEnded:
    """All audio of an item has come."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ModelSaid:
    """The text of an item of the model is known."""

    item_id: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """The text of a turn of the caller is known."""

    item_id: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallerUnheard:
    """The text of a turn of the caller will never be known."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The model calls a function."""

    call_id: str
    name: str
    arguments: str = field(repr=False)
    """JSON as the model wrote it."""


@dataclass(frozen=True, slots=True)
class ToolAnswered:
    """A function gave its result, or words for why it could not."""

    call_id: str
    output: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LeaveWanted:
    """The call is to go on in another session; times are monotonic seconds."""

    reason: HandoverReason
    begin_at: float
    """From here on, at a quiet moment."""
    by: float
    """This one ends here."""


ConversationEvent = (
    CallBegan
    | SpeechStarted
    | SpeechStopped
    | TurnCommitted
    | CallerVoiced
    | CallerMissed
    | ResponseBegan
    | ResponseEnded
    | ResponseRefused
    | AudioEnded
    | ModelSaid
    | CallerSaid
    | CallerUnheard
    | ToolCalled
    | ToolAnswered
    | LeaveWanted
    | Played
    | Cleared
    | Digit
    | Flow
    | Returned
    | EdgeLost
    | EdgeBack
    | CallReserved
    | CallTaken
)

# What is to be done.


@dataclass(frozen=True, slots=True)
class SendEvent:
    """Send a client event to the model's server."""

    event: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send a message to the edge."""

    message: Message = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendAudio:
    """Send audio to the caller."""

    audio: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallTool:
    """Ask an endpoint; `ToolAnswered` tells what came of it."""

    call_id: str
    name: str
    arguments: str = field(repr=False)
    key: str = ""
    """Idempotency key of the call; the same one at every attempt, by any agent."""


@dataclass(frozen=True, slots=True)
class EndCall:
    """Hang up; the caller has heard the last words."""

    reason: CloseReason


# What is to be known.


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The caller cut the voice after so much of what it was saying (ms)."""

    heard_ms: int


@dataclass(frozen=True, slots=True)
class CallerTurnEnded:
    """The caller has said something."""


@dataclass(frozen=True, slots=True)
class FalselyStarted:
    """A sound of the caller was too short to cut the voice."""


@dataclass(frozen=True, slots=True)
class ResponseRetried:
    """A response failed without a word and is asked for again."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """Something was said, and it is known how much of it was heard."""

    speaker: Speaker
    item_id: str
    text: str = field(repr=False)
    heard_whole: bool = True
    heard_ms: int | None = None
    """How much of it the caller heard (ms); None for the caller's own words."""


@dataclass(frozen=True, slots=True)
class TranscriptGrew:
    """There is more that another agent would have to know."""


@dataclass(frozen=True, slots=True)
class SilencePrompted:
    """A silent caller was asked whether they are there."""


@dataclass(frozen=True, slots=True)
class KeysPressed:
    """The caller pressed so many keys."""

    count: int


@dataclass(frozen=True, slots=True)
class TransferStarted:
    """The caller is being connected to somebody else."""

    destination: str
    """As the profile calls it; ``number`` for one the model was told."""
    kind: TransferKind
    summary: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TransferEnded:
    """Nobody could be reached; the caller is back."""

    outcome: str


ConversationAction = (
    SendEvent
    | SendMessage
    | SendAudio
    | CallTool
    | EndCall
    | Interrupted
    | CallerTurnEnded
    | FalselyStarted
    | ResponseRetried
    | Spoken
    | TranscriptGrew
    | SilencePrompted
    | KeysPressed
    | TransferStarted
    | TransferEnded
)
