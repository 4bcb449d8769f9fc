"""Loss and lateness of what arrives on a link, from the stamps on its batches."""

import pytest

from backhaul.core.arrival import ArrivalEstimator, pack_stamp, unpack_stamp
from backhaul.core.messages import Receipt
from backhaul.errors import RemoteProtocolError


def arrive(
    estimator: ArrivalEstimator,
    numbers: range | list[int],
    *,
    late_s: float = 0.0,
    offset_s: float = 1234.5,
) -> None:
    """Batches go out every 10 ms, and take 40 ms or longer."""
    for number in numbers:
        sent_at = 50.0 + number * 0.01
        ticks = unpack_stamp(pack_stamp(sent_at + offset_s))
        estimator.on_stamp(number, ticks, now=sent_at + 0.04 + late_s)


def receipt(estimator: ArrivalEstimator) -> Receipt:
    found = estimator.receipt()
    assert found is not None
    return found


def test_nothing_is_known_before_anything_arrives() -> None:
    assert ArrivalEstimator().receipt() is None


def test_a_good_path_loses_nothing_and_is_never_late() -> None:
    estimator = ArrivalEstimator()
    arrive(estimator, range(500))
    assert receipt(estimator) == Receipt(0.0, 0.0005, 0.0005)


def test_gaps_are_loss_and_disorder_is_not() -> None:
    estimator = ArrivalEstimator()
    arrive(estimator, [number for number in range(1000) if number % 10 != 5])
    assert receipt(estimator).loss == pytest.approx(0.1, abs=0.001)
    mixed = ArrivalEstimator()
    arrive(mixed, [1, 0, 3, 2, 5, 4])
    assert receipt(mixed).loss < 0.2


def test_lateness_is_counted_from_the_fastest_whatever_the_clocks_say() -> None:
    estimator = ArrivalEstimator()
    arrive(estimator, range(960), offset_s=-49.0)
    arrive(estimator, range(960, 1000), late_s=0.09, offset_s=-49.0)
    found = receipt(estimator)
    assert found.late_p50_s == pytest.approx(0.0005)
    assert found.late_p99_s == pytest.approx(0.1)


def test_very_late_is_said_as_two_seconds() -> None:
    estimator = ArrivalEstimator()
    arrive(estimator, [0])
    arrive(estimator, [1, 2, 3], late_s=7.0)
    assert receipt(estimator).late_p99_s == pytest.approx(2.0)


def test_what_was_long_ago_is_forgotten() -> None:
    estimator = ArrivalEstimator()
    arrive(estimator, [number for number in range(1000) if number % 2])
    arrive(estimator, range(1001, 3000))
    assert receipt(estimator).loss == pytest.approx(0.0, abs=0.001)


def test_loss_that_sets_in_is_told_within_a_second() -> None:
    estimator = ArrivalEstimator()
    arrive(estimator, range(1500))
    arrive(estimator, [number for number in range(1500, 1600) if number % 10 >= 3])
    assert receipt(estimator).loss >= 0.2


def test_a_little_loss_is_told_as_what_it_is_in_the_long_run() -> None:
    estimator = ArrivalEstimator()
    arrive(estimator, range(1500))
    arrive(estimator, [number for number in range(1500, 1600) if number % 20])
    assert receipt(estimator).loss < 0.01


def test_few_batches_do_not_tell_of_sudden_loss() -> None:
    estimator = ArrivalEstimator()
    arrive(estimator, range(900))
    for number in (900, 903):  # a quiet link has a heartbeat now and then
        ticks = unpack_stamp(pack_stamp(59.0 + number / 300))
        estimator.on_stamp(number, ticks, now=62.0 + number / 300)
    assert receipt(estimator).loss < 0.01


def test_the_clock_of_a_stamp_wraps() -> None:
    estimator = ArrivalEstimator()
    turn_s = (1 << 32) / 10_000 - 50.5
    arrive(estimator, range(100), offset_s=turn_s)
    assert receipt(estimator).late_p99_s == pytest.approx(0.0005)


@pytest.mark.parametrize("payload", [b"", b"abc", b"12345"])
def test_what_is_no_stamp_is_refused(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        unpack_stamp(payload)
