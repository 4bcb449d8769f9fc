"""First words: greetings, and who begins."""

from backhaul.core.messages import Played
from region_agent.core.conversation_events import CallBegan
from tests.unit.conversation_script import quiet_profile, run


def test_a_greeting_that_the_edge_plays_is_part_of_the_conversation() -> None:
    run(
        [
            (0.0, CallBegan("Hello.", 8000), ["write assistant phrase_1: Hello."]),
            (1.0, Played(8000), ["model: Hello."]),
        ],
        quiet_profile(greeting="Hello."),
    )


def test_a_greeting_from_memory_is_played_when_the_edge_has_none() -> None:
    run(
        [(0.0, CallBegan(), ["write assistant phrase_1: Hello.", "audio 8000"])],
        quiet_profile(greeting="Hello."),
        {"Hello.": 8000},
    )


def test_a_greeting_that_nobody_has_is_spoken_by_the_model() -> None:
    run([(0.0, CallBegan(), ["respond: Hello."])], quiet_profile(greeting="Hello."))


def test_without_a_greeting_the_model_begins() -> None:
    run([(0.0, CallBegan(), ["respond"])], quiet_profile(caller_speaks_first=False))


def test_a_caller_who_is_to_speak_first_is_waited_for() -> None:
    run([(0.0, CallBegan(), [])])


def test_a_caller_who_comes_back_hears_an_apology() -> None:
    apology = (
        "respond: The line to the caller was interrupted for a moment. Apologise for "
        "that in one short sentence and go on with the conversation."
    )
    run([(0.0, CallBegan(resumed=True), [apology])])


def test_the_edge_saying_an_announcement_does_not_keep_the_model_from_beginning() -> (
    None
):
    began = CallBegan("This call is recorded.", 8000)
    told = "write assistant phrase_1: This call is recorded."
    profile = quiet_profile(caller_speaks_first=False)
    run([(0.0, began, [told, "respond"])], profile)
