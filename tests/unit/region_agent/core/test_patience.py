"""How long a caller waits for the voice, as scripts with literal times."""

from backhaul.core.checkpoint import CallerSaid, Checkpoint, VoiceProgress
from backhaul.core.messages import Played
from region_agent.core.conversation_events import (
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


def waits(patience: Patience, now: float, position: int = 0) -> bool:
    return patience.observe(position, waiting=True, now=now)


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


def test_what_is_waited_adds_up_until_the_voice_is_heard() -> None:
    patience = Patience()
    for start in (0.0, 10.0, 20.0):
        assert not waits(patience, start)
        assert not patience.observe(0, waiting=False, now=start + 3.0)
        assert patience.next_deadline() is None
    assert not waits(patience, 30.0)
    assert patience.next_deadline() == 31.0
    assert not patience.observe(160, waiting=False, now=30.5)
    assert not waits(patience, 40.0, 160)
    assert patience.next_deadline() == 40.0 + 2 * 9.5


def test_a_voice_that_is_heard_begins_the_waiting_anew() -> None:
    patience = Patience()
    assert not waits(patience, 0.0)
    assert not waits(patience, 9.0, 160)
    assert patience.next_deadline() == 9.0 + 2 * 9.0
    assert not waits(patience, 9.0, 320)
    assert patience.next_deadline() == 9.0 + PATIENCE_S


def test_a_session_that_comes_after_another_is_given_more_time() -> None:
    patience = Patience()
    patience.resume(800)
    assert not waits(patience, 0.0, 800)
    assert patience.next_deadline() == 3 * PATIENCE_S
    assert not waits(patience, 25.0, 960)
    assert patience.next_deadline() == 25.0 + 2 * 25.0
    assert not waits(patience, 26.0, 1120)
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


def test_the_next_session_is_given_time() -> None:
    kept = Checkpoint(3, (CallerSaid("Hello?"),))
    began = CallBegan(resumed=True, checkpoint=kept, voice=VoiceProgress())
    run(
        [
            (0.0, began, ["write user -: Hello?", "respond"]),
            (5.0, None, ["retried", "respond"]),
            (10.0, None, ["retried"]),
            (12.0, None, ["respond"]),
        ]
    )
