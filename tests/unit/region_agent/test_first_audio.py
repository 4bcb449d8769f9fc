"""The time to the first audio of the response that was asked for."""

from backhaul.core.estimators import SmoothedMean
from region_agent.core.realtime_events import ResponseDetail, ServerEvent
from region_agent.first_audio import FirstAudioWatch

COMMITTED = ServerEvent("input_audio_buffer.committed")


def created(response_id: str) -> ServerEvent:
    return ServerEvent("response.created", response=ResponseDetail(response_id))


def watch() -> tuple[FirstAudioWatch, SmoothedMean]:
    mean = SmoothedMean()
    return FirstAudioWatch(mean), mean


def test_only_the_first_audio_counts() -> None:
    watched, mean = watch()
    watched.asked()
    watched.on_event(created("r1"))
    watched.on_audio("r1")
    watched.on_audio("r1")
    assert mean.samples == 1
    assert 0.0 <= mean.value < 10.0


def test_a_turn_of_the_caller_asks_as_well() -> None:
    watched, mean = watch()
    for event in (COMMITTED, created("r1"), ServerEvent("response.done")):
        watched.on_event(event)
    watched.on_audio("r1")
    assert mean.samples == 1


def test_what_an_earlier_response_still_says_is_no_answer() -> None:
    watched, mean = watch()
    watched.asked()
    watched.on_event(created("r1"))
    watched.on_audio("r1")
    watched.on_event(COMMITTED)
    watched.on_audio("r1")
    assert mean.samples == 1
    watched.on_event(created("r2"))
    watched.on_audio("r1")
    assert mean.samples == 1
    watched.on_audio("r2")
    assert mean.samples == 2


def test_audio_that_nobody_asked_for_is_not_measured() -> None:
    watched, mean = watch()
    watched.on_event(created("r1"))
    watched.on_audio("r1")
    assert mean.samples == 0
