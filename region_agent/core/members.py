"""How much of a region's registry fits into one snapshot for the edges."""

from collections.abc import Iterable
from typing import Final

import msgspec

from backhaul.core.frames import MAX_PAYLOAD_BYTES
from backhaul.core.messages import Member

__all__ = ["MAX_MEMBERS", "fitting"]

MAX_MEMBERS: Final = 256
"""Agents in one snapshot, at most; edges read no more."""

_BUDGET_BYTES: Final = MAX_PAYLOAD_BYTES - 64
"""What is left of a frame beside the message's own tag and lengths."""


def fitting(
    members: Iterable[Member], *, budget_bytes: int = _BUDGET_BYTES
) -> tuple[Member, ...]:
    """Return the first *members*: as many as one message on a link can hold."""
    kept: list[Member] = []
    for member in members:
        budget_bytes -= len(msgspec.msgpack.encode(member))
        if budget_bytes < 0 or len(kept) == MAX_MEMBERS:
            break
        kept.append(member)
    return tuple(kept)
