"""The database of addresses: real files, swapped, broken, and vanishing."""

import asyncio
import importlib.util
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from edge.core.caller_place import CallerPlace, Finding, NoPlace
from edge.geo_database import GeoDatabase, GeoDatabaseCollector, LoadOutcome
from tests.unit.geo_files import BERLIN, TOKYO, write_database

ADDRESS = "81.2.69.142"
NETWORK = "81.2.69.0/24"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "places.mmdb"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[GeoDatabase]:
    """Return a database that looks at its file only when it is told to."""
    found = GeoDatabase(path, check_every_s=3600)
    yield found
    await found.aclose()


def country(finding: Finding) -> str:
    assert isinstance(finding, CallerPlace), finding
    return finding.country


def move(path: Path, to: Path) -> None:
    path.rename(to)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def loads(database: GeoDatabase) -> dict[str, int]:
    return {name.value: count for name, count in database.loads.items() if count}


async def test_a_city_is_found_with_its_state_and_confidence(
    database: GeoDatabase, path: Path
) -> None:
    write_database(path, {NETWORK: BERLIN})
    await database.start()
    place = database.look_up(ADDRESS)
    assert isinstance(place, CallerPlace)
    assert (place.country, place.state, place.confidence) == ("DE", "DE-BE", 0.9)
    assert place.point is not None
    assert place.point.latitude == pytest.approx(52.5)


@pytest.mark.parametrize("kind", ["GeoLite2-City", "DBIP-City-Lite", "X-Enterprise"])
async def test_databases_of_cities_go_by_many_names(
    database: GeoDatabase, path: Path, kind: str
) -> None:
    write_database(path, {NETWORK: BERLIN}, kind=kind)
    await database.start()
    assert country(database.look_up(ADDRESS)) == "DE"


async def test_a_database_of_countries_gives_the_countrys_place(
    database: GeoDatabase, path: Path
) -> None:
    entry = {"country": {"iso_code": "AU"}}
    write_database(path, {NETWORK: entry}, kind="GeoLite2-Country")
    await database.start()
    place = database.look_up(ADDRESS)
    assert isinstance(place, CallerPlace)
    assert (place.country, place.confidence) == ("AU", 0.3)


async def test_a_city_without_coordinates_is_its_country(
    database: GeoDatabase, path: Path
) -> None:
    write_database(path, {NETWORK: {"country": {"iso_code": "DE"}}})
    await database.start()
    assert country(database.look_up(ADDRESS)) == "DE"


@pytest.mark.parametrize(
    ("address", "outcome"),
    [
        ("", NoPlace.ABSENT),
        ("not an address", NoPlace.MALFORMED),
        ("1.2.3", NoPlace.MALFORMED),
        ("81.2.69.142:5060", NoPlace.MALFORMED),
        ("8" * 5000, NoPlace.MALFORMED),
        ("10.1.2.3", NoPlace.NOT_PUBLIC),
        ("127.0.0.1", NoPlace.NOT_PUBLIC),
        ("100.64.0.1", NoPlace.NOT_PUBLIC),
        ("fe80::1%eth0", NoPlace.NOT_PUBLIC),
        ("::ffff:10.1.2.3", NoPlace.NOT_PUBLIC),
        ("9.9.9.9", NoPlace.NOT_FOUND),
        ("2620:fe::9", NoPlace.NOT_FOUND),
    ],
)
async def test_every_address_has_an_outcome(
    database: GeoDatabase, path: Path, address: str, outcome: NoPlace
) -> None:
    write_database(path, {NETWORK: BERLIN})
    await database.start()
    assert database.look_up(address) is outcome


async def test_an_ipv4_address_in_the_clothes_of_ipv6_is_found(
    database: GeoDatabase, path: Path
) -> None:
    write_database(path, {NETWORK: BERLIN})
    await database.start()
    assert country(database.look_up(f"::ffff:{ADDRESS}")) == "DE"


async def test_an_ipv6_address_is_not_in_a_database_of_ipv4(
    database: GeoDatabase, path: Path
) -> None:
    write_database(path, {NETWORK: BERLIN}, version=4)
    await database.start()
    assert country(database.look_up(ADDRESS)) == "DE"
    assert database.look_up("2620:fe::9") in {
        NoPlace.NOT_FOUND,
        NoPlace.DATABASE_BROKEN,
    }


async def test_without_a_file_it_works_and_uses_one_that_appears(
    database: GeoDatabase, path: Path
) -> None:
    await database.start()
    assert database.look_up(ADDRESS) is NoPlace.NO_DATABASE
    assert loads(database) == {"missing": 1}
    await database._check()
    assert loads(database) == {"missing": 1}
    write_database(path, {NETWORK: BERLIN})
    await database._check()
    assert country(database.look_up(ADDRESS)) == "DE"


async def test_a_changed_file_is_used_and_an_unchanged_one_left_alone(
    database: GeoDatabase, path: Path
) -> None:
    write_database(path, {NETWORK: BERLIN})
    await database.start()
    await database._check()
    assert loads(database) == {"loaded": 1}
    write_database(path, {NETWORK: TOKYO})
    await database._check()
    assert country(database.look_up(ADDRESS)) == "JP"
    assert loads(database) == {"loaded": 2}


async def test_a_file_that_changes_often_takes_no_more_memory(
    database: GeoDatabase, path: Path
) -> None:
    write_database(path, {NETWORK: BERLIN})
    await database.start()
    before = open_files()
    for number in range(20):
        write_database(path, {NETWORK: BERLIN if number % 2 else TOKYO})
        await database._check()
        path.write_bytes(b"broken")  # noqa: ASYNC240
        await database._check()
    assert loads(database) == {"loaded": 21, "corrupt": 20}
    assert open_files() == before


async def test_changes_are_found_by_themselves(path: Path) -> None:
    database = GeoDatabase(path, check_every_s=0.01)
    await database.start()
    write_database(path, {NETWORK: BERLIN})
    async with asyncio.timeout(20):
        while database.look_up(ADDRESS) is NoPlace.NO_DATABASE:
            await asyncio.sleep(0.005)
    assert country(database.look_up(ADDRESS)) == "DE"
    await database.aclose()


def spoil(path: Path, how: str) -> None:
    good = path.read_bytes()
    bad = {
        "empty": b"",
        "text": b"<html>403 Forbidden</html>",
        "halved": good[: len(good) // 2],
        "no metadata": good.replace(b"MaxMind.com", b"MinMaxd.com"),
    }[how]
    path.write_bytes(bad)  # in place, as `cp` does


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ("empty", "empty"),
        ("text", "corrupt"),
        ("halved", "corrupt"),
        ("no metadata", "corrupt"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_once_and_the_old_one_stays(
    database: GeoDatabase, path: Path, how: str, outcome: str
) -> None:
    write_database(path, {NETWORK: BERLIN})
    await database.start()
    spoil(path, how)
    with structlog.testing.capture_logs() as logs:
        await database._check()
        await database._check()
    assert loads(database) == {"loaded": 1, outcome: 1}
    assert country(database.look_up(ADDRESS)) == "DE"
    (line,) = logs
    assert line["event"] == "geo_database.refused"
    assert line["log_level"] == "error"
    assert line["still_in_use"] is True


async def test_a_file_written_over_in_place_does_not_tear_the_one_in_use(
    database: GeoDatabase, path: Path
) -> None:
    write_database(path, {NETWORK: BERLIN})
    await database.start()
    os.truncate(path, 0)  # a map of the file itself would now kill the process
    assert country(database.look_up(ADDRESS)) == "DE"


async def test_a_database_of_something_else_is_refused(
    database: GeoDatabase, path: Path
) -> None:
    write_database(path, {NETWORK: {"asn": 1}}, kind="GeoLite2-ASN")
    await database.start()
    assert loads(database) == {"wrong_type": 1}
    assert database.look_up(ADDRESS) is NoPlace.NO_DATABASE


async def test_without_a_path_there_is_nothing_to_complain_of() -> None:
    database = GeoDatabase(Path(), check_every_s=3600)
    await database.start()
    assert database.look_up(ADDRESS) is NoPlace.NO_DATABASE
    assert loads(database) == {}
    await database.aclose()


async def test_a_directory_is_no_database(tmp_path: Path) -> None:
    database = GeoDatabase(tmp_path, check_every_s=3600)
    await database.start()
    assert loads(database) == {"unreadable": 1}
    await database.aclose()


async def test_a_file_beyond_all_measure_is_not_read(
    database: GeoDatabase, path: Path
) -> None:
    write_database(path, {NETWORK: BERLIN})
    os.truncate(path, (1 << 30) + 1)  # sparse
    await database.start()
    assert loads(database) == {"too_large": 1}


async def test_a_file_that_vanishes_stays_in_use_and_may_come_back(
    database: GeoDatabase, path: Path
) -> None:
    write_database(path, {NETWORK: BERLIN})
    await database.start()
    away = path.with_suffix(".away")
    move(path, away)
    await database._check()
    assert country(database.look_up(ADDRESS)) == "DE"
    move(away, path)
    await database._check()
    assert loads(database) == {"loaded": 2, "missing": 1}


@pytest.mark.parametrize(
    "entry",
    [
        "just text",
        {"country": "DE"},
        {"country": {"iso_code": 49}},
        {"country": {"iso_code": "DE"}, "location": {"latitude": 91.0, "longitude": 1}},
        {"country": {"iso_code": "DE"}, "location": {"latitude": "N", "longitude": 1}},
        {"country": {"iso_code": "DE"}, "location": {"latitude": 52.0}},
        {"country": {"iso_code": "DE"}, "subdivisions": 7},
        {"country": {}, "locales": 1, "ip_address": 2},
    ],
)
async def test_an_entry_that_is_not_what_it_should_be_is_nothing_worse(
    database: GeoDatabase, path: Path, entry: Any
) -> None:
    write_database(path, {NETWORK: entry, "9.9.9.0/24": BERLIN})
    # The address is one of those looked at before a database is used.
    await database.start()
    if loads(database) == {"loaded": 1}:
        finding = database.look_up(ADDRESS)
        assert finding in {
            NoPlace.DATABASE_BROKEN,
            NoPlace.NOT_FOUND,
            NoPlace.UNKNOWN_COUNTRY,
        } or (isinstance(finding, CallerPlace) and finding.country == "DE")
    else:
        assert loads(database) == {"corrupt": 1}


async def test_an_entry_broken_beyond_the_ones_looked_at_first_is_an_outcome(
    database: GeoDatabase, path: Path
) -> None:
    write_database(path, {"9.9.9.0/24": {"country": "DE"}, NETWORK: BERLIN})
    await database.start()
    assert database.look_up("9.9.9.9") is NoPlace.DATABASE_BROKEN
    assert country(database.look_up(ADDRESS)) == "DE"


async def test_metrics_tell_what_became_of_files_and_how_old_the_data_are(
    database: GeoDatabase, path: Path
) -> None:
    registry = CollectorRegistry()
    registry.register(GeoDatabaseCollector(database))
    built = "edge_geo_database_built_timestamp_seconds"
    assert registry.get_sample_value(built) == 0
    write_database(path, {NETWORK: BERLIN})
    await database.start()
    counted = registry.get_sample_value(
        "edge_geo_database_loads_total", {"outcome": "loaded"}
    )
    assert counted == 1
    assert registry.get_sample_value(built) == database.built_unix_s > 1.7e9


def public_database() -> Path:
    found = importlib.util.find_spec("_maxminddb_geolite2")
    if found is None or found.origin is None:
        pytest.skip("maxminddb-geolite2 is not installed")
    return Path(found.origin).with_name("GeoLite2-City.mmdb")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("81.2.69.142", "GB"),
        ("133.11.93.1", "JP"),
        ("141.20.1.1", "DE"),
        ("128.32.1.1", "US"),
        ("2001:200::1", "JP"),
        ("10.0.0.1", NoPlace.NOT_PUBLIC),
    ],
)
async def test_a_real_database_of_all_addresses(
    address: str, expected: str | NoPlace
) -> None:
    """GeoLite2 City of July 2018, by MaxMind, under CC BY-SA."""
    database = GeoDatabase(public_database(), check_every_s=3600)
    await database.start()
    finding = database.look_up(address)
    await database.aclose()
    if isinstance(expected, NoPlace):
        assert finding is expected
    else:
        assert country(finding) == expected
    assert LoadOutcome.LOADED in database.loads
