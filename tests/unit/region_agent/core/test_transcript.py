from region_agent.core.transcript import (
    MAX_ITEMS,
    MAX_TEXT_BYTES,
    Said,
    Speaker,
    Transcript,
)


def texts(transcript: Transcript) -> list[str]:
    return [said.text for said in transcript]


def test_items_are_kept_in_order() -> None:
    transcript = Transcript()
    transcript.add(Said(Speaker.MODEL, "item_1", "Hello."))
    transcript.add(Said(Speaker.CALLER, "item_2", ""))
    transcript.add(Said(Speaker.CALLER, "item_3", "Good morning."))
    assert texts(transcript) == ["Hello.", "Good morning."]
    assert len(transcript) == 2


def test_the_oldest_items_go_first() -> None:
    transcript = Transcript()
    for number in range(MAX_ITEMS + 5):
        transcript.add(Said(Speaker.CALLER, f"item_{number}", str(number)))
    assert len(transcript) == MAX_ITEMS
    assert texts(transcript)[0] == "5"


def test_the_text_is_bounded_in_bytes() -> None:
    transcript = Transcript()
    long = "\N{SNOWMAN}" * (MAX_TEXT_BYTES // 3 - 1)
    transcript.add(Said(Speaker.MODEL, "item_1", "first"))
    transcript.add(Said(Speaker.MODEL, "item_2", long))
    assert texts(transcript) == [long]
    transcript.add(Said(Speaker.MODEL, "item_3", "x"))
    assert texts(transcript) == [long, "x"]
    transcript.add(Said(Speaker.MODEL, "item_4", "x" * (MAX_TEXT_BYTES + 1)))
    assert texts(transcript) == []
    transcript.add(Said(Speaker.MODEL, "item_5", "x" * MAX_TEXT_BYTES))
    assert len(transcript) == 1


def test_a_repr_does_not_tell_what_was_said() -> None:
    assert "secret" not in repr(Said(Speaker.CALLER, "item_1", "secret"))
