"""What the local voice answers."""

import pytest

from lab.local_answers import answer_to


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("Hi, I would like to book a table for two.", "A table, with pleasure."),
        ("I'd like to book a room, please.", "I can book a room"),
        ("What are your opening hours on the weekend?", "We are open every day"),
        ("No, thank you. Goodbye!", "Thank you for calling."),
        ("Hello?", "Hello!"),
        ("Is a region killed now?", "Go on, kill the region"),
    ],
)
def test_an_answer_follows_from_the_words(said: str, answer: str) -> None:
    assert answer_to(said).startswith(answer)


def test_what_nobody_expected_is_said_again() -> None:
    assert answer_to("Seven elephants!") == "You said: seven elephants. Tell me more."
    assert len(answer_to("elephant " * 100).split()) < 25


@pytest.mark.parametrize("said", ["", "…", "42"])
def test_what_was_not_understood_is_asked_again(said: str) -> None:
    assert answer_to(said).startswith("I am sorry")


def test_a_part_of_a_word_is_not_the_word() -> None:
    assert answer_to("parking").startswith("Parking")
    assert answer_to("sparkling") == "You said: sparkling. Tell me more."
