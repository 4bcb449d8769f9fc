from backhaul.core.messages import CloseReason
from region_agent.core.conversation_events import EndCall
from region_agent.core.last_words import GRACE_S, LastWords, Pending

HANG_UP = Pending(EndCall(CloseReason.MODEL_HUNG_UP), "c1")
TIME_IS_UP = Pending(EndCall(CloseReason.MAX_DURATION), may_be_cancelled=False)


def test_it_is_done_once_and_when_all_was_heard() -> None:
    last_words = LastWords()
    assert last_words.take(busy=False, now=0.0) is None
    last_words.then(HANG_UP, ahead_s=2.0, now=0.0)
    assert last_words.take(busy=True, now=1.0) is None
    assert last_words.take(busy=False, now=2.0) is HANG_UP
    assert last_words.take(busy=False, now=2.0) is None
    assert last_words.next_deadline() is None


def test_it_is_done_in_the_end_whatever_the_carrier_tells() -> None:
    last_words = LastWords()
    last_words.then(HANG_UP, ahead_s=2.0, now=1.0)
    assert last_words.next_deadline() == 3.0 + GRACE_S
    assert last_words.take(busy=True, now=2.9 + GRACE_S) is None
    assert last_words.take(busy=True, now=3.0 + GRACE_S) is HANG_UP


def test_more_words_give_more_time() -> None:
    last_words = LastWords()
    last_words.extend(ahead_s=60.0, now=0.0)
    assert last_words.next_deadline() is None
    last_words.then(HANG_UP, ahead_s=0.0, now=0.0)
    last_words.extend(ahead_s=60.0, now=1.0)
    assert last_words.next_deadline() == 61.0 + GRACE_S


def test_a_caller_who_speaks_prevents_what_may_be_prevented() -> None:
    last_words = LastWords()
    assert last_words.interrupt() is None
    last_words.then(HANG_UP, ahead_s=0.0, now=0.0)
    assert last_words.interrupt() is HANG_UP
    assert last_words.pending is None
    last_words.then(TIME_IS_UP, ahead_s=0.0, now=0.0)
    assert last_words.interrupt() is None
    assert last_words.pending is TIME_IS_UP
