"""Points on Earth, and how far apart they are."""

import math
from dataclasses import dataclass
from typing import Final

__all__ = ["Point", "distance_km"]

_EARTH_RADIUS_KM: Final = 6371.0
_POLE: Final = 90.0
_DATE_LINE: Final = 180.0


@dataclass(frozen=True, slots=True)
class Point:
    """A place on Earth (degrees); north and east are positive.

    Raises:
        ValueError: If there is no such place.
    """

    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        """Check the ranges; what is not a number is in none."""
        if not (abs(self.latitude) <= _POLE and abs(self.longitude) <= _DATE_LINE):
            raise ValueError("no such place on Earth")


def distance_km(one: Point, other: Point) -> float:
    """Return how far apart two places are as the crow flies (km).

    Source: the haversine formula, R. W. Sinnott, "Virtues of the Haversine" (1984).
    """
    lat1, lat2 = math.radians(one.latitude), math.radians(other.latitude)
    half_dlat = (lat2 - lat1) / 2
    half_dlon = math.radians(other.longitude - one.longitude) / 2
    chord = (
        math.sin(half_dlat) ** 2
        + math.cos(lat1) * math.cos(lat2) * math.sin(half_dlon) ** 2
    )
    # Rounding may lift the chord of two antipodes a little above 1.
    return 2 * _EARTH_RADIUS_KM * math.asin(math.sqrt(min(chord, 1.0)))
