"""How many calls share a link, and when they leave it."""

import pytest

from edge.core.link_load import (
    LinkStanding,
    MoveReason,
    PathQuality,
    ShortestLately,
    calls_to_move,
    good_uses,
    is_stalled,
)


@pytest.mark.parametrize(
    ("loss", "late_p99_s", "uses"),
    [
        (0.0, 0.0, 100),
        (0.0009, 0.0, 100),
        (0.001, 0.0, 6),
        (0.029, 0.0, 6),
        (0.03, 0.0, 1),
        (0.0, 0.063, 100),
        (0.0, 0.065, 6),
        (0.03, 0.5, 1),
    ],
)
def test_calls_on_a_tcp_link(loss: float, late_p99_s: float, uses: int) -> None:
    quality = PathQuality(loss, late_p99_s, rtt_s=0.08)
    assert good_uses(quality, over_tcp=True) == uses
    assert good_uses(quality, over_tcp=False) == 200


def test_a_little_lateness_on_a_short_path_proves_no_loss() -> None:
    quality = PathQuality(late_p99_s=0.045, rtt_s=0.001)
    assert good_uses(quality, over_tcp=True) == 100


@pytest.mark.parametrize(
    ("unanswered_s", "rtt_s", "stalled"),
    [
        (0.0, 0.01, False),
        (0.5, 0.01, False),
        (0.51, 0.01, True),
        (0.84, 0.2, False),
        (0.86, 0.2, True),
    ],
)
def test_a_link_stalls_after_a_multiple_of_its_round_trip(
    unanswered_s: float, rtt_s: float, stalled: bool
) -> None:
    assert is_stalled(unanswered_s, rtt_s=rtt_s, interval_s=0.25) is stalled


def standing(
    uses: int = 4,
    max_uses: int = 6,
    *,
    stalled: bool = False,
    draining: bool = False,
    chosen: bool = True,
) -> LinkStanding:
    return LinkStanding(uses, max_uses, stalled, draining, chosen)


@pytest.mark.parametrize(
    ("link", "wanted"),
    [
        (standing(), None),
        (standing(stalled=True), (MoveReason.STALL, 4)),
        (standing(draining=True), (MoveReason.AGE, 4)),
        (standing(chosen=False), (MoveReason.CHOICE, 4)),
        (standing(uses=9), (MoveReason.SPREAD, 3)),
        (standing(uses=9, stalled=True, chosen=False), (MoveReason.STALL, 9)),
        (standing(uses=0, stalled=True, draining=True, chosen=False), None),
    ],
)
def test_calls_leave_for_the_gravest_reason(
    link: LinkStanding, wanted: tuple[MoveReason, int] | None
) -> None:
    assert calls_to_move(link) == wanted


def test_the_delay_of_a_path_is_half_a_round_trip_and_what_comes_on_top() -> None:
    quality = PathQuality(late_p99_s=0.02, rtt_s=0.08)
    assert quality.delay_p99_s == pytest.approx(0.06)


def test_the_shortest_round_trip_is_that_of_the_last_seconds() -> None:
    shortest = ShortestLately()
    steps = (
        (100.0, 0.01, 0.01),
        (103.9, 0.20, 0.01),
        (104.0, 0.13, 0.01),
        (107.9, 0.12, 0.01),
        (108.0, 0.13, 0.12),
        (109.0, 0.02, 0.02),
        (116.0, 0.12, 0.12),
    )
    for now, rtt_s, wanted_s in steps:
        assert shortest.note(rtt_s, now=now) == wanted_s, now
