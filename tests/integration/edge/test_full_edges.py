"""What an edge without room does with new calls, and what others do for it."""

from typing import TYPE_CHECKING, Any

from tests.integration.edge.pair import Answer, make_pair
from tests.integration.edge.streams import GREETING_AUDIO, heard, media, start

if TYPE_CHECKING:
    from tests.integration.conftest import MakeBench


async def test_a_full_edge_gets_no_new_calls_and_gives_its_own_to_others(
    make_bench: "MakeBench", wait: Any
) -> None:
    pair = await make_pair(
        make_bench, wait, near={"max_calls": 1}, far={"max_calls": 2}
    )
    (told_far,) = pair.far.edge.links.agents.values()
    (told_near,) = pair.near.edge.links.agents.values()
    first = await pair.ring(1)
    async with first.connect() as twilio:
        await twilio.send(start())
        assert await heard(twilio, at_least=len(GREETING_AUDIO)) == GREETING_AUDIO
        await wait(lambda: told_far.rooms.get("near") == 0)

        second = await pair.ring(2)
        assert second.stream_url.startswith(pair.far.settings.media_url)

        _, text = await pair.near.post(form=pair.near.sids(3))
        third = Answer.of(text)
        assert third.stream_url.startswith(pair.far.settings.media_url)
        async with third.connect() as other:
            await other.send(start(3))
            assert await heard(other, at_least=len(GREETING_AUDIO)) == GREETING_AUDIO
            await wait(lambda: told_near.rooms.get("far") == 0)

            for edge, number in ((pair.near, 4), (pair.far, 5)):
                _, text = await edge.post(form=edge.sids(number))
                assert "<Connect>" not in text
                assert edge.settings.apology in text
            await twilio.send(media())
            assert len(pair.far.agent.calls) == 2
    count = pair.near.edge.metrics.registry.get_sample_value
    name = "edge_calls_over_ceiling_total"
    assert count(name, {"outcome": "given"}) == 1
    assert count(name, {"outcome": "no_room"}) == 1


async def test_a_full_edge_takes_calls_that_another_edge_has_failed(
    make_bench: "MakeBench", wait: Any
) -> None:
    pair = await make_pair(make_bench, wait, near={"max_calls": 1})
    failed = {"ErrorCode": "11205", "ErrorUrl": "https://gone.example.com"}
    for number in (1, 2):
        _, text = await pair.near.post(form=pair.near.sids(number) | failed)
        answer = Answer.of(text)
        assert answer.stream_url.startswith(pair.near_url)
        async with answer.connect() as twilio:
            await twilio.send(start(number))
            assert await heard(twilio, at_least=len(GREETING_AUDIO)) == GREETING_AUDIO
    _, text = await pair.near.post(form=pair.near.sids(3))
    assert Answer.of(text).stream_url.startswith(pair.far.settings.media_url)
