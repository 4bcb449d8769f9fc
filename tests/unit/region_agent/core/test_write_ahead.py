"""Functions are asked when the edge knows of their call."""

from backhaul.core.checkpoint import Called, CallerSaid
from region_agent.core.conversation_events import CallTool
from region_agent.core.write_ahead import WriteAhead

FIRST = CallTool("c1", "look_up", "{}", "CA1-c1")
SECOND = CallTool("c2", "book", "{}", "CA1-c2")


def test_a_call_waits_until_it_is_kept() -> None:
    ahead = WriteAhead()
    assert ahead.called(FIRST, version=3) == ()
    assert ahead.called(SECOND, version=4) == ()
    assert ahead.kept(2) == ()
    assert ahead.kept(3) == (FIRST,)
    assert ahead.kept(3) == ()
    assert ahead.kept(9) == (SECOND,)


def test_a_later_checkpoint_holds_all_before() -> None:
    ahead = WriteAhead()
    ahead.called(FIRST, version=3)
    ahead.called(SECOND, version=3)
    assert ahead.kept(5) == (FIRST, SECOND)


def test_what_the_edge_brought_along_needs_no_second_word() -> None:
    ahead = WriteAhead((CallerSaid("Hi"), Called("c1", "look_up", "{}", key="CA1-c1")))
    assert ahead.called(FIRST, version=1) == (FIRST,)
    assert ahead.called(SECOND, version=1) == ()
