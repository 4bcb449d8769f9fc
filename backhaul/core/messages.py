"""Control messages on a link, as MessagePack: what edges and agents say to each other.

Channel 0 carries the messages of the link (hello, heartbeat, leases, greetings,
stock); every other channel carries the messages of one call.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from backhaul.core.checkpoint import (
    MAX_CHECKPOINT_BYTES,
    Checkpoint,
    Kept,
    Position,
    Silent,
    VoiceProgress,
)
from backhaul.core.close_reason import CloseReason
from backhaul.core.control_message import ControlMessage
from backhaul.core.errands import Returned, SendDigits, Transfer, TransferKind
from backhaul.core.finding import Find, Found, KeptCall
from backhaul.core.handover import Handover, HandoverReason
from backhaul.core.leasing import (
    LeaseGranted,
    LeaseRefused,
    LeaseRelease,
    LeaseRequest,
)
from backhaul.core.receipt import Arrived, Receipt
from backhaul.core.surge import Surge
from backhaul.errors import RemoteProtocolError

__all__ = [
    "PROTOCOL_VERSION",
    "Arrived",
    "ChannelUnknown",
    "Checkpoint",
    "Clear",
    "Cleared",
    "Close",
    "CloseReason",
    "Digit",
    "Find",
    "Flow",
    "Found",
    "Greeting",
    "Handover",
    "HandoverReason",
    "Heartbeat",
    "HeartbeatReply",
    "Hello",
    "Kept",
    "KeptCall",
    "LeaseGranted",
    "LeaseRefused",
    "LeaseRelease",
    "LeaseRequest",
    "Member",
    "Members",
    "Message",
    "Moved",
    "Open",
    "Opened",
    "Played",
    "Presence",
    "PresentEdges",
    "ProfileStock",
    "Receipt",
    "Returned",
    "Script",
    "SendDigits",
    "Silent",
    "Stock",
    "Surge",
    "Transfer",
    "TransferKind",
    "decode_message",
    "encode_message",
]

PROTOCOL_VERSION: Final = 7
"""Version of the link protocol; peers of another version are refused at hello."""


_MAX_GREETING_BYTES: Final = 1024 * 1024
_MAX_OPEN_BYTES: Final = MAX_CHECKPOINT_BYTES + 8 * 1024
_Count = Annotated[int, Meta(ge=0)]
_Epoch = Annotated[int, Meta(ge=1)]
_Duration = Annotated[float, Meta(ge=0, le=3600)]


class Hello(ControlMessage, tag="hello", frozen=True):
    """First message of either side on a new link."""

    version: int
    name: str
    """The edge's name or the agent's id."""
    region: str = ""
    """Region of an agent; empty for an edge."""
    instance: str = ""
    """Random for every process: a call can move between links of one process only."""
    capabilities: tuple[str, ...] = ()


class Heartbeat(ControlMessage, tag="hb", frozen=True):
    """Are you there?"""

    number: int
    receipt: Receipt | None = None
    """None before anything is known."""
    arrived: tuple[Arrived, ...] = ()
    """The channels on this link on which something arrived since the last heartbeat."""


class HeartbeatReply(ControlMessage, tag="hbr", frozen=True):
    """Yes. *received* counts heartbeats seen so far, so that one-way loss shows."""

    number: int
    """Of the heartbeat that this answers."""
    received: int


class Greeting(ControlMessage, tag="greeting", frozen=True):
    """The rendered greeting of a profile, kept by the edge for its first frame."""

    profile: str
    text: str
    audio: bytes
    """Raw mu-law, 8 kHz mono."""


class Script(ControlMessage, tag="script", frozen=True):
    """The rendered fallback script of a profile, for calls that find no session."""

    profile: str
    text: str
    audio: bytes
    """Raw mu-law, 8 kHz mono."""


class ProfileStock(msgspec.Struct, frozen=True):
    """What an agent has of one profile, and how fast it is with it."""

    warm: _Count = 0
    """Sessions free for a lease: open, and lately proven to answer."""
    open_s: _Duration = 1.0
    """How long it takes to open a session (s), as measured; at first, a guess."""
    first_audio_s: _Duration = 0.0
    """From asking the model to its first audio (s), as measured; 0: not yet."""
    target: _Count = 0
    """So many verified sessions the agent wants to have free."""


class Stock(ControlMessage, tag="stock", frozen=True):
    """Full snapshot of an agent, pushed at a fixed rate; the default: has nothing."""

    profiles: dict[str, ProfileStock] = msgspec.field(
        default_factory=dict[str, ProfileStock]
    )
    active_calls: _Count = 0
    """Calls being talked on."""
    target_calls: _Count = 0
    """So many calls it carries with ease; beyond, others should be asked first."""
    max_calls: _Count = 0
    """So many calls it takes at most, ringing ones included."""
    draining: bool = False
    surge: Annotated[float, Meta(ge=1)] = 1.0
    """Factor of the surge that goes on; see `Surge`."""

    def warm(self, profile: str) -> int:
        """Return the verified sessions of *profile* that are free for a lease."""
        stock = self.profiles.get(profile)
        return 0 if stock is None else stock.warm


class Member(msgspec.Struct, frozen=True):
    """One agent of a region, as the region's registry knows it."""

    address: str
    """host:port at which edges reach it."""
    agent_id: str
    warm: dict[str, int]
    active_calls: int
    draining: bool = False


class Members(ControlMessage, tag="members", frozen=True):
    """Every agent of the sender's region, pushed in full at a fixed rate."""

    agents: tuple[Member, ...]


class Presence(ControlMessage, tag="presence", frozen=True):
    """An edge is there, said at a fixed rate; the agent answers with `PresentEdges`."""

    accepting: bool
    """Whether it takes calls that other edges have answered."""
    room: Annotated[int, Meta(ge=0)] | None = None
    """How many more new calls it takes; live ones may come all the same. None: it
    does not say."""


class PresentEdges(ControlMessage, tag="present", frozen=True):
    """The edges that the sender heard of lately, and that take calls of others."""

    rtt_s: dict[str, _Duration]
    """By name: the round trip between the edge and the sender (s)."""
    rooms: dict[str, Annotated[int, Meta(ge=0)]] = msgspec.field(default_factory=dict)
    """How many more new calls they take, of those that say so."""


class Moved(ControlMessage, tag="moved", frozen=True):
    """A channel uses the link on which this comes, unless it was moved again since.

    It comes in a frame of its own kind, behind what its sender sends again on that
    link. The receiver then sends again what the sender has not acknowledged.
    """

    arrived: Arrived
    """What the sender has; the receiver need not send it again."""


class ChannelUnknown(ControlMessage, tag="unknown", frozen=True):
    """Something came for a channel that is not known here, and will not be."""

    channel: int


class Open(ControlMessage, tag="open", frozen=True):
    """Start a call on this channel with the session behind *lease_id*.

    The edge that sends it need not be the one that asked for the lease: the carrier
    may stream the audio to another. Call, profile and epoch must be the lease's.
    """

    lease_id: str
    call_sid: str
    profile: str
    epoch: _Epoch = 1
    """See `LeaseRequest`."""
    traceparent: str = ""
    """The call's trace, in the form of W3C Trace Context; empty: it has none."""
    greeting_text: str = ""
    """What the edge has already begun to play; empty when it plays nothing."""
    greeting_bytes: Annotated[int, Meta(ge=0, le=_MAX_GREETING_BYTES)] = 0
    """Audio (bytes of mu-law) that the edge plays on its own before the channel's."""
    resumed: bool = False
    """Whether the caller was already talking on an earlier stream of this call; the
    model apologises, unless there is a checkpoint."""
    caller: str = ""
    """Who calls, as the carrier says; personal: never logged."""
    over_sip: bool = False
    """Whether the call reached the carrier over SIP."""
    checkpoint: Checkpoint | None = None
    """Where an agent before left off; None: nothing is known of the call yet."""
    caller_position: Position = 0
    """Where the caller's audio on this channel begins: at the checkpoint's position, or
    behind it where the edge no longer has what came next."""
    voice: VoiceProgress = VoiceProgress()
    """How far the voice had come. The greeting, if any, and the voice of this channel
    are counted on from there."""


class Opened(ControlMessage, tag="opened", frozen=True):
    """The session is bound to the channel."""

    session_id: str


class Clear(ControlMessage, tag="clear", frozen=True):
    """The caller talks: drop what has been sent but not been played.

    The edge answers with `Cleared`.
    """


class Cleared(ControlMessage, tag="cleared", frozen=True):
    """What had not been played was dropped.

    Positions count the bytes of mu-law that the edge got for the caller in this call,
    greeting included, whichever agents sent them; a `Clear` does not turn them back.
    """

    position: Position
    """All that the edge had got when it cleared."""
    heard: Position
    """How far the caller heard it; the rest, up to *position*, was dropped."""


class Played(ControlMessage, tag="played", frozen=True):
    """The caller has heard everything up to *position* (bytes, see `Cleared`)."""

    position: Position


class Digit(ControlMessage, tag="digit", frozen=True):
    """The caller pressed a key; personal: never logged."""

    digit: str
    """One of 0-9, *, #, A-D."""


class Flow(ControlMessage, tag="flow", frozen=True):
    """The carrier reads too slowly: send no audio while *paused*."""

    paused: bool


class Close(ControlMessage, tag="close", frozen=True):
    """Last message of a channel, from either side."""

    reason: CloseReason
    audio: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)] = 0
    """Sequence number that the next audio frame would have: speech may come later."""


Message = (
    Hello
    | Heartbeat
    | HeartbeatReply
    | LeaseRequest
    | LeaseGranted
    | LeaseRefused
    | LeaseRelease
    | Greeting
    | Script
    | Stock
    | Surge
    | Members
    | Presence
    | PresentEdges
    | Find
    | Found
    | Moved
    | ChannelUnknown
    | Open
    | Opened
    | Checkpoint
    | Silent
    | Clear
    | Cleared
    | Played
    | Kept
    | Digit
    | Flow
    | Handover
    | Transfer
    | SendDigits
    | Returned
    | Close
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode_message(message: Message) -> bytes:
    """Return *message* as the payload of a CONTROL frame."""
    return _encoder.encode(message)


def decode_message(payload: bytes) -> Message:
    """Return the message in *payload*.

    Raises:
        RemoteProtocolError: If it is not a known message with fields of the right
            types, or its checkpoint is too large. The payload itself is never part of
            the error.
    """
    try:
        message = _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise RemoteProtocolError("control message does not decode") from None
    if len(payload) > MAX_CHECKPOINT_BYTES and _is_too_large(message, len(payload)):
        raise RemoteProtocolError("checkpoint is too large")
    return message


def _is_too_large(message: Message, size: int) -> bool:
    if isinstance(message, Open) and message.checkpoint is not None:
        return size > _MAX_OPEN_BYTES
    if isinstance(message, Found | LeaseGranted):
        return size > _MAX_OPEN_BYTES
    return isinstance(message, Checkpoint)
