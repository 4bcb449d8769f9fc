from collections.abc import Iterator

import pytest

from edge.core.caller_place import (
    CallerPlace,
    Finding,
    NoPlace,
    PlaceSource,
    first_place,
    place_at_point,
    place_in_country,
    place_of_area_code,
)
from edge.core.country_places import COUNTRY_PLACES
from edge.core.geography import Point

ASHBURN = Point(39.0, -77.5)


def located(finding: Finding) -> CallerPlace:
    assert isinstance(finding, CallerPlace)
    return finding


@pytest.mark.parametrize(
    ("radius_km", "confidence"),
    [(1, 0.9), (50, 0.9), (51, 0.7), (500, 0.7), (501, 0.6), (None, 0.6)],
)
def test_an_address_is_trusted_as_far_as_it_is_exact(
    radius_km: float | None, confidence: float
) -> None:
    place = place_at_point(ASHBURN, radius_km=radius_km, country="US", state="US-VA")
    assert place.confidence == confidence
    assert place.source is PlaceSource.CLIENT_IP


def test_a_state_says_more_than_its_country_and_a_small_country_than_a_wide_one() -> (
    None
):
    number = PlaceSource.NUMBER
    texas = located(place_in_country(number, "US", "TX"))
    america = located(place_in_country(number, "US"))
    belgium = located(place_in_country(number, "BE"))
    assert texas.state == "US-TX"
    assert america.state == ""
    assert texas.confidence > belgium.confidence > america.confidence


def test_sources_are_trusted_in_their_order() -> None:
    for state in ("TX", ""):
        trusted = [
            located(place_in_country(source, "US", state)).confidence
            for source in (
                PlaceSource.CLIENT_IP,
                PlaceSource.NUMBER,
                PlaceSource.CARRIER,
            )
        ]
        assert trusted == sorted(trusted, reverse=True)
        assert len(set(trusted)) == 3


def test_an_unknown_state_counts_for_nothing() -> None:
    assert place_in_country(PlaceSource.CARRIER, "DE", "HE") == place_in_country(
        PlaceSource.CARRIER, "DE"
    )


@pytest.mark.parametrize("country", ["", "ZZ", "de", "Germany", "001"])
def test_an_unknown_country_is_no_place(country: str) -> None:
    finding = place_in_country(PlaceSource.CARRIER, country)
    assert finding is NoPlace.UNKNOWN_COUNTRY


def test_an_area_code_is_a_state() -> None:
    place = located(place_of_area_code(PlaceSource.NUMBER, "CA", "604"))
    assert (place.country, place.state) == ("CA", "CA-BC")


@pytest.mark.parametrize(
    ("country", "code"), [("US", "604"), ("US", "199"), ("US", "")]
)
def test_an_area_code_of_elsewhere_leaves_the_country(country: str, code: str) -> None:
    place = located(place_of_area_code(PlaceSource.NUMBER, country, code))
    assert place.state == ""
    assert place.point == COUNTRY_PLACES["US"]


def test_the_first_that_tells_is_believed() -> None:
    texas = located(place_in_country(PlaceSource.NUMBER, "US", "TX"))
    france = located(place_in_country(PlaceSource.CARRIER, "FR"))
    findings: list[Finding] = [NoPlace.NO_DATABASE, texas, france]
    assert first_place(findings, edge=ASHBURN) is texas


def test_later_sources_are_not_even_asked() -> None:
    asked: list[str] = []

    def findings() -> Iterator[Finding]:
        for country in ("US", "FR"):
            asked.append(country)
            yield place_in_country(PlaceSource.NUMBER, country)

    first_place(findings(), edge=None)
    assert asked == ["US"]


def test_when_nobody_tells_the_edge_stands_in_with_little_trust() -> None:
    place = first_place([NoPlace.ABSENT, NoPlace.CLIENT], edge=ASHBURN)
    assert place == CallerPlace(PlaceSource.EDGE, 0.1, ASHBURN)


def test_an_edge_without_a_place_knows_nothing() -> None:
    place = first_place([], edge=None)
    assert (place.confidence, place.point) == (0.0, None)


def test_a_trace_is_told_the_same() -> None:
    facts = located(place_in_country(PlaceSource.CARRIER, "FR")).facts()
    assert facts == {
        "warmline.caller.country": "FR",
        "warmline.caller.state": "",
        "warmline.caller.source": "carrier",
        "warmline.caller.confidence": 0.4,
    }


def test_the_summary_has_no_point() -> None:
    summary = located(place_in_country(PlaceSource.NUMBER, "US", "TX")).summary()
    assert summary == {
        "caller_country": "US",
        "caller_state": "US-TX",
        "caller_place_source": "number",
        "caller_place_confidence": 0.6,
    }
