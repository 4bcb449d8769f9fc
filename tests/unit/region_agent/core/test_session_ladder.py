import itertools

from region_agent.core.session_ladder import TRANSITIONS, SessionInput, SessionState


def test_the_table_is_total() -> None:
    assert set(TRANSITIONS) == set(itertools.product(SessionState, SessionInput))


def test_nothing_leads_out_of_retired() -> None:
    for given in SessionInput:
        assert TRANSITIONS[SessionState.RETIRED, given] is SessionState.RETIRED


def test_whatever_ends_a_session_retires_it_from_every_state() -> None:
    for state in SessionState:
        assert TRANSITIONS[state, SessionInput.CLOSED] is SessionState.RETIRED
        assert TRANSITIONS[state, SessionInput.DISCARDED] is SessionState.RETIRED
