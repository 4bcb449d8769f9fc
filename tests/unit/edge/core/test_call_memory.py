"""What an agent that takes a call over is told."""

import pytest

from backhaul.core.checkpoint import (
    Called,
    CallerSaid,
    Checkpoint,
    Item,
    ModelSaid,
    Noted,
    Saying,
)
from backhaul.core.finding import KeptCall
from edge.core.audio_ring import MAX_RING_BYTES
from edge.core.call_memory import CallMemory


def test_without_a_checkpoint_the_caller_is_heard_from_the_beginning() -> None:
    memory = CallMemory()
    memory.audio.append(bytes(160))
    memory.audio.append(b"more")
    assert memory.unheard() == (0, (bytes(160) + b"more",))
    assert not memory.model_is_due


def test_a_checkpoint_covers_what_was_said() -> None:
    memory = CallMemory()
    memory.audio.append(bytes(160) + b"rest")
    memory.keep(Checkpoint(3, caller_position=160))
    assert memory.unheard() == (160, (b"rest",))
    assert memory.audio.size == 4


def test_what_nobody_gets_is_counted() -> None:
    memory = CallMemory()
    memory.audio.append(bytes(MAX_RING_BYTES))
    memory.audio.append(bytes(160))
    start, frames = memory.unheard()
    assert (start, sum(map(len, frames))) == (160, MAX_RING_BYTES)
    assert memory.lost == 160
    memory.keep(Checkpoint(1, caller_position=MAX_RING_BYTES + 320))  # of the agent's
    assert memory.unheard() == (MAX_RING_BYTES + 160, ())
    assert memory.lost == 160


def test_silence_is_forgotten_and_not_lost() -> None:
    memory = CallMemory()
    memory.audio.append(bytes(160) + b"rest")
    memory.silent(160)
    assert memory.audio.size == 4
    memory.keep(Checkpoint(1, caller_position=80))
    assert memory.unheard() == (160, (b"rest",))
    assert memory.lost == 0


def test_what_only_the_edge_before_had_is_lost_with_the_session_that_heard_it() -> None:
    memory = CallMemory()
    found = Checkpoint(3, caller_position=160)
    memory.resume(KeptCall(1, "desk", checkpoint=found, caller_position=160))
    memory.audio.append(b"rest")
    memory.keep(Checkpoint(3, caller_position=80))  # of the session that went on
    assert memory.unheard() == (160, (b"rest",))
    assert memory.lost == 80


def test_an_older_checkpoint_changes_nothing() -> None:
    memory = CallMemory()
    memory.keep(Checkpoint(3, caller_position=160))
    memory.keep(Checkpoint(2, caller_position=80))
    assert memory.checkpoint == Checkpoint(3, caller_position=160)


@pytest.mark.parametrize(
    ("item", "due"),
    [
        (CallerSaid("And then?"), True),
        (Called("1", "book", "{}"), True),
        (Noted("Keys: 1"), True),
        (Saying("As I", 0, 80, whole=False), True),
        (Saying("As I said.", 0, 80, whole=True), False),
        (ModelSaid("As I said."), False),
    ],
)
def test_the_model_is_due_when_something_waits_for_an_answer(
    item: Item, *, due: bool
) -> None:
    memory = CallMemory()
    memory.keep(Checkpoint(1, (CallerSaid("Hello."), item)))
    assert memory.model_is_due is due


def test_a_call_of_another_edge_is_known_as_far_as_it_was_kept() -> None:
    kept = Checkpoint(3, (CallerSaid("Hello?"),), caller_position=800)
    memory = CallMemory()
    memory.resume(KeptCall(2, "desk", checkpoint=kept, caller_position=800))
    memory.audio.append(b"more")
    assert memory.checkpoint == kept
    assert memory.model_is_due
    assert memory.unheard() == (800, (b"more",))
    assert memory.lost == 0


def test_what_was_said_at_another_edge_before_any_checkpoint_is_lost() -> None:
    memory = CallMemory()
    memory.resume(KeptCall(2, "desk", caller_position=800))
    memory.audio.append(b"more")
    assert memory.checkpoint is None
    assert memory.unheard() == (800, (b"more",))
    assert memory.lost == 800
