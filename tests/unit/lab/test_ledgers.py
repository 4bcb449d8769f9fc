import pytest

from lab.ledgers import Ledgers


@pytest.mark.parametrize(
    ("call", "session", "expected"),
    [
        ("ended", "closed", []),
        ("ended", "open", ["CA1"]),
        ("bridged", "open", ["CA1"]),
        ("bridged", "closed", ["CA1"]),
    ],
)
def test_a_call_is_settled_when_it_and_its_session_have_ended(
    call: str, session: str, expected: list[str]
) -> None:
    calls = {"CA1": {"state": call, "session_ids": ["sess_0", "sess_1"]}}
    sessions = {"sess_0": {"state": "closed"}, "sess_1": {"state": session}}
    assert Ledgers(calls, sessions).unsettled() == expected


@pytest.mark.parametrize("session_ids", [[], ["forgotten"]])
def test_a_call_without_a_session_has_settled_when_it_has_ended(
    session_ids: list[str],
) -> None:
    calls = {"CA1": {"state": "ended", "session_ids": session_ids}}
    assert Ledgers(calls, {}).unsettled() == []
