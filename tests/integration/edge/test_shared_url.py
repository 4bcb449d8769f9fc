"""Calls begin at a name that several edges share, and go on at the edge's own."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import MakeBench

SHARED = "https://edge.example.com"
VOICE = SHARED + "/twilio/voice"


async def test_a_call_may_begin_at_the_shared_name(make_bench: "MakeBench") -> None:
    bench = await make_bench(shared_url=SHARED + "/")
    status, text = await bench.post(signed_url=VOICE)
    assert status == 200
    assert 'action="https://voice.example.com/twilio/resume/' in text
    assert (await bench.post(form=bench.sids(2)))[0] == 200


@pytest.mark.parametrize(
    ("shared_url", "signed_url"),
    [("", VOICE), (SHARED, "https://other.example.com/twilio/voice")],
)
async def test_no_other_name_will_do(
    make_bench: "MakeBench", shared_url: str, signed_url: str
) -> None:
    bench = await make_bench(shared_url=shared_url)
    assert (await bench.post(signed_url=signed_url))[0] == 403
