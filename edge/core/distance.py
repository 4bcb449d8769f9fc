"""How long a round trip between two places should take, until one was measured."""

from typing import Final

from edge.core.geography import Point, distance_km

__all__ = ["expected_rtt_ms"]

_KM_PER_MS: Final = 150.0
"""Light in fibre makes 200 km per ms; cables are about a third longer than the way
as the crow flies."""
_LOCAL_MS: Final = 2.0
"""What a round trip takes beside the distance (ms)."""


def expected_rtt_ms(here: Point, there: Point) -> float:
    """Return the round trip (ms) that the distance between two places suggests."""
    return _LOCAL_MS + 2 * distance_km(here, there) / _KM_PER_MS
