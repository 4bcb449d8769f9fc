"""How long a round trip between two places should take, until one was measured."""

import math

__all__ = ["expected_rtt_ms"]

_EARTH_RADIUS_KM = 6371.0
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

    Source: the haversine formula of the great-circle distance.
    """
    latitudes = math.radians(here[0]), math.radians(there[0])
    half_dlat = (latitudes[1] - latitudes[0]) / 2
    half_dlon = math.radians(there[1] - here[1]) / 2
    chord = (
        math.sin(half_dlat) ** 2
        + math.cos(latitudes[0]) * math.cos(latitudes[1]) * math.sin(half_dlon) ** 2
    )
    distance_km = 2 * _EARTH_RADIUS_KM * math.asin(math.sqrt(min(chord, 1.0)))
    return _LOCAL_MS + 2 * distance_km / _KM_PER_MS
