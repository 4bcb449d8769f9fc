"""Messages by which an edge finds a call whose edge is gone, and takes it on."""

from typing import Annotated

import msgspec
from msgspec import Meta

from backhaul.core.checkpoint import Checkpoint, Position
from backhaul.core.control_message import ControlMessage

__all__ = ["Find", "Found", "KeptCall"]


class Find(ControlMessage, tag="find", frozen=True):
    """Does anybody know of this call? Every agent answers with `Found`."""

    call_sid: str


class KeptCall(msgspec.Struct, frozen=True):
    """How far a call had come, as its agent or the region's store knows.

    It holds what was said, hence is never logged.
    """

    epoch: Annotated[int, Meta(ge=1)]
    """Under which it was served last."""
    profile: str
    here: bool = False
    """Whether the very session waits at the sender, and can be had with
    `LeaseRequest.reattach`; else only this is left of it."""
    checkpoint: Checkpoint | None = None
    """What another session must know to go on; None: nothing was said yet."""
    caller_position: Position = 0
    """Where the caller's audio goes on."""
    voice_position: Position = 0
    """Where the voice goes on: all before was heard, or is lost."""


class Found(ControlMessage, tag="found", frozen=True):
    """The answer to `Find`."""

    call_sid: str
    call: KeptCall | None = None
    """None: the sender does not know of it."""
