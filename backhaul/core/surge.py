"""The message by which an edge asks for more sessions than usual."""

from typing import Annotated

from msgspec import Meta

from backhaul.core.control_message import ControlMessage

__all__ = ["Surge"]


class Surge(ControlMessage, tag="surge", frozen=True):
    """Keep more sessions ready for a while: a region is back, and calls return to it.

    Of several, the agent obeys the largest factor until the last of them ends.
    """

    factor: Annotated[float, Meta(ge=1, le=10)]
    """Of the whole stock."""
    length_s: Annotated[float, Meta(ge=0, le=86_400)]
    """For how long (s), from its arrival."""
