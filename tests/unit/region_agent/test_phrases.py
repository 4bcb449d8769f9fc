import asyncio

import pytest

from backhaul.core.estimators import SmoothedMean
from region_agent.core.realtime_events import ResponseDetail, ServerEvent
from region_agent.core.session_pulse import PulseConfig
from region_agent.first_audio import FirstAudioWatch
from region_agent.phrases import MAX_PHRASE_BYTES, PhraseNotSpokenError, _Speaker
from region_agent.realtime import RealtimeCounters, RealtimeSession

ERROR = ServerEvent("error")


def created(response_id: str) -> ServerEvent:
    return ServerEvent("response.created", response=ResponseDetail(response_id))


def done(response_id: str, status: str | None = "completed") -> ServerEvent:
    return ServerEvent("response.done", response=ResponseDetail(response_id, status))


def silent_session() -> RealtimeSession:
    return RealtimeSession(
        RealtimeCounters(),
        FirstAudioWatch(SmoothedMean()),
        PulseConfig(),
        join=lambda _: None,
    )


async def speak(*happens: ServerEvent | bytes | str) -> bytes:
    """Return what a speaker makes of it: an event, sound, or the session's end."""
    speaker = _Speaker(silent_session())
    async with asyncio.TaskGroup() as tasks:
        said = tasks.create_task(speaker.say("Hello."))
        await asyncio.sleep(0)
        for happening in happens:
            match happening:
                case bytes():
                    speaker.on_model_audio("resp_1", "item_1", happening)
                case str():
                    speaker.on_session_closed(happening)
                case _:
                    speaker.on_event(happening)
        async with asyncio.timeout(20):
            return await said


async def test_a_phrase_is_all_the_sound_of_its_response() -> None:
    assert await speak(created("resp_1"), b"ab", b"cd", done("resp_1")) == b"abcd"


async def test_sound_of_another_response_is_none_of_it() -> None:
    heard = (b"late", created("resp_1"), b"ab", done("resp_1"))
    assert await speak(*heard) == b"ab"


@pytest.mark.parametrize(
    ("happens", "outcome"),
    [
        ([created("resp_1"), done("resp_1")], "completed"),
        ([created("resp_1"), b"ab", done("resp_1", "incomplete")], "incomplete"),
        ([created("resp_1"), b"ab", done("resp_1", None)], "unknown"),
        ([ERROR], "error"),
        ([created("resp_1"), b"ab", "connection lost"], "connection lost"),
        ([created("resp_1"), bytes(MAX_PHRASE_BYTES + 1)], "too long"),
    ],
)
async def test_anything_else_is_no_phrase(
    happens: list[ServerEvent | bytes | str], outcome: str
) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(PhraseNotSpokenError, match=outcome)):
        await speak(*happens)


async def test_a_session_lost_between_two_phrases_is_noticed() -> None:
    speaker = _Speaker(silent_session())
    for event in (created("resp_1"), done("resp_1")):
        speaker.on_event(event)
    speaker.on_session_closed("connection lost")
    speaker._begin()
    with pytest.raises(PhraseNotSpokenError, match="connection lost"):
        await speaker.say("Hello.")
