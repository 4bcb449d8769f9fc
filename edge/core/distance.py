"""How long a round trip between two places should take, until one was measured."""

from edge.core.geography import Point, distance_km

__all__ = ["expected_rtt_ms"]

_KM_PER_MS = 150.0
"""Light in fibre makes 200 km per ms; cables are about a third longer than the way
as the crow flies."""
_LOCAL_MS = 2.0
"""What a round trip takes beside the distance (ms)."""


def expected_rtt_ms(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Return the round trip (ms) that the distance between two places suggests.

    Args:
        here: Latitude and longitude (degrees).
        there: The same.
    """
    return _LOCAL_MS + 2 * distance_km(Point(*here), Point(*there)) / _KM_PER_MS
