"""Whether a call has an edge: every input in every state, and how long it waits."""

from itertools import product

import pytest

from region_agent.core.attachment import (
    TRANSITIONS,
    Attachment,
    AttachmentChanged,
    AttachmentInput,
    AttachmentState,
    LeaveCall,
)

ATTACHED, ORPHANED = AttachmentState.ATTACHED, AttachmentState.ORPHANED
RESERVED, LEFT = AttachmentState.RESERVED, AttachmentState.LEFT


def begun() -> Attachment:
    return Attachment(grace_s=15.0, reserved_s=40.0)


def test_the_table_is_total() -> None:
    assert set(TRANSITIONS) == set(product(AttachmentState, AttachmentInput))
    assert all(TRANSITIONS[LEFT, given] is LEFT for given in AttachmentInput)


def test_an_edge_that_comes_back_has_its_call_again() -> None:
    call = begun()
    assert call.next_deadline() is None
    lost = call.handle(AttachmentInput.EDGE_LOST, now=1.0)
    assert lost == (AttachmentChanged(ATTACHED, ORPHANED),)
    assert call.next_deadline() == 16.0
    assert call.handle(AttachmentInput.EDGE_LOST, now=2.0) == ()
    assert call.expire(now=15.9) == ()
    back = call.handle(AttachmentInput.EDGE_BACK, now=3.0)
    assert back == (AttachmentChanged(ORPHANED, ATTACHED),)
    assert call.next_deadline() is None
    assert call.expire(now=99.0) == ()


def test_a_call_for_which_nobody_comes_is_left() -> None:
    call = begun()
    call.handle(AttachmentInput.EDGE_LOST, now=1.0)
    assert call.expire(now=16.0) == (AttachmentChanged(ORPHANED, LEFT), LeaveCall())
    assert call.next_deadline() is None
    assert call.handle(AttachmentInput.RESERVED, now=17.0) == ()


@pytest.mark.parametrize("orphaned", [True, False])
def test_another_edge_reserves_a_call_and_takes_it(orphaned: bool) -> None:
    call = begun()
    if orphaned:
        call.handle(AttachmentInput.EDGE_LOST, now=0.5)
    before = call.state
    changed = call.handle(AttachmentInput.RESERVED, now=1.0)
    assert changed == (AttachmentChanged(before, RESERVED),)
    assert call.next_deadline() == 41.0
    # A third one is later still, and has as long.
    assert call.handle(AttachmentInput.RESERVED, now=2.0) == ()
    assert call.next_deadline() == 42.0
    assert call.handle(AttachmentInput.EDGE_LOST, now=3.0) == ()
    assert call.next_deadline() == 42.0
    taken = call.handle(AttachmentInput.TAKEN, now=4.0)
    assert taken == (AttachmentChanged(RESERVED, ATTACHED),)
    assert call.next_deadline() is None


def test_a_call_that_is_given_back_waits_as_if_its_edge_were_lost_now() -> None:
    call = begun()
    call.handle(AttachmentInput.RESERVED, now=1.0)
    given = call.handle(AttachmentInput.GIVEN_BACK, now=5.0)
    assert given == (AttachmentChanged(RESERVED, ORPHANED),)
    assert call.next_deadline() == 20.0


def test_a_reservation_runs_out() -> None:
    call = begun()
    call.handle(AttachmentInput.RESERVED, now=1.0)
    assert call.expire(now=41.0) == (AttachmentChanged(RESERVED, LEFT), LeaveCall())
