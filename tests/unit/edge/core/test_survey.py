"""Who is believed about a call whose edge is gone, and how long one listens."""

import math

from backhaul.core.checkpoint import Checkpoint
from backhaul.core.finding import KeptCall
from edge.core.survey import LAST_ANSWERS_S, Survey


def session(epoch: int) -> KeptCall:
    return KeptCall(epoch, "desk", here=True)


def copy(epoch: int, version: int = 1) -> KeptCall:
    return KeptCall(epoch, "desk", checkpoint=Checkpoint(version))


def test_it_is_over_when_all_have_answered() -> None:
    survey = Survey("ab", now=10.0, patience_s=1.0)
    assert survey.over_at == 11.0
    survey.answer("a", None, now=10.1)
    assert survey.over_at == 11.0
    survey.answer("b", copy(1), now=10.2)
    assert survey.over_at == -math.inf
    assert survey.best_first() == [("b", copy(1))]


def test_who_has_the_call_may_not_know_that_it_went_on() -> None:
    survey = Survey("abc", now=10.0, patience_s=1.0)
    survey.answer("a", session(3), now=10.1)
    assert survey.over_at == 10.1 + LAST_ANSWERS_S
    survey.answer("b", session(4), now=10.2)
    assert survey.over_at == 10.1 + LAST_ANSWERS_S
    assert survey.best_first() == [("b", session(4)), ("a", session(3))]


def test_the_next_epoch_is_beyond_what_the_lost_edge_may_have_asked_for() -> None:
    survey = Survey("ab", now=10.0, patience_s=1.0)
    survey.answer("a", copy(3), now=10.1)
    survey.answer("b", session(2), now=10.1)
    assert survey.next_epoch() > 3 + 16


def test_patience_is_not_longer_for_a_late_answer() -> None:
    survey = Survey("ab", now=10.0, patience_s=1.0)
    survey.answer("a", session(3), now=10.9)
    assert survey.over_at == 11.0


def test_a_later_copy_is_believed_before_a_session_that_was_left() -> None:
    survey = Survey("abc", now=10.0, patience_s=1.0)
    survey.answer("a", session(3), now=10.1)
    survey.answer("b", copy(4, version=1), now=10.1)
    survey.answer("c", copy(4, version=2), now=10.1)
    assert [agent for agent, _ in survey.best_first()] == ["c", "b", "a"]


def test_of_the_same_epoch_the_session_is_better_than_its_copy() -> None:
    survey = Survey("ab", now=10.0, patience_s=1.0)
    survey.answer("a", copy(3, version=9), now=10.1)
    survey.answer("b", session(3), now=10.1)
    assert [agent for agent, _ in survey.best_first()] == ["b", "a"]


def test_who_answers_twice_is_heard_once() -> None:
    survey = Survey("ab", now=10.0, patience_s=1.0)
    survey.answer("a", copy(3), now=10.1)
    survey.answer("a", copy(4), now=10.1)
    assert survey.best_first() == [("a", copy(3))]


def test_copies_of_an_earlier_survey_are_taken_along_and_sessions_are_not() -> None:
    first = Survey("abc", now=10.0, patience_s=1.0)
    first.answer("a", session(3), now=10.1)
    first.answer("b", copy(2), now=10.1)
    survey = Survey("abc", now=11.0, patience_s=1.0)
    survey.answer("a", copy(3), now=11.1)
    survey.answer("b", None, now=11.1)
    survey.take_along(first)
    assert survey.best_first() == [("a", copy(3)), ("b", copy(2))]
