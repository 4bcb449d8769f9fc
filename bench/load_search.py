"""Looks for the load that is too much, by trying."""

from collections.abc import Mapping
from typing import Final

__all__ = ["next_load"]

_FIRST: Final = 25
_CLOSE: Final = 0.1
"""How near, of the load that is too much, the limit is looked for."""


def next_load(tried: Mapping[int, bool]) -> int | None:
    """Return the load to try next; *tried*: whether a load was carried. None: found."""
    most = max((load for load, carried in tried.items() if carried), default=0)
    least = min((load for load, carried in tried.items() if not carried), default=None)
    if least is None:
        return 2 * most or _FIRST
    if least - most <= max(_CLOSE * least, 1):
        return None
    return (most + least) // 2
