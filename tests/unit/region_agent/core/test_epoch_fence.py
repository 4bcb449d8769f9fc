from region_agent.core.epoch_fence import EpochFence


def test_who_comes_with_an_earlier_epoch_is_stale() -> None:
    fence = EpochFence()
    assert fence.admit("CA1", 2)
    assert fence.admit("CA1", 2)
    assert fence.is_stale("CA1", 1)
    assert not fence.admit("CA1", 1)
    assert fence.admit("CA1", 3)
    assert fence.is_stale("CA1", 2)
    assert not fence.is_stale("CA1", 4)


def test_calls_do_not_touch_each_other() -> None:
    fence = EpochFence()
    assert fence.admit("CA1", 5)
    assert fence.admit("CA2", 1)
    assert not fence.is_stale("CA3", 1)


def test_asking_remembers_nothing() -> None:
    fence = EpochFence()
    assert not fence.is_stale("CA1", 7)
    assert fence.admit("CA1", 1)


def test_who_was_placed_longest_ago_is_forgotten() -> None:
    fence = EpochFence(max_calls=2)
    for call_sid in ("CA1", "CA2", "CA1", "CA3"):
        assert fence.admit(call_sid, 9)
    assert fence.is_stale("CA1", 1)
    assert not fence.is_stale("CA2", 1)
    assert fence.is_stale("CA3", 1)


def test_the_latest_epoch_is_known_of_calls_that_were_placed() -> None:
    fence = EpochFence()
    fence.admit("CA1", 3)
    assert [fence.latest("CA1", epoch) for epoch in (2, 4)] == [3, 4]
    assert fence.latest("CA2", 1) == 1
