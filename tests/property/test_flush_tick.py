"""What holds of the wait for others, whatever leaves and when."""

import math

from hypothesis import given
from hypothesis import strategies as st

from backhaul.core.flush_tick import MAX_TICK_S, FlushTick

batches = st.lists(st.tuples(st.floats(0, 2), st.integers(0, 5000)), max_size=50)


@given(batches, st.floats(0, 5))
def test_a_wait_is_whole_milliseconds_and_bounded(
    sent: list[tuple[float, int]], later_s: float
) -> None:
    tick, now = FlushTick(now=0.0), 0.0
    for pause_s, frames in sent:
        now += pause_s
        tick.passed(frames)
        tick.wait_s(now=now)
    wait_s = tick.wait_s(now=now + later_s)
    assert 0.0 <= wait_s <= MAX_TICK_S
    assert math.isclose(wait_s * 1000, round(wait_s * 1000))
    tick.wait_s(now=now + later_s + 5)
    assert tick.wait_s(now=now + later_s + 6) == 0.0


@given(batches, st.integers(1, 5000))
def test_who_sends_more_waits_no_shorter(
    sent: list[tuple[float, int]], more: int
) -> None:
    less_busy, busier, now = FlushTick(now=0.0), FlushTick(now=0.0), 0.0
    for pause_s, frames in sent:
        now += pause_s
        less_busy.passed(frames)
        busier.passed(frames + more)
        assert busier.wait_s(now=now) >= less_busy.wait_s(now=now)
