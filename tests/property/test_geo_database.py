"""However a database of addresses is broken, it is refused or it answers."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core.caller_place import CallerPlace, NoPlace
from edge.geo_database import GeoDatabase
from tests.unit.geo_files import BERLIN, TOKYO, write_database

NETWORKS = {
    "81.2.69.0/24": BERLIN,
    "9.9.9.0/24": TOKYO,
    "1.0.0.0/8": BERLIN,
    "2001:4860::/32": {"country": {"iso_code": "US"}},
}
ADDRESSES = ("81.2.69.142", "9.9.9.9", "1.2.3.4", "8.8.8.8", "2001:4860:4860::8888")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("geo") / "good.mmdb"
    write_database(path, NETWORKS)
    return path.read_bytes()


async def look_up_all(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "broken.mmdb"
        path.write_bytes(content)
        database = GeoDatabase(path, check_every_s=3600)
        await database.start()
        findings = [database.look_up(address) for address in ADDRESSES]
        await database.aclose()
    assert sum(database.loads.values()) == 1
    for finding in findings:
        if isinstance(finding, CallerPlace):
            assert len(finding.country) in {0, 2}
            assert len(finding.state) <= 6
        else:
            assert finding in NoPlace


@settings(max_examples=150, deadline=None)
@given(
    cut=st.floats(0, 1) | st.none(),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255))),
)
def test_a_file_that_was_cut_and_changed(
    good: bytes, cut: float | None, changes: list[tuple[float, int]]
) -> None:
    content = bytearray(good if cut is None else good[: int(cut * len(good))])
    for position, byte in changes:
        if content:
            content[int(position * len(content))] = byte
    asyncio.run(look_up_all(bytes(content)))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=2000))
def test_a_file_of_noise_with_the_mark_of_a_database(noise: bytes) -> None:
    asyncio.run(look_up_all(noise + b"\xab\xcd\xefMaxMind.com" + noise))
