"""The ceiling rises ahead of the calls, falls before they suffer, and holds."""

from dataclasses import replace
from itertools import product

import pytest

from backhaul.core.ceiling import (
    TRANSITIONS,
    WINDOW_S,
    Ceiling,
    CeilingConfig,
    CeilingInput,
    CeilingMoved,
    CeilingState,
    Window,
)

LEARNING, PRESSED = CeilingState.LEARNING, CeilingState.PRESSED
HOLDING, PROBING = CeilingState.HOLDING, CeilingState.PROBING

CONFIG = CeilingConfig(floor=30, most=300)


def window(calls: int, lag_s: float = 0.001) -> Window:
    return Window((lag_s,) * 10, frames=1000, late=0, calls=calls)


def late(calls: int) -> Window:
    return window(calls, lag_s=0.01)


def grown(calls: int) -> Ceiling:
    """Return one that has risen to carry *calls*."""
    ceiling, now = Ceiling(CONFIG), 0.0
    while ceiling.limit < calls:
        ceiling.handle(window(ceiling.limit), now=now)
        now += WINDOW_S
    return ceiling


def test_the_table_is_total() -> None:
    assert set(TRANSITIONS) == set(product(CeilingState, CeilingInput))


def test_it_begins_with_what_it_is_trusted_with() -> None:
    ceiling = Ceiling(CONFIG)
    assert (ceiling.limit, ceiling.target, ceiling.state) == (30, 24, LEARNING)
    assert ceiling.next_deadline() is None
    assert ceiling.expire(now=100.0) == ()


def test_it_rises_when_most_of_it_is_in_use() -> None:
    ceiling = Ceiling(CONFIG)
    assert ceiling.handle(window(23), now=0.0) == ()
    assert ceiling.handle(window(24), now=1.0) == (
        CeilingMoved(LEARNING, LEARNING, 38),
    )
    assert ceiling.handle(window(24), now=2.0) == ()


def test_it_rises_tenfold_in_a_dozen_seconds_and_no_further() -> None:
    ceiling = Ceiling(CONFIG)
    for second in range(12):
        ceiling.handle(window(ceiling.limit), now=float(second))
    assert ceiling.limit == 300
    assert ceiling.target == 240
    assert ceiling.handle(window(300), now=30.0) == ()


def test_it_does_not_rise_while_it_is_neither_calm_nor_late() -> None:
    ceiling = Ceiling(CONFIG)
    assert ceiling.handle(window(30, lag_s=0.005), now=0.0) == ()


def test_it_does_not_fall_for_one_pause() -> None:
    lags_s = (0.15, 0.05, *(0.001,) * 8)
    paused = Window(lags_s, frames=1000, late=200, calls=30)
    assert Ceiling(CONFIG).handle(paused, now=0.0) == (
        CeilingMoved(LEARNING, LEARNING, 38),
    )


def test_without_any_sample_it_is_calm() -> None:
    assert Ceiling(CONFIG).handle(Window((), 0, 0, 30), now=0.0)


def test_lag_brings_it_below_the_calls_there_are() -> None:
    ceiling = grown(100)
    assert ceiling.handle(late(80), now=0.0) == (CeilingMoved(LEARNING, PRESSED, 72),)


def test_late_frames_do_as_well() -> None:
    ceiling = grown(100)
    of_frames = replace(window(80), late=250)
    assert ceiling.handle(of_frames, now=0.0) == ()
    of_frames = replace(window(80), late=251)
    assert ceiling.handle(of_frames, now=1.0) == (CeilingMoved(LEARNING, PRESSED, 72),)


def test_the_same_calls_bring_it_no_lower_than_once() -> None:
    ceiling = grown(100)
    ceiling.handle(late(80), now=0.0)
    assert ceiling.handle(late(80), now=2.0) == ()
    assert ceiling.handle(late(70), now=4.0) == (CeilingMoved(PRESSED, PRESSED, 63),)


def test_it_never_falls_below_the_floor() -> None:
    ceiling = Ceiling(CONFIG)
    assert ceiling.handle(late(10), now=0.0) == (CeilingMoved(LEARNING, PRESSED, 30),)
    assert ceiling.target == 24


def test_it_holds_for_a_while_after_it_was_late() -> None:
    ceiling = grown(100)
    ceiling.handle(late(100), now=0.0)
    assert ceiling.next_deadline() is None
    assert ceiling.handle(window(90), now=2.0) == (CeilingMoved(PRESSED, HOLDING, 90),)
    assert ceiling.handle(window(90), now=4.0) == ()
    assert ceiling.next_deadline() == 10.0
    assert ceiling.expire(now=9.9) == ()
    assert ceiling.expire(now=10.0) == (CeilingMoved(HOLDING, PROBING, 90),)
    assert ceiling.next_deadline() is None


def test_it_probes_in_small_steps_after_that() -> None:
    ceiling = grown(100)
    ceiling.handle(late(100), now=0.0)
    ceiling.handle(window(90), now=2.0)
    ceiling.expire(now=10.0)
    assert ceiling.handle(window(90), now=11.0) == (CeilingMoved(PROBING, PROBING, 93),)
    assert ceiling.handle(late(93), now=12.0) == (CeilingMoved(PROBING, PRESSED, 83),)


def test_while_it_holds_it_may_be_late_again() -> None:
    ceiling = grown(100)
    ceiling.handle(late(100), now=0.0)
    ceiling.handle(window(90), now=2.0)
    assert ceiling.handle(late(90), now=4.0) == (CeilingMoved(HOLDING, PRESSED, 81),)
    ceiling.handle(window(81), now=6.0)
    assert ceiling.next_deadline() == 14.0


@pytest.mark.parametrize("carries", [40, 100, 250])
def test_twice_the_calls_a_process_carries_settle_just_below_that(carries: int) -> None:
    """Its lag is that of a queue: it grows without bound as the load nears one."""
    ceiling, calls, now, high = Ceiling(CONFIG), 0, 0.0, 0
    seen: list[int] = []
    while now < 600.0:
        now += WINDOW_S
        calls -= calls // 90
        calls = min(calls + 10, max(ceiling.limit, calls))
        load = min(calls / (1.4 * carries), 0.99)
        ceiling.handle(window(calls, lag_s=0.0024 * load / (1 - load)), now=now)
        ceiling.expire(now=now)
        high = max(high, calls)
        if now > 300.0:
            seen.append(calls)
    assert high <= 1.25 * carries
    assert min(seen) >= 0.75 * carries
    assert max(seen) <= 1.1 * carries


@pytest.mark.parametrize(("floor", "most"), [(-1, 10), (11, 10)])
def test_figures_that_contradict_each_other_are_refused(floor: int, most: int) -> None:
    with pytest.raises(ValueError, match="floor"):
        CeilingConfig(floor=floor, most=most)


@pytest.mark.parametrize(
    ("target_calls", "max_calls", "floor"), [(50, 300, 50), (50, 20, 20)]
)
def test_nobody_is_trusted_with_more_calls_than_the_most(
    target_calls: int, max_calls: int, floor: int
) -> None:
    config = CeilingConfig.between(target_calls, max_calls)
    assert (config.floor, config.most) == (floor, max_calls)
