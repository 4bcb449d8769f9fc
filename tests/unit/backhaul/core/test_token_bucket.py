from backhaul.core.token_bucket import TokenBucket


def test_a_burst_is_granted_and_then_the_rate() -> None:
    bucket = TokenBucket(rate_per_s=2.0, burst=3, now=100.0)
    assert [bucket.try_take(now=100.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.ready_at == 100.5
    assert not bucket.try_take(now=100.4)
    assert bucket.try_take(now=100.5)
    assert not bucket.try_take(now=100.5)


def test_rest_refills_no_more_than_a_burst() -> None:
    bucket = TokenBucket(rate_per_s=10.0, burst=2, now=0.0)
    assert [bucket.try_take(now=1000.0) for _ in range(3)] == [True, True, False]


def test_several_tokens_are_granted_together_or_not_at_all() -> None:
    bucket = TokenBucket(rate_per_s=1.0, burst=4, now=0.0)
    assert bucket.try_take(2.5, now=0.0)
    assert not bucket.try_take(2.0, now=0.0)
    assert bucket.try_take(1.5, now=0.0)
    assert not bucket.try_take(0.5, now=0.25)
    assert bucket.try_take(0.5, now=0.5)
    assert not bucket.try_take(5.0, now=100.0)


def test_an_emptied_bucket_grants_one_by_one_from_then_on() -> None:
    bucket = TokenBucket(rate_per_s=2.0, burst=3, now=0.0)
    bucket.empty_until(5.0)
    assert bucket.ready_at == 5.0
    assert [bucket.try_take(now=5.0), bucket.try_take(now=5.4)] == [True, False]
    assert bucket.try_take(now=5.5)


def test_emptying_it_never_fills_it() -> None:
    bucket = TokenBucket(rate_per_s=2.0, burst=2, now=0.0)
    for _ in range(2):
        assert bucket.try_take(now=10.0)
    bucket.empty_until(1.0)
    assert not bucket.try_take(now=10.0)
