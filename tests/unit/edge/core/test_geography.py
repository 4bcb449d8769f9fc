import math

import pytest

from edge.core.geography import Point, distance_km

LONDON, NEW_YORK = Point(51.507, -0.128), Point(40.713, -74.006)


def test_distances_are_those_of_the_globe() -> None:
    assert distance_km(LONDON, NEW_YORK) == pytest.approx(5570, abs=10)
    assert distance_km(LONDON, LONDON) == 0


def test_the_way_over_the_date_line_is_the_short_one() -> None:
    fiji, samoa = Point(-18.1, 178.4), Point(-13.8, -171.8)
    assert distance_km(fiji, samoa) == pytest.approx(1147, abs=10)


def test_antipodes_are_half_the_globe_apart() -> None:
    for latitude in (0.0, 33.3, 57.295_779_513, 90.0):
        half = distance_km(Point(latitude, 12.0), Point(-latitude, -168.0))
        assert half == pytest.approx(math.pi * 6371)


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [(90.1, 0), (-91, 0), (0, 180.5), (0, -181), (math.nan, 0), (0, math.inf)],
)
def test_what_is_not_on_earth_is_refused(latitude: float, longitude: float) -> None:
    with pytest.raises(ValueError, match="no such place"):
        Point(latitude, longitude)
