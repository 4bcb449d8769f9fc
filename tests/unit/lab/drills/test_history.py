"""What a history tells of its calls."""

import pytest

from lab.drills.history import CallSeen, History, Owner


def call(call_sid: str, began_at: float, ended_at: float) -> CallSeen:
    return CallSeen(
        call_sid, (began_at,), "caller", began_at=began_at, ended_at=ended_at
    )


HISTORY = History(
    calls=(call("CA1", 10.0, 30.0), call("CA2", 12.0, 40.0), call("CA3", 20.0, 40.0)),
    sessions={},
    owners=(
        Owner(25.0, "CA2", 2, "two", "sess_4", "eu-central"),
        Owner(10.1, "CA1", 1, "one", "sess_1", "us-east"),
        Owner(12.1, "CA2", 1, "one", "sess_2", "us-east"),
        Owner(20.1, "CA3", 1, "two", "sess_3", "eu-central"),
    ),
)


@pytest.mark.parametrize(
    ("at", "share"),
    [(5.0, 0.0), (11.0, 1.0), (15.0, 1.0), (20.0, 2 / 3), (26.0, 1 / 3), (30.0, 0.0)],
)
def test_a_regions_share_is_of_the_calls_that_are_live(at: float, share: float) -> None:
    assert HISTORY.share_of("us-east", at=at) == pytest.approx(share)
