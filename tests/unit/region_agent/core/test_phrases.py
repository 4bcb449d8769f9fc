import json

from backhaul.core.profile import CallLength, Fallback, Profile, Recording, Silence
from backhaul.core.tools import Tool
from region_agent.core.phrases import fixed_phrases, speak_phrase


def tool(filler: str) -> Tool:
    return Tool("look", "Look.", "https://tools.example.com/", filler=filler)


def test_every_profile_has_words_for_silence_and_for_its_end() -> None:
    assert fixed_phrases(Profile("Be kind.", greeting="Hello.")) == (
        "Are you still there?",
        "I cannot hear you, so I will hang up now. Goodbye.",
        "We have one minute left.",
        "Our time is up. Thank you for calling. Goodbye.",
    )


def test_the_script_and_fillers_come_first_and_nothing_comes_twice() -> None:
    profile = Profile(
        "Be kind.",
        fallback=Fallback(script="Call again."),
        tools=(tool("One moment."), tool(""), tool(" "), tool("One moment.")),
        silence=Silence(prompt="Hello?", goodbye="Bye."),
        length=CallLength(warning="Time!", goodbye="Bye."),
    )
    assert fixed_phrases(profile) == (
        "Call again.",
        "One moment.",
        "Hello?",
        "Bye.",
        "Time!",
    )


def test_what_is_never_said_is_no_phrase() -> None:
    announced = Profile(
        "Be kind.",
        recording=Recording("calls", announcement="This call is recorded."),
        silence=Silence(after_s=0),
        length=CallLength(max_s=0),
    )
    assert fixed_phrases(announced) == ()
    brief = Profile(
        "Be kind.",
        silence=Silence(prompts=0, goodbye="Bye."),
        length=CallLength(warning_s=0, goodbye="Time is up."),
    )
    assert fixed_phrases(brief) == ("Bye.", "Time is up.")


def test_a_phrase_is_spoken_beside_the_conversation() -> None:
    event = json.loads(speak_phrase('Say "hi".'))
    assert event["type"] == "response.create"
    assert event["response"]["instructions"].endswith('\n\nSay "hi".')
    assert event["response"]["conversation"] == "none"
    assert event["response"]["tool_choice"] == "none"
