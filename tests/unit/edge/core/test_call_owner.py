"""Whoever is asked says the same of whose call it is, and each has its share."""

import secrets
from collections import Counter

import pytest

from edge.core.call_owner import owner_of


def test_it_is_always_the_same_one() -> None:
    # Processes must agree, so the numbers are part of the contract.
    assert owner_of("CA0123456789abcdef0123456789abcdef", workers=4) == 2
    assert owner_of("", workers=4) == 0
    assert owner_of("\udcff", workers=7) == owner_of("\udcff", workers=7)


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_calls_are_spread_evenly(workers: int) -> None:
    shares = Counter(
        owner_of(f"CA{secrets.token_hex(16)}", workers=workers) for _ in range(8000)
    )
    assert set(shares) == set(range(workers))
    assert max(shares.values()) < 1.3 * 8000 / workers
