"""The table of countries, judged by the numbering plans and the time zones."""

import importlib.resources
import re

import phonenumbers

from edge.core.country_places import COUNTRY_PLACES, WIDE_COUNTRIES
from edge.core.geography import Point, distance_km

ZONE = re.compile(r"([+-]\d{2})(\d{2})(?:\d{2})?([+-]\d{3})(\d{2})(?:\d{2})?")


def zones() -> dict[str, list[Point]]:
    """Return the places that the IANA time zones are named after, by country."""
    table = importlib.resources.files("tzdata") / "zoneinfo" / "zone.tab"
    found: dict[str, list[Point]] = {}
    for line in table.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            country, position, *_ = line.split("\t")
            matched = ZONE.fullmatch(position)
            assert matched is not None
            point = Point(
                degrees_of(matched[1], matched[2]), degrees_of(matched[3], matched[4])
            )
            found.setdefault(country, []).append(point)
    return found


def degrees_of(whole: str, minutes: str) -> float:
    sign = -1 if whole.startswith("-") else 1
    return int(whole) + sign * int(minutes) / 60


def test_every_country_that_has_numbers_has_a_place() -> None:
    assert set(phonenumbers.SUPPORTED_REGIONS) <= set(COUNTRY_PLACES)


def test_every_place_is_near_a_city_of_its_country() -> None:
    known = zones()
    assert len(known) > 240
    far: dict[str, float] = {}
    for country, place in COUNTRY_PLACES.items():
        if country in known:
            nearest = min(distance_km(place, city) for city in known[country])
            # China, India and Pakistan: the centre of the population.
            if nearest > (900 if country in {"CN", "IN", "PK", "US"} else 350):
                far[country] = nearest
    assert far == {}


def test_wide_countries_are_countries() -> None:
    assert set(COUNTRY_PLACES) >= WIDE_COUNTRIES
