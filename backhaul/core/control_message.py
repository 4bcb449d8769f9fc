"""What all control messages have in common."""

import msgspec

__all__ = ["ControlMessage"]


class ControlMessage(msgspec.Struct, frozen=True, tag_field="t", array_like=False):
    """Base of all control messages; unknown fields are ignored (newer peers)."""
