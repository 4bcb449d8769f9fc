"""Samples are smoothed, round trips as RFC 9002 says."""

import pytest

from backhaul.core.estimators import RttEstimator, SmoothedMean


def test_before_the_first_sample_nothing_is_known() -> None:
    assert RttEstimator().smoothed_rtt_s is None


def test_the_first_sample_is_taken_as_it_is() -> None:
    estimator = RttEstimator()
    estimator.add(0.08)
    assert estimator.smoothed_rtt_s == 0.08
    assert estimator.jitter_s == 0.04


def test_later_samples_move_it_by_an_eighth_and_the_jitter_by_a_quarter() -> None:
    estimator = RttEstimator()
    estimator.add(0.08)
    estimator.add(0.16)
    assert estimator.smoothed_rtt_s == pytest.approx(0.09)
    assert estimator.jitter_s == pytest.approx(0.04 + (0.08 - 0.04) / 4)


def test_a_lasting_change_is_believed_in_the_end() -> None:
    estimator = RttEstimator()
    for sample_s in [0.02] * 10 + [0.2] * 100:
        estimator.add(sample_s)
    assert estimator.smoothed_rtt_s == pytest.approx(0.2, rel=1e-3)
    assert estimator.jitter_s == pytest.approx(0.0, abs=1e-3)


def test_a_mean_is_what_was_expected_until_something_was_measured() -> None:
    mean = SmoothedMean(1.0)
    assert (mean.value, mean.samples) == (1.0, 0)
    mean.add(0.5)
    assert (mean.value, mean.samples) == (0.5, 1)
    mean.add(1.3)
    assert mean.value == pytest.approx(0.6)
