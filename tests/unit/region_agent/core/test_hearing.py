"""What a session misses of its caller, as scripts; times are those of the audio."""

import itertools

import pytest

from backhaul.core.profile import TurnDetection, VadKind
from edge.core.audio_ring import MAX_RING_BYTES
from region_agent.core.conversation_events import CallerMissed, CallerVoiced
from region_agent.core.hearing import (
    LONG_TURN_MS,
    SURE_MS,
    UNHEARD_MS,
    Hearing,
    Line,
)

VOICE, SILENCE = b"v" * 160, b"s" * 160
FRAME_MS = 20.0
MISSED = CallerMissed()


def voiced_ms(audio: bytes) -> float:
    return FRAME_MS if audio == VOICE else 0.0


def never(_: bytes) -> float:
    raise AssertionError("nobody wants to know")


def hearing(detection: TurnDetection | None = None) -> Hearing:
    listening = Hearing(detection or TurnDetection())
    listening.observe(Line.QUIET)
    return listening


CLOCK = itertools.count(1000.0, FRAME_MS / 1000)
ALWAYS = 1e9


def listens(
    listening: Hearing,
    audio: bytes,
    now: float,
    *,
    in_doubt: bool = False,
    heard_at: float = ALWAYS,
) -> CallerMissed | CallerVoiced | None:
    return listening.listen(
        audio, voiced_ms, in_doubt=in_doubt, heard_at=heard_at, now=now
    )


def hears(
    listening: Hearing, audio: bytes, length_ms: float, *, heard_at: float = ALWAYS
) -> float | None:
    """Let audio go by; return after how much of it (ms) something is missed."""
    for number in range(1, round(length_ms / FRAME_MS) + 1):
        if listens(listening, audio, next(CLOCK), heard_at=heard_at) == MISSED:
            return number * FRAME_MS
    return None


@pytest.mark.parametrize("length_ms", [1000, 3500, 9000])
def test_who_speaks_and_waits_in_vain_is_missed_once(length_ms: float) -> None:
    listening = hearing()
    assert not listening.unanswered
    assert hears(listening, VOICE, length_ms) is None
    assert listening.unanswered
    assert hears(listening, SILENCE, 60_000) == SURE_MS
    # Until another session is there, the edge must not let go of it.
    assert listening.unanswered
    assert hears(listening, SILENCE, 60_000) is None
    assert listening.unanswered
    listening.observe(Line.TURN)
    assert not listening.unanswered


def test_a_turn_that_is_noticed_is_not_missed() -> None:
    listening = hearing()
    assert hears(listening, VOICE, 1500) is None
    listening.observe(Line.TURN)
    assert not listening.unanswered
    listening.observe(Line.QUIET)
    assert hears(listening, SILENCE, 60_000) is None


def test_a_key_that_is_pressed_was_heard() -> None:
    listening = hearing()
    assert hears(listening, VOICE, 1500) is None
    listening.forget()
    assert hears(listening, SILENCE, 60_000) is None


def test_who_says_hello_and_answers_the_prompt_is_missed() -> None:
    listening = hearing()
    assert hears(listening, VOICE, 500) is None
    assert hears(listening, SILENCE, 30_000) is None
    listening.observe(Line.VOICE)
    assert hears(listening, VOICE, 2000) is None
    listening.observe(Line.QUIET)
    assert hears(listening, VOICE, 700) is None
    assert hears(listening, SILENCE, 4000) == SURE_MS


def test_what_was_said_long_ago_does_not_count() -> None:
    listening = hearing()
    for _ in range(50):
        assert hears(listening, VOICE, 500) is None
        assert hears(listening, SILENCE, 51_000) is None
    assert not listening.unanswered


def test_clicks_are_nobody() -> None:
    listening = hearing()
    for _ in range(1000):
        assert hears(listening, VOICE, 80) is None
        assert hears(listening, SILENCE, 200) is None
    assert not listening.unanswered


def test_noise_goes_on_and_is_nobody() -> None:
    listening = hearing()
    assert hears(listening, VOICE, 60_000) is None
    assert hears(listening, SILENCE, 60_000) is None
    assert not listening.unanswered


def test_what_is_said_while_something_is_under_way_waits_for_quiet() -> None:
    listening = hearing()
    listening.observe(Line.BUSY)
    assert hears(listening, VOICE, 1500) is None
    assert hears(listening, SILENCE, 60_000) is None
    assert listening.unanswered
    listening.observe(Line.QUIET)
    assert hears(listening, SILENCE, 60_000) == SURE_MS


def test_a_session_that_says_nothing_is_not_deaf() -> None:
    listening = hearing()
    before = next(CLOCK)
    assert hears(listening, VOICE, 1500, heard_at=before) is None
    assert hears(listening, SILENCE, 60_000, heard_at=before) is None
    assert hears(listening, SILENCE, 60_000) == FRAME_MS


def test_what_was_said_before_the_caller_went_away_is_forgotten() -> None:
    listening = hearing()
    assert hears(listening, VOICE, 1500) is None
    listening.observe(Line.AWAY)
    assert not listening.unanswered
    listening.observe(Line.QUIET)
    assert hears(listening, SILENCE, 60_000) is None


def test_nothing_is_judged_while_something_else_goes_on() -> None:
    listening = hearing()
    listening.observe(Line.VOICE)
    told = listening.listen(VOICE, never, in_doubt=False, heard_at=ALWAYS, now=1.0)
    assert told is None


def test_what_comes_all_at_once_cannot_be_answered_before() -> None:
    listening = hearing()
    heard = [VOICE] * 100 + [SILENCE] * 1000
    told = [listens(listening, one, 5.0) for one in heard]
    assert told == [None] * len(heard)
    assert hears(listening, SILENCE, 60_000) is not None


def test_nothing_is_missed_while_nothing_comes() -> None:
    listening = hearing()
    for number in range(100):
        listens(listening, VOICE, number * FRAME_MS / 1000)
    late = [SILENCE] * 100
    told = [listens(listening, one, 60.0) for one in late]
    assert told == [None] * len(late)


def test_who_is_in_doubt_is_told_of_voice_and_of_nothing_else() -> None:
    listening = hearing()
    listening.observe(Line.TURN)
    told = [listens(listening, one, 1.0, in_doubt=True) for one in (VOICE, SILENCE)]
    assert told == [CallerVoiced(FRAME_MS), None]


@pytest.mark.parametrize(
    ("detection", "ends_ms"),
    [
        (TurnDetection(silence_duration_ms=800), 6800.0),
        (TurnDetection(silence_duration_ms=12_000), 14_000.0),
        (TurnDetection(type=VadKind.SEMANTIC, eagerness="low"), 10_000.0),
        (TurnDetection(type=VadKind.SEMANTIC, eagerness="high"), 8000.0),
        (TurnDetection(type=VadKind.SEMANTIC), 10_000.0),
    ],
)
def test_a_turn_ends_some_time_after_its_last_word(
    detection: TurnDetection, ends_ms: float
) -> None:
    listening = hearing(detection)
    listening.observe(Line.TURN)
    told = listening.listen(VOICE, never, in_doubt=False, heard_at=ALWAYS, now=1.0)
    assert told is None
    assert hears(listening, SILENCE, LONG_TURN_MS - FRAME_MS) is None
    assert hears(listening, SILENCE, ends_ms - 200) is None
    assert hears(listening, VOICE, 200) is None
    assert hears(listening, SILENCE, 60_000) == ends_ms


def test_what_was_said_in_a_turn_was_not_said_in_vain() -> None:
    listening = hearing()
    listening.observe(Line.TURN)
    assert hears(listening, VOICE, LONG_TURN_MS + 2 * UNHEARD_MS) is None
    assert not listening.unanswered
    listening.observe(Line.QUIET)
    assert hears(listening, SILENCE, 60_000) is None


def test_who_stays_in_the_session_must_miss_more_of_it() -> None:
    listening = hearing()
    assert hears(listening, VOICE, UNHEARD_MS) is None
    assert hears(listening, SILENCE, SURE_MS) == SURE_MS
    assert hears(listening, VOICE, 2 * UNHEARD_MS) is None
    assert hears(listening, SILENCE, SURE_MS) is None
    assert hears(listening, VOICE, 2 * UNHEARD_MS) is None
    assert hears(listening, SILENCE, SURE_MS) == SURE_MS
    listening.observe(Line.TURN)
    assert hears(listening, VOICE, LONG_TURN_MS) is None
    assert hears(listening, SILENCE, 60_000) == 9 * 6500


def test_of_a_turn_of_usual_length_the_edge_still_has_all() -> None:
    for eagerness in ("low", "medium", "high"):
        detection = TurnDetection(type=VadKind.SEMANTIC, eagerness=eagerness)
        listening = hearing(detection)
        listening.observe(Line.TURN)
        assert hears(listening, VOICE, LONG_TURN_MS) is None
        ended_ms = hears(listening, SILENCE, 60_000)
        assert ended_ms is not None
        assert (LONG_TURN_MS + ended_ms) * 8 < MAX_RING_BYTES
