"""Where a caller probably is: the first source that tells, and how far to trust it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from backhaul.core.span_names import Attributes
from edge.core.area_codes import STATE_OF_AREA_CODE, STATE_PLACES
from edge.core.country_places import COUNTRY_PLACES, WIDE_COUNTRIES
from edge.core.geography import Point

__all__ = [
    "NOWHERE",
    "CallerPlace",
    "Finding",
    "NoPlace",
    "PlaceSource",
    "first_place",
    "place_at_point",
    "place_in_country",
    "place_of_area_code",
]


class PlaceSource(StrEnum):
    """What can tell where a caller is, the most telling first."""

    CLIENT_IP = "client_ip"
    """The address that a SIP call came from."""
    NUMBER = "number"
    """The caller's number: where it was given out, not where it is now."""
    CARRIER = "carrier"
    """What the carrier says of the number."""
    EDGE = "edge"
    """The edge that was called; it was to be the nearest one."""


class NoPlace(StrEnum):
    """Why a source does not tell."""

    ABSENT = "absent"
    """The request has nothing of the kind."""
    ANONYMOUS = "anonymous"
    """The caller withholds the number."""
    CLIENT = "client"
    """A caller from an app has a name, not a number."""
    NOT_A_NUMBER = "not_a_number"
    """A SIP caller whose name is not a telephone number."""
    MALFORMED = "malformed"
    """It is nothing that can be read."""
    IMPOSSIBLE = "impossible"
    """It looks like a number, but nobody can have it."""
    NOT_GEOGRAPHIC = "not_geographic"
    """The number is of no one place, such as a toll-free one."""
    NOT_PUBLIC = "not_public"
    """The address is of a private network."""
    NO_DATABASE = "no_database"
    """There is no database of addresses to look in."""
    NOT_FOUND = "not_found"
    """The database does not know the address, or not where it is."""
    DATABASE_BROKEN = "database_broken"
    """The database's entry cannot be read."""
    UNKNOWN_COUNTRY = "unknown_country"
    """There is no such country, or it is not known where it is."""


_SURE_KM: Final = 50.0
_VAGUE_KM: Final = 500.0

_CONFIDENCE_AT_CITY: Final = 0.9
_CONFIDENCE_AT_REGION: Final = 0.7
_CONFIDENCE_AT_COUNTRY: Final[dict[PlaceSource, float]] = {
    PlaceSource.CLIENT_IP: 0.6,
    PlaceSource.NUMBER: 0.5,
    PlaceSource.CARRIER: 0.4,
}
_CONFIDENCE_AT_STATE: Final[dict[PlaceSource, float]] = {
    PlaceSource.CLIENT_IP: 0.7,
    PlaceSource.NUMBER: 0.6,
    PlaceSource.CARRIER: 0.5,
}
_CONFIDENCE_AT_EDGE: Final = 0.1
_WIDE_SHARE: Final = 0.5
"""What a wide country's one point is worth beside that of a small one."""


@dataclass(frozen=True, slots=True)
class CallerPlace:
    """Where a caller probably is, coarsely."""

    source: PlaceSource
    confidence: float
    """From 0 (no idea) to 1: how far to trust it. The figures are a ranking of ours,
    not measured: an address beats a number, a city beats a country."""
    point: Point | None
    """None: nobody knows."""
    country: str = ""
    """ISO 3166-1, where known."""
    state: str = ""
    """State, province or the like: ISO 3166-2, where known."""

    def facts(self) -> Attributes:
        """Return what a trace may tell, by the names of its attributes."""
        return {
            "warmline.caller.country": self.country,
            "warmline.caller.state": self.state,
            "warmline.caller.source": self.source.value,
            "warmline.caller.confidence": round(self.confidence, 2),
        }

    def summary(self) -> dict[str, object]:
        """Return what a record of the call may keep: no point, nothing personal."""
        return {
            "caller_country": self.country,
            "caller_state": self.state,
            "caller_place_source": self.source.value,
            "caller_place_confidence": round(self.confidence, 2),
        }


NOWHERE: Final = CallerPlace(PlaceSource.EDGE, 0.0, None)
"""Of callers whom nobody has located."""

Finding: TypeAlias = CallerPlace | NoPlace


def place_at_point(
    point: Point, *, radius_km: float | None, country: str, state: str
) -> CallerPlace:
    """Return the place that a database of addresses gives.

    Args:
        point: The place.
        radius_km: How far off it may be (km); None: nobody knows.
        country: ISO 3166-1, if known.
        state: ISO 3166-2, if known.
    """
    confidence = _CONFIDENCE_AT_COUNTRY[PlaceSource.CLIENT_IP]
    if radius_km is not None and radius_km <= _SURE_KM:
        confidence = _CONFIDENCE_AT_CITY
    elif radius_km is not None and radius_km <= _VAGUE_KM:
        confidence = _CONFIDENCE_AT_REGION
    return CallerPlace(PlaceSource.CLIENT_IP, confidence, point, country, state)


def place_of_area_code(source: PlaceSource, country: str, area_code: str) -> Finding:
    """Return the place of a North American number (*area_code*: its first digits)."""
    state = STATE_OF_AREA_CODE.get(area_code, "")
    named = state.partition("-")
    return place_in_country(source, country, named[2] if named[0] == country else "")


def place_in_country(source: PlaceSource, country: str, state: str = "") -> Finding:
    """Return the place of a country, or of its state if that is known.

    Args:
        source: Who says so.
        country: ISO 3166-1 code, such as US.
        state: The state's own code, such as TX; what is not known counts for nothing.
    """
    name = f"{country}-{state}"
    if name in STATE_PLACES:
        confidence = _CONFIDENCE_AT_STATE[source]
        return CallerPlace(source, confidence, STATE_PLACES[name], country, name)
    point = COUNTRY_PLACES.get(country)
    if point is None:
        return NoPlace.UNKNOWN_COUNTRY
    share = _WIDE_SHARE if country in WIDE_COUNTRIES else 1.0
    return CallerPlace(source, share * _CONFIDENCE_AT_COUNTRY[source], point, country)


def first_place(findings: Iterable[Finding], *, edge: Point | None) -> CallerPlace:
    """Return the first place that was found, else the edge's own (*edge*)."""
    for finding in findings:
        if isinstance(finding, CallerPlace):
            return finding
    confidence = 0.0 if edge is None else _CONFIDENCE_AT_EDGE
    return CallerPlace(PlaceSource.EDGE, confidence, edge)
