"""Where callers are, from the webhook to the call's record, over real sockets."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.edge.streams import ring, start, stream
from tests.unit.geo_files import BERLIN, TOKYO, write_database

if TYPE_CHECKING:
    from tests.integration.conftest import Bench, MakeBench

ADDRESS = "81.2.69.142"


async def record(bench: "Bench", wait: Any, number: int, **form: str) -> dict[str, Any]:
    """Make a call and return what is left of it."""
    url = await ring(bench, bench.sids(number) | form)
    async with stream(bench, url) as twilio:
        await twilio.send(start(number))
        await wait(lambda: len(bench.agent.calls) == number)
    over = bench.sids(number) | {"CallStatus": "completed"}
    await bench.post("/twilio/status", over)
    await wait(lambda: len(bench.edge.calls.recent()) == number)
    return bench.edge.calls.recent()[-1]


async def test_a_sip_callers_address_is_looked_up_and_the_file_may_change(
    make_bench: "MakeBench", wait: Any, tmp_path: Path
) -> None:
    path = tmp_path / "places.mmdb"
    write_database(path, {"81.2.69.0/24": BERLIN})
    bench = await make_bench(geo_database=path, geo_database_check_s=0.05)
    sip = {"From": "sip:alice@example.com", "SipCallId": "1", "SipSourceIp": ADDRESS}
    first = await record(bench, wait, 1, **sip)
    assert (first["caller_country"], first["caller_state"]) == ("DE", "DE-BE")
    assert first["caller_place_source"] == "client_ip"
    assert first["caller_place_confidence"] == 0.9
    write_database(path, {"81.2.69.0/24": TOKYO})
    loads = "edge_geo_database_loads_total"
    await wait(lambda: bench.metric(loads, outcome="loaded") == 2)
    second = await record(bench, wait, 2, **sip)
    assert second["caller_country"] == "JP"
    broken = path.with_suffix(".broken")
    spoil(broken, path)
    await wait(lambda: bench.metric(loads, outcome="corrupt") == 1)
    third = await record(bench, wait, 3, **sip)
    assert third["caller_country"] == "JP"


def spoil(broken: Path, path: Path) -> None:
    broken.write_bytes(b"<html>429 Too Many Requests</html>")
    broken.replace(path)


@pytest.mark.parametrize(
    ("form", "country", "source"),
    [
        ({"From": "+493012345678"}, "DE", "number"),
        ({"From": "anonymous", "FromCountry": "FR"}, "FR", "carrier"),
        ({"From": "client:alice"}, "", "edge"),
        ({"From": "+1 (415) garbage"}, "", "edge"),
        ({"From": "x" * 5000}, "", "edge"),
    ],
)
async def test_every_caller_is_answered_wherever_they_are(
    bench: "Bench", wait: Any, form: dict[str, str], country: str, source: str
) -> None:
    left = await record(bench, wait, 1, **form)
    assert (left["caller_country"], left["caller_place_source"]) == (country, source)


async def test_neither_number_nor_address_is_ever_logged(
    bench: "Bench", wait: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    await record(
        bench, wait, 1, From="+493012345678", SipCallId="1", SipSourceIp=ADDRESS
    )
    logged = capfd.readouterr().out
    assert "call.ended" in logged
    assert "3012345678" not in logged
    assert "81.2.69" not in logged
