"""What the two ends of a link tell each other of what arrived."""

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["Arrived", "Receipt"]


class Receipt(msgspec.Struct, frozen=True):
    """How what the other side sends on a link arrives here."""

    loss: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of batches lost lately, 0 to 1."""
    late_p50_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    """Delay beyond the shortest one of the link (s), median."""
    late_p99_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    """The same, 99th percentile."""


class Arrived(msgspec.Struct, frozen=True, array_like=True):
    """How far a channel has arrived: the next sequence number expected of each kind."""

    channel: int
    control: int
    audio: int
