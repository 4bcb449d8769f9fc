"""What is remembered of conversations."""

from backhaul.clock import monotonic_s
from region_agent.conversation_book import ConversationBook
from region_agent.core.turn_log import Turn


def test_turns_and_tools_are_told_in_milliseconds() -> None:
    book = ConversationBook()
    notes = book.begin("CA1", epoch=1, resumed=False)
    now = notes.began_at
    turn = Turn(1, began_at=now + 1.0, last_at=now + 2.0, first_audio_at=now + 1.25)
    notes.turn(turn)
    notes.turn(Turn(0, began_at=now, last_at=now))
    notes.tool("book_room", "ok", duration_s=0.1)
    notes.ended("caller_hung_up")
    [row] = book.rows("CA1")
    assert row["turns"] == [
        {
            "number": 1,
            "kind": "reply",
            "outcome": "answered",
            "start_ms": 1000.0,
            "first_audio_ms": 250.0,
            "end_ms": 2000.0,
        }
    ]
    [tool] = row["tools"]
    assert tool["name"] == "book_room"
    assert 99.9 <= tool["end_ms"] - tool["start_ms"] <= 100.1
    assert row["end_reason"] == "caller_hung_up"


def test_a_call_may_have_had_several_conversations() -> None:
    book = ConversationBook()
    book.begin("CA1", epoch=1, resumed=False)
    book.begin("CA1", epoch=2, resumed=True)
    book.begin("CA2", epoch=1, resumed=False)
    assert [row["epoch"] for row in book.rows("CA1")] == [1, 2]
    assert book.rows("CA3") == []


def test_what_is_remembered_has_bounds() -> None:
    book = ConversationBook()
    for number in range(300):
        book.begin(f"CA{number}", epoch=1, resumed=False)
    assert book.rows("CA99") == []
    notes = book.begin("CA", epoch=1, resumed=False)
    now = monotonic_s()
    for number in range(1, 200):
        notes.turn(Turn(number, began_at=now, last_at=now))
        notes.tool("slow", "timeout", duration_s=1.0)
    [row] = book.rows("CA")
    assert len(row["turns"]) == len(row["tools"]) == 64
