"""Protection is had while calls are live, renewed in time, and given back."""

import random

import pytest

from backhaul.core.task_protection import (
    PROTECTION_S,
    TRANSITIONS,
    ProtectionEvent,
    ProtectionState,
    SetProtection,
    TaskProtection,
)

CAME, ENDED = ProtectionEvent.CALLS_CAME, ProtectionEvent.CALLS_ENDED
CONFIRMED, FAILED = ProtectionEvent.CONFIRMED, ProtectionEvent.FAILED
PROTECT, RELEASE = SetProtection(True), SetProtection(False)
HALF_S = PROTECTION_S / 2

Step = tuple[float, ProtectionEvent | None, tuple[SetProtection, ...]]


def play(*steps: Step) -> TaskProtection:
    """Feed events (None: the time passes), and compare what is asked."""
    protection = TaskProtection(rng=random.Random(1))
    for at, event, expected in steps:
        if event is None:
            asked = protection.expire(now=at)
        else:
            asked = protection.handle(event, now=at)
        assert asked == expected, (at, event)
    return protection


def test_a_call_is_protected_and_its_end_gives_it_back_after_a_while() -> None:
    protection = play(
        (0, CAME, (PROTECT,)),
        (1, CONFIRMED, ()),
        (60, ENDED, ()),
        (69.9, None, ()),
        (70, None, (RELEASE,)),
        (71, CONFIRMED, ()),
    )
    assert protection.state is ProtectionState.FREE
    assert protection.next_deadline() is None


def test_calls_that_come_and_go_ask_nothing_anew() -> None:
    protection = play(
        (0, CAME, (PROTECT,)),
        (1, CONFIRMED, ()),
        (5, ENDED, ()),
        (14, CAME, ()),
        (20, ENDED, ()),
        (25, CAME, ()),
    )
    assert protection.state is ProtectionState.HELD
    assert protection.next_deadline() == 1 + HALF_S


def test_protection_is_renewed_at_half_time() -> None:
    play(
        (0, CAME, (PROTECT,)),
        (1, CONFIRMED, ()),
        (HALF_S, None, ()),
        (1 + HALF_S, None, (PROTECT,)),
        (2 + HALF_S, CONFIRMED, ()),
        (2 + 2 * HALF_S, None, (PROTECT,)),
    )


def test_a_refusal_is_asked_again_ever_later_while_calls_are_live() -> None:
    protection = play((0, CAME, (PROTECT,)), (0, FAILED, ()))
    waits: list[float] = []
    now = 0.0
    for _ in range(8):
        deadline = protection.next_deadline()
        assert deadline is not None
        waits.append(deadline - now)
        now = deadline
        assert protection.expire(now=now) == (PROTECT,)
        assert protection.handle(FAILED, now=now) == ()
    assert waits[0] <= 1
    assert 30 <= waits[-1] <= 60
    assert protection.handle(ENDED, now=now) == ()


def test_a_call_that_ends_while_protection_is_asked_releases_what_was_granted() -> None:
    play(
        (0, CAME, (PROTECT,)),
        (1, ENDED, ()),
        (2, CONFIRMED, ()),
        (12, None, (RELEASE,)),
    )
    # It may have been granted although the answer was lost.
    protection = play((0, CAME, (PROTECT,)), (1, ENDED, ()), (5, FAILED, ()))
    assert protection.expire(now=60) == (RELEASE,)


def test_a_call_that_comes_back_meanwhile_asks_nothing_twice() -> None:
    protection = play(
        (0, CAME, (PROTECT,)), (1, ENDED, ()), (2, CAME, ()), (3, CONFIRMED, ())
    )
    assert protection.state is ProtectionState.HELD


def test_a_call_that_comes_during_a_release_is_protected_after_it() -> None:
    begin: tuple[Step, ...] = (
        (0, CAME, (PROTECT,)),
        (1, CONFIRMED, ()),
        (2, ENDED, ()),
        (12, None, (RELEASE,)),
        (13, CAME, ()),
    )
    play(*begin, (14, CONFIRMED, (PROTECT,)))
    play(*begin, (14, FAILED, (PROTECT,)))
    play(*begin, (14, ENDED, ()), (15, CONFIRMED, ()))


def test_after_a_release_that_failed_nobody_trusts_what_is_held() -> None:
    protection = play(
        (0, CAME, (PROTECT,)),
        (1, CONFIRMED, ()),
        (2, ENDED, ()),
        (12, None, (RELEASE,)),
        (17, FAILED, ()),
        (18, CAME, ()),
    )
    assert protection.expire(now=18) == (PROTECT,)


def test_nothing_is_due_without_calls() -> None:
    assert play((5, None, ())).next_deadline() is None


@pytest.mark.parametrize("state", ProtectionState)
@pytest.mark.parametrize("event", ProtectionEvent)
def test_the_table_is_total(state: ProtectionState, event: ProtectionEvent) -> None:
    assert (state, event) in TRANSITIONS
