"""Waits between tries: they grow, they are jittered, they are bounded."""

import random

from backhaul.core.backoff import Backoff


def test_waits_double_up_to_a_bound_with_jitter_below() -> None:
    backoff = Backoff(first_s=0.1, factor=2.0, max_s=1.0)
    rng = random.Random(3)
    for failures, bound in ((1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (5, 1.0), (9, 1.0)):
        waits = [backoff.wait_s(failures, rng=rng) for _ in range(200)]
        assert bound / 2 <= min(waits) < bound * 0.55
        assert bound * 0.95 < max(waits) <= bound


def test_any_number_of_failures_is_no_error() -> None:
    wait_s = Backoff(max_s=10.0).wait_s(10**9, rng=random.Random(1))
    assert 5.0 <= wait_s <= 10.0
