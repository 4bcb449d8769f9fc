"""Which keys reach the model, and how many."""

import pytest

from edge.core.digit_gate import MAX_DIGITS_PER_S, DigitGate, DigitOutcome


@pytest.mark.parametrize("digit", "0123456789*#ABCD")
def test_every_key_of_a_telephone_is_delivered(digit: str) -> None:
    assert DigitGate().check(digit, now=0.0) is DigitOutcome.DELIVERED


@pytest.mark.parametrize("digit", ["", "a", "E", "12", " 1", "w", "+", "٣", "1" * 9999])
def test_anything_else_is_unusable(digit: str) -> None:
    assert DigitGate().check(digit, now=0.0) is DigitOutcome.UNUSABLE


def test_a_flood_is_cut_to_so_many_in_any_second() -> None:
    gate = DigitGate()
    outcomes = [gate.check("5", now=1.0 + number / 100) for number in range(100)]
    delivered = [outcome is DigitOutcome.DELIVERED for outcome in outcomes]
    assert delivered == [True] * MAX_DIGITS_PER_S + [False] * 80
    assert gate.check("x", now=1.99) is DigitOutcome.UNUSABLE
    assert gate.check("5", now=2.0) is DigitOutcome.DELIVERED
    assert gate.check("5", now=2.0) is DigitOutcome.FLOOD
    assert gate.check("5", now=2.02) is DigitOutcome.DELIVERED
