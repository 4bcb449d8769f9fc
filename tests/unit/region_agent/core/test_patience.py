"""How long a caller waits for the voice, as scripts with literal times."""

from backhaul.core.checkpoint import CallerSaid, Checkpoint, VoiceProgress
from backhaul.core.messages import Played
from backhaul.core.profile import Silence
from region_agent.core.conversation_events import (
    AudioEnded,
    CallBegan,
    ResponseBegan,
    ResponseEnded,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    TurnCommitted,
)
from region_agent.core.patience import PATIENCE_S, Patience
from tests.unit.conversation_script import (
    Step,
    Voice,
    conversation_of,
    play,
    quiet_profile,
)

LEAVES = "hand over: model_silent"
ABSENT = 'output c1 {"error":"there is no tool transfer in this call"}'


def waits(patience: Patience, now: float) -> bool:
    return patience.observe(waiting=True, spoken=False, now=now)


def speaks(patience: Patience, now: float) -> bool:
    """The caller does, and nothing has come of the model."""
    return patience.observe(waiting=False, spoken=False, now=now)


def answers(patience: Patience, now: float) -> bool:
    """The model does."""
    return patience.observe(waiting=False, spoken=True, now=now)


def test_patience_runs_out_ever_later() -> None:
    patience = Patience()
    assert patience.next_deadline() is None
    assert not waits(patience, 1.0)
    assert patience.next_deadline() == 1.0 + PATIENCE_S
    assert not waits(patience, 10.9)
    assert waits(patience, 11.0)
    assert patience.next_deadline() == 1.0 + 3 * PATIENCE_S
    assert not waits(patience, 30.9)
    assert waits(patience, 31.0)


def test_what_is_waited_adds_up_until_the_model_speaks() -> None:
    patience = Patience()
    for start in (0.0, 10.0):
        assert not waits(patience, start)
        assert not speaks(patience, start + 3.0)
        assert patience.next_deadline() is None
    assert not waits(patience, 30.0)
    assert patience.next_deadline() == 34.0
    assert not answers(patience, 32.0)
    assert not waits(patience, 40.0)
    assert patience.next_deadline() == 40.0 + 2 * 8.0


def test_brief_pauses_of_a_caller_are_no_waiting() -> None:
    patience = Patience()
    for start in range(20):
        assert not waits(patience, float(start))
        assert not speaks(patience, start + 0.9)
    assert not waits(patience, 30.0)
    assert patience.next_deadline() == 30.0 + PATIENCE_S


def test_who_has_waited_nearly_too_long_still_gives_the_model_time_to_begin() -> None:
    patience = Patience()
    for start in (0.0, 10.0, 20.0):
        assert not waits(patience, start)
        assert not speaks(patience, start + 3.2)
    assert not waits(patience, 30.0)
    assert patience.next_deadline() == 32.0


def test_a_session_that_was_slow_may_be_slow_again() -> None:
    patience = Patience()
    assert not waits(patience, 0.0)
    assert not answers(patience, 9.0)
    for now in (9.2, 9.4, 12.0):  # it goes on to speak
        assert not answers(patience, now)
    assert not waits(patience, 20.0)
    assert not answers(patience, 20.5)
    assert not waits(patience, 30.0)
    assert patience.next_deadline() == 30.0 + 2 * 9.0


def test_an_answer_that_cannot_be_heard_begins_the_waiting_anew() -> None:
    patience = Patience()
    assert not waits(patience, 0.0)
    patience.answered(now=4.0)
    assert patience.next_deadline() == 4.0 + PATIENCE_S


def test_a_session_that_comes_after_another_is_given_more_time() -> None:
    patience = Patience()
    patience.resume()
    assert not waits(patience, 0.0)
    assert patience.next_deadline() == 3 * PATIENCE_S
    assert not answers(patience, 4.0)
    assert not waits(patience, 26.0)
    assert patience.next_deadline() == 26.0 + PATIENCE_S


# In a conversation


def turn(at: float) -> list[Step]:
    """The caller says something for a second."""
    return [
        (at, SpeechStarted(), []),
        (at + 1.0, SpeechStopped(), ["turn"]),
        (at + 1.1, TurnCommitted(f"u{at}", 8000), []),
    ]


def run(script: list[Step]) -> None:
    play(conversation_of(quiet_profile(), {}), script)


def test_a_session_that_owes_an_answer_is_asked_again_and_left() -> None:
    run(
        [
            (0.0, CallBegan(), []),
            *turn(1.0),
            (7.0, None, ["retried", "respond"]),
            (11.9, None, []),
            (12.0, None, ["retried", LEAVES]),
            (14.0, None, ["respond"]),
        ]
    )


def test_a_response_that_begins_and_says_nothing_is_not_waited_for() -> None:
    run(
        [
            (0.0, CallBegan(), []),
            *turn(1.0),
            (2.2, ResponseBegan("r1"), []),
            (12.0, None, [LEAVES]),
            (13.0, Voice("r1", "i1", 8000), ["audio 8000"]),
        ]
    )


def test_who_asks_whether_anybody_is_there_has_waited_all_the_same() -> None:
    run(
        [
            (0.0, CallBegan(), []),
            *turn(1.0),
            *turn(6.0),
            *turn(11.0),
            (13.9, None, []),
            (14.0, None, [LEAVES]),
        ]
    )


def test_a_model_that_calls_functions_is_not_silent() -> None:
    run(
        [
            (0.0, CallBegan(), []),
            *turn(1.0),
            (2.2, ResponseBegan("r1"), []),
            (9.0, ToolCalled("c1", "transfer", "{}"), [ABSENT]),
            (9.1, ResponseEnded("r1", "completed"), ["respond"]),
            (9.2, ResponseBegan("r2"), []),
            (18.9, None, []),
            (20.0, Voice("r2", "i2", 8000), ["audio 8000"]),
            (20.1, Played(8000), []),
        ]
    )


def test_a_session_that_was_slow_is_given_time_in_the_middle_of_a_reply_too() -> None:
    run(
        [
            (0.0, CallBegan(), []),
            *turn(1.0),
            (2.2, ResponseBegan("r1"), []),
            (11.5, Voice("r1", "i1", 800), ["audio 800"]),
            (11.6, Played(800), []),
            (11.7, Voice("r1", "i1", 800), ["audio 800"]),
            (11.8, AudioEnded("i1"), []),
            (11.8, ResponseEnded("r1", "completed"), []),
            (11.9, Played(1600), []),
            *turn(20.0),
            (21.5, ResponseBegan("r2"), []),
            (40.0, None, []),
            (40.3, None, [LEAVES]),
        ]
    )


def test_the_next_session_is_given_time_and_left_in_the_end() -> None:
    kept = Checkpoint(3, (CallerSaid("Hello?"),))
    began = CallBegan(resumed=True, checkpoint=kept, voice=VoiceProgress())
    run(
        [
            (0.0, began, ["write user -: Hello?", "respond"]),
            (5.0, None, ["retried", "respond"]),
            (10.0, None, ["retried"]),
            (12.0, None, ["respond"]),
            (17.0, None, ["retried"]),
            (22.0, None, ["respond"]),
            (27.0, None, []),
            (29.9, None, []),
            (30.0, None, [LEAVES]),
        ]
    )


def test_a_phrase_from_memory_is_no_answer_of_the_model() -> None:
    profile = quiet_profile(silence=Silence(after_s=15.0, prompt="Hello?"))
    script: list[Step] = [
        (0.0, CallBegan(), []),
        *turn(1.0),
        (2.1, ResponseBegan("r1"), []),
        (2.2, ResponseEnded("r1", "failed"), ["retried", "respond"]),
        (2.3, ResponseBegan("r2"), []),
        (2.4, ResponseEnded("r2", "failed"), ["retried"]),
        (4.4, None, ["respond"]),
        (4.5, ResponseBegan("r3"), []),
        (4.6, ResponseEnded("r3", "failed"), ["retried"]),
        (9.6, None, ["respond"]),
        (9.7, ResponseBegan("r4"), []),
        (9.8, ResponseEnded("r4", "failed"), []),
        (12.0, None, [LEAVES]),
        (24.8, None, ["prompted", "write assistant phrase_1: Hello?", "audio 800"]),
        (24.9, Played(800), ["model: Hello?"]),
        (32.0, None, []),
        (32.2, None, [LEAVES]),
    ]
    play(conversation_of(profile, {"Hello?": 800}), script)
