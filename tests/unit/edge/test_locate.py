from pathlib import Path

import pytest

from edge.carrier_form import CarrierForm, read_form
from edge.core.caller_place import PlaceSource
from edge.core.geography import Point
from edge.geo_database import GeoDatabase
from edge.locate import CallerLocator
from edge.metrics import EdgeMetrics
from tests.unit.geo_files import BERLIN, write_database

EDGE = Point(50.11, 8.68)


def form(**given: str) -> CarrierForm:
    sids = {"CallSid": "CA" + "0" * 32, "AccountSid": "AC" + "0" * 32}
    return read_form(sids | given, {})


def counted(metrics: EdgeMetrics) -> dict[tuple[str, str], float]:
    (family,) = metrics.caller_places.collect()
    return {
        (sample.labels["source"], sample.labels["outcome"]): sample.value
        for sample in family.samples
        if sample.name.endswith("_total")
    }


@pytest.fixture
def metrics() -> EdgeMetrics:
    return EdgeMetrics()


NO_DATABASE = GeoDatabase(Path(), check_every_s=3600)


@pytest.fixture
def locator(metrics: EdgeMetrics) -> CallerLocator:
    return CallerLocator(database=NO_DATABASE, edge=EDGE, metrics=metrics)


async def test_the_address_comes_before_the_number(
    metrics: EdgeMetrics, tmp_path: Path
) -> None:
    write_database(tmp_path / "places.mmdb", {"81.2.69.0/24": BERLIN})
    database = GeoDatabase(tmp_path / "places.mmdb", check_every_s=3600)
    await database.start()
    locator = CallerLocator(database=database, edge=EDGE, metrics=metrics)
    place = locator.locate(
        form(From="sip:+14155550123@pbx.example.com", SipSourceIp="81.2.69.142")
    )
    assert (place.source, place.state) == (PlaceSource.CLIENT_IP, "DE-BE")
    assert counted(metrics) == {("client_ip", "located"): 1}
    private = locator.locate(form(From="+14155550123", SipSourceIp="10.0.0.7"))
    assert (private.source, private.state) == (PlaceSource.NUMBER, "US-CA")
    assert counted(metrics)["client_ip", "not_public"] == 1
    await database.aclose()


def test_the_number_comes_before_what_the_carrier_says(
    locator: CallerLocator, metrics: EdgeMetrics
) -> None:
    place = locator.locate(form(From="+493012345678", FromCountry="US"))
    assert (place.source, place.country) == (PlaceSource.NUMBER, "DE")
    assert counted(metrics) == {("client_ip", "absent"): 1, ("number", "located"): 1}


def test_the_carrier_tells_of_numbers_that_do_not(locator: CallerLocator) -> None:
    place = locator.locate(
        form(From="+18005550199", FromCountry="us", FromState="tx", FromCity="AUSTIN")
    )
    assert (place.source, place.state) == (PlaceSource.CARRIER, "US-TX")


@pytest.mark.parametrize(
    ("given", "number", "carrier"),
    [
        ({}, "absent", "absent"),
        ({"From": "anonymous"}, "anonymous", "absent"),
        ({"From": "+266696687", "FromCountry": ""}, "anonymous", "absent"),
        ({"From": "client:alice"}, "client", "absent"),
        ({"From": "+1415"}, "impossible", "absent"),
        ({"From": "garbage", "FromCountry": "ZZ"}, "malformed", "unknown_country"),
    ],
)
def test_when_nobody_tells_the_edges_own_place_stands_in(
    locator: CallerLocator,
    metrics: EdgeMetrics,
    given: dict[str, str],
    number: str,
    carrier: str,
) -> None:
    place = locator.locate(form(**given))
    assert (place.source, place.point, place.country) == (PlaceSource.EDGE, EDGE, "")
    assert counted(metrics) == {
        ("client_ip", "absent"): 1,
        ("number", number): 1,
        ("carrier", carrier): 1,
        ("edge", "located"): 1,
    }


def test_an_edge_without_a_place_says_so(metrics: EdgeMetrics) -> None:
    locator = CallerLocator(database=NO_DATABASE, edge=None, metrics=metrics)
    assert locator.locate(form(SipSourceIp="81.2.69.142")).point is None
    assert counted(metrics)["edge", "absent"] == 1
    assert counted(metrics)["client_ip", "no_database"] == 1


def test_nothing_personal_is_shown(locator: CallerLocator) -> None:
    asked = form(From="+14155550123", SipSourceIp="81.2.69.142")
    place = locator.locate(asked)
    for text in (repr(asked), repr(place), repr(place.summary())):
        assert "4155550123" not in text
        assert "81.2.69" not in text
