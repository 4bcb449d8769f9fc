"""Callers whom the session does not hear, as scripts with literal times."""

import pytest

from region_agent.core.hearing import (
    LONG_TURN_S,
    SURE_S,
    TURN_ENDS_S,
    UNHEARD_MS,
    Hearing,
)

FRAME_S = 0.02


def hearing() -> Hearing:
    listening = Hearing()
    assert not looks(listening, 0.0)
    return listening


def looks(listening: Hearing, now: float, *, quiet: bool = True) -> bool:
    return listening.observe(quiet=quiet, speaking=False, now=now)


def takes_turn(listening: Hearing, now: float) -> bool:
    return listening.observe(quiet=False, speaking=True, now=now)


def speaks(listening: Hearing, now: float, length_s: float) -> float:
    """Let the caller speak; return when they stop."""
    for _ in range(round(length_s / FRAME_S)):
        now += FRAME_S
        listening.voiced(1000 * FRAME_S, now=now)
        assert not looks(listening, now)
    return now


def test_who_speaks_and_waits_in_vain_is_not_heard() -> None:
    listening = hearing()
    stopped = speaks(listening, 5.0, 1.5)
    assert listening.next_deadline() == stopped + SURE_S
    assert not looks(listening, stopped + SURE_S - 0.01)
    assert looks(listening, stopped + SURE_S)
    assert listening.next_deadline() is None


def test_a_session_that_notices_the_turn_hears() -> None:
    listening = hearing()
    speaks(listening, 5.0, 1.5)
    listening.heard()
    assert listening.next_deadline() is None
    assert not looks(listening, 60.0, quiet=False)


def test_a_short_word_adds_up_with_the_next_one() -> None:
    listening = hearing()
    stopped = speaks(listening, 5.0, 0.6)
    assert listening.next_deadline() is None
    stopped = speaks(listening, stopped + 9.0, 0.6)
    assert looks(listening, stopped + SURE_S)


def test_a_click_long_ago_does_not_count() -> None:
    listening = hearing()
    stopped = speaks(listening, 5.0, 0.6)
    speaks(listening, stopped + 10.1, 0.6)
    assert listening.next_deadline() is None


def test_noise_goes_on_and_is_nobody() -> None:
    listening = hearing()
    stopped = speaks(listening, 5.0, 60.0)
    assert listening.next_deadline() == stopped + SURE_S


def test_voice_is_not_judged_while_somebody_speaks_anyway() -> None:
    listening = hearing()
    assert not looks(listening, 5.0, quiet=False)
    assert not listening.listens
    listening.voiced(10 * UNHEARD_MS, now=6.0)
    assert listening.next_deadline() is None


def test_it_is_found_out_while_a_prompt_is_played() -> None:
    listening = hearing()
    stopped = speaks(listening, 5.0, 1.5)
    assert looks(listening, stopped + SURE_S, quiet=False)


@pytest.mark.parametrize("resumed", [True, False])
def test_the_second_time_it_takes_three_times_as_much(*, resumed: bool) -> None:
    listening = hearing()
    if resumed:
        listening.resume()
    else:
        stopped = speaks(listening, 5.0, 1.1)
        assert looks(listening, stopped + SURE_S)
    speaks(listening, 20.0, 2.9)
    assert listening.next_deadline() is None
    speaks(listening, 23.0, 0.2)
    assert listening.next_deadline() is not None


def test_a_turn_whose_end_is_missed_is_over_some_time_after_the_voice() -> None:
    listening = hearing()
    assert not takes_turn(listening, 5.0)
    assert not listening.listens
    assert listening.next_deadline() == 5.0 + LONG_TURN_S
    assert not takes_turn(listening, 5.0 + LONG_TURN_S)
    assert listening.listens
    listening.voiced(20.0, now=11.0)
    assert not takes_turn(listening, 10.9 + TURN_ENDS_S)
    assert listening.next_deadline() == 11.0 + TURN_ENDS_S
    assert takes_turn(listening, 11.0 + TURN_ENDS_S)
    assert listening.next_deadline() == 11.0 + TURN_ENDS_S + LONG_TURN_S


def test_what_was_said_in_a_turn_was_not_said_in_vain() -> None:
    listening = hearing()
    listening.heard()
    assert not takes_turn(listening, 5.0)
    assert not takes_turn(listening, 5.0 + LONG_TURN_S)
    listening.voiced(2 * UNHEARD_MS, now=11.0)
    assert not looks(listening, 12.0)
    assert listening.next_deadline() is None
