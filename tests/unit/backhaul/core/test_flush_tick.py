"""How long frames wait for others."""

import pytest

from backhaul.core.flush_tick import MAX_TICK_S, FlushTick


def after_a_second_of(frames_per_s: int) -> FlushTick:
    tick = FlushTick(now=0.0)
    for quarter in range(1, 5):
        tick.passed(frames_per_s // 4)
        tick.wait_s(now=quarter / 4)
    return tick


def test_nobody_waits_in_an_idle_process() -> None:
    assert FlushTick(now=0.0).wait_s(now=0.0) == 0.0


@pytest.mark.parametrize(
    ("frames_per_s", "wait_s"),
    [
        (0, 0.0),
        (996, 0.0),
        (1_000, 0.001),
        (2_800, 0.002),
        (5_000, MAX_TICK_S),
        (10_000, MAX_TICK_S),
        (100_000, MAX_TICK_S),
    ],
)
def test_the_wait_follows_the_rate(frames_per_s: int, wait_s: float) -> None:
    assert after_a_second_of(frames_per_s).wait_s(now=1.0) == wait_s


def test_a_process_that_fell_silent_sends_at_once_again() -> None:
    tick = after_a_second_of(10_000)
    assert tick.wait_s(now=1.1) == MAX_TICK_S
    assert tick.wait_s(now=1.3) == 0.0


def test_one_large_batch_does_not_make_a_rate() -> None:
    tick = FlushTick(now=0.0)
    tick.passed(200)
    assert tick.wait_s(now=0.0) == 0.0
    assert tick.wait_s(now=0.25) == 0.0


def test_who_only_listened_knows_the_rate() -> None:
    tick = FlushTick(now=0.0)
    tick.passed(30_000)
    assert tick.wait_s(now=10.0) == 0.003


def test_a_clock_read_late_changes_nothing() -> None:
    tick = after_a_second_of(10_000)
    assert tick.wait_s(now=0.5) == MAX_TICK_S
