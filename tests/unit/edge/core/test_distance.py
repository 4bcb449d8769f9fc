"""Round trips that distances suggest."""

import pytest

from edge.core.distance import expected_rtt_ms
from edge.core.geography import Point

ASHBURN, FRANKFURT = Point(39.04, -77.49), Point(50.11, 8.68)
SINGAPORE = Point(1.35, 103.82)


def test_a_round_trip_takes_as_long_as_the_cables_are() -> None:
    assert expected_rtt_ms(ASHBURN, ASHBURN) == 2.0
    # Measured between data centres of those cities: about 90 and 160 ms.
    assert expected_rtt_ms(ASHBURN, FRANKFURT) == pytest.approx(90, rel=0.05)
    assert expected_rtt_ms(FRANKFURT, SINGAPORE) == pytest.approx(140, rel=0.05)


def test_it_is_the_same_both_ways_and_across_the_date_line() -> None:
    assert expected_rtt_ms(ASHBURN, SINGAPORE) == pytest.approx(
        expected_rtt_ms(SINGAPORE, ASHBURN)
    )
    assert expected_rtt_ms(Point(0, 179.5), Point(0, -179.5)) < 5.0


def test_nothing_is_further_than_the_other_side_of_the_earth() -> None:
    assert expected_rtt_ms(Point(0, 0), Point(0, 180)) == pytest.approx(269, rel=0.01)
    assert expected_rtt_ms(Point(90, 0), Point(-90, 0)) == pytest.approx(269, rel=0.01)
