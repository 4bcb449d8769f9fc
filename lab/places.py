"""Where the local fabric pretends to stand, and how far apart that is."""

from dataclasses import dataclass

from edge.core.geography import Point, distance_km
from edge.core.twilio_places import TWILIO_EDGES, TWILIO_REGIONS, TwilioRegion

__all__ = [
    "EDGE_PLACES",
    "REGION_PLACES",
    "Place",
    "nearest_twilio_region",
    "one_way_delay_ms",
]


@dataclass(frozen=True, slots=True)
class Place:
    """A place on Earth, with a caller's number from around there."""

    name: str
    latitude: float
    longitude: float
    caller: str


REGION_PLACES = (
    Place("us-east", 39.04, -77.49, "+14155550123"),
    Place("eu-central", 50.11, 8.68, "+493012345678"),
    Place("ap-southeast", 1.35, 103.82, "+6561234567"),
    Place("us-west", 45.84, -119.70, "+12065550142"),
    Place("ap-northeast", 35.68, 139.69, "+81312345678"),
    Place("sa-east", -23.55, -46.63, "+551123456789"),
    Place("ap-south", 19.08, 72.88, "+912212345678"),
    Place("au-southeast", -33.87, 151.21, "+61212345678"),
)

EDGE_PLACES = (
    Place("edge-ashburn", 39.04, -77.49, "+14155550123"),
    Place("edge-frankfurt", 50.11, 8.68, "+493012345678"),
    Place("edge-singapore", 1.29, 103.85, "+6561234567"),
    Place("edge-umatilla", 45.92, -119.34, "+12065550142"),
    Place("edge-tokyo", 35.68, 139.69, "+81312345678"),
    Place("edge-sao-paulo", -23.55, -46.63, "+551123456789"),
    Place("edge-mumbai", 19.08, 72.88, "+912212345678"),
    Place("edge-sydney", -33.87, 151.21, "+61212345678"),
)

_KM_PER_MS = 150.0
"""Light in fibre makes 200 km per ms; cables are about a third longer than the way
as the crow flies."""
_LOCAL_MS = 1.0


def nearest_twilio_region(place: Place) -> TwilioRegion:
    """Return the Region in which Twilio would process the numbers of *place*."""

    def away_km(region: TwilioRegion) -> float:
        edge = TWILIO_EDGES[TWILIO_REGIONS[region]]
        return distance_km(edge.place, Point(place.latitude, place.longitude))

    return min(TWILIO_REGIONS, key=away_km)


def one_way_delay_ms(one: Place, other: Place) -> float:
    """Return the propagation delay (ms) between two places, never less than 1."""
    distance = distance_km(
        Point(one.latitude, one.longitude), Point(other.latitude, other.longitude)
    )
    return round(_LOCAL_MS + distance / _KM_PER_MS, 1)
