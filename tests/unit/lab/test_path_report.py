"""Counts and lateness of an emulated path."""

from lab.path_report import Lateness, Tally
from lab.path_rules import Drop


def test_nothing_was_not_late() -> None:
    assert Lateness().percentile_us(99) == 0
    assert Lateness().largest_us == 0


def test_percentiles_are_right_to_a_bucket_and_never_beyond_the_largest() -> None:
    lateness = Lateness()
    for us in range(1, 1001):
        lateness.add(us / 1e6)
    assert lateness.percentile_us(50) in {500, 510}
    assert lateness.percentile_us(99) in {990, 1000}
    assert lateness.percentile_us(100) == lateness.largest_us == 1000


def test_what_is_later_than_can_be_counted_is_the_largest() -> None:
    lateness = Lateness()
    for late_s in (0.001, 0.5, 0.7):
        lateness.add(late_s)
    assert lateness.percentile_us(99) == 700_000


def test_a_report_tells_the_reasons_apart() -> None:
    tally = Tally(taken=10, delivered=4)
    tally.dropped[Drop.LOST] = 3
    tally.dropped[Drop.BLOCKED] = 2
    tally.dropped[Drop.QUEUE_FULL] = 1
    report = tally.report(7)
    assert (report.lost, report.blocked, report.queue_full) == (3, 2, 1)
    assert (report.taken, report.delivered, report.overflowed) == (10, 4, 7)
