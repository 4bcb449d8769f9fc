"""Tokens belong to who makes them, and all workers agree on it."""

from edge.siblings import Sibling, Siblings

EACH = [Sibling(8100 + number, 8200 + number) for number in range(3)]


def test_an_only_worker_owns_everything() -> None:
    alone = Siblings(0, ())
    assert alone.own is None
    assert alone.owns("anything")
    assert alone.other("anything") is None
    assert len(alone.new_token()) == 32


def test_a_token_leads_all_others_to_who_made_it() -> None:
    workers = [Siblings(number, EACH) for number in range(3)]
    for maker in workers:
        token = maker.new_token()
        assert len(token) == 32
        for worker in workers:
            expected = None if worker is maker else EACH[maker.number]
            assert worker.other(token) == expected
            assert worker.owns(token) == (worker is maker)
        assert maker.own == EACH[maker.number]
