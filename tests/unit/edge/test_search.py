from backhaul.core.close_reason import CloseReason
from edge.core.routes import Choice, RouteDecision
from edge.search import Attempt, Search

HERE = Choice("here", "here:443", warm=True, predicted_ms=100.0)
NOBODY = RouteDecision("desk", None, (), ())


def asked(*, cold: bool, outcome: CloseReason) -> Search:
    """Return a search that has asked the only agent there is."""
    search = Search("CA1", "desk", decision=NOBODY)
    search.attempts.append(Attempt(HERE, cold, asked_at=0.0, outcome=outcome.value))
    return search


def test_a_search_is_hopeful_while_a_decision_names_somebody() -> None:
    assert Search("CA1", "desk", decision=RouteDecision("desk", HERE, (), ())).hopeful
    assert not Search("CA1", "desk", decision=NOBODY).hopeful
    assert not Search("CA1", "desk").hopeful


def test_a_patient_search_never_loses_hope() -> None:
    assert Search("CA1", "desk", patient=True, decision=NOBODY).hopeful


def test_an_agent_without_a_warm_session_may_open_one() -> None:
    assert asked(cold=False, outcome=CloseReason.NO_STOCK).hopeful


def test_an_agent_that_is_full_gone_or_could_open_none_gives_no_hope() -> None:
    assert not asked(cold=False, outcome=CloseReason.AT_CAPACITY).hopeful
    assert not asked(cold=False, outcome=CloseReason.NO_ANSWER).hopeful
    assert not asked(cold=True, outcome=CloseReason.MODEL_UNAVAILABLE).hopeful
