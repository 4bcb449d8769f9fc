"""What the next agent of a call must know: the conversation as the caller heard it.

Positions count bytes of mu-law over the whole call, whichever agents it had: those of
the caller all that the edge has sent on the call's channels, those of the voice all
that the edge has got (see `backhaul.core.messages.Cleared`).
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from backhaul.core.control_message import ControlMessage

__all__ = [
    "MAX_CHECKPOINT_BYTES",
    "MAX_ITEMS",
    "Called",
    "CallerSaid",
    "Checkpoint",
    "Item",
    "Kept",
    "ModelSaid",
    "Noted",
    "Position",
    "Saying",
    "Silent",
    "VoiceProgress",
]

MAX_CHECKPOINT_BYTES: Final = 64 * 1024
"""Largest checkpoint, packed (bytes)."""
MAX_ITEMS: Final = 4096

Position = Annotated[int, Meta(ge=0)]
_Text = Annotated[str, Meta(max_length=MAX_CHECKPOINT_BYTES)]


class _Item(msgspec.Struct, frozen=True, tag_field="t", array_like=True):
    """Base of all items; what a newer peer adds at the end is ignored."""


class CallerSaid(_Item, tag="caller", frozen=True):
    """A turn of the caller."""

    text: _Text = ""
    """Empty: nobody wrote down what they said."""


class ModelSaid(_Item, tag="model", frozen=True):
    """A reply or a phrase, as far as it was heard."""

    text: _Text
    heard_whole: bool = True


class Saying(_Item, tag="saying", frozen=True):
    """A reply or a phrase of which it was open how much would be heard."""

    text: _Text
    """What was written of it so far."""
    start: Position
    """Where it begins."""
    end: Position
    """Where the audio that *text* stands for ends."""
    whole: bool
    """Whether that is all of it; else the model was still speaking."""


class Called(_Item, tag="called", frozen=True):
    """A function that the model called."""

    call_id: _Text
    name: _Text
    arguments: _Text
    """JSON as the model wrote it."""
    output: _Text | None = None
    """None while there is none: it has to be called again."""
    key: _Text = ""
    """Idempotency key of the call; the same one at every attempt."""


class Noted(_Item, tag="noted", frozen=True):
    """Something that was not spoken, as the model was told: keys pressed."""

    text: _Text


Item = CallerSaid | ModelSaid | Saying | Called | Noted


class Checkpoint(ControlMessage, tag="checkpoint", frozen=True):
    """All of it, sent to the edge whenever an item is finished; the last one counts.

    It holds what was said, hence is never logged.
    """

    version: Annotated[int, Meta(ge=0)]
    """Grows over the whole call."""
    items: Annotated[tuple[Item, ...], Meta(max_length=MAX_ITEMS)] = ()
    """In order. The oldest are left out when there is too much."""
    caller_position: Position = 0
    """Up to here *items* cover the caller's audio; the edge keeps what follows, and
    sends it to the next agent."""
    elapsed_s: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    """How long the call had lasted (s)."""
    errand: _Text = ""
    """The call of a tool for which the caller left the line; empty for none. The edge
    tells the next agent `Returned`, too, should that have gone astray."""


class Silent(ControlMessage, tag="silent", frozen=True):
    """The caller said nothing up to *position* but what checkpoints tell of.

    The edge need not keep that audio: the next checkpoint covers it as well.
    """

    position: Position


class Kept(ControlMessage, tag="kept", frozen=True):
    """The edge keeps a checkpoint of the call: the next agent will know it."""

    version: Annotated[int, Meta(ge=0)]
    """`Checkpoint.version`."""


class VoiceProgress(msgspec.Struct, frozen=True):
    """How far the voice of the agents before had come when a call was opened anew."""

    position: Position = 0
    """All that the edge had got of it."""
    heard: Position = 0
    """How far it had been played, or dropped; the rest is still being played."""
    cleared_at: Position = 0
    """`Cleared.position` of the last clear that dropped anything; 0: there was none."""
    cleared_heard: Position = 0
    """Its `Cleared.heard`, of which the agent before may not have been told."""
