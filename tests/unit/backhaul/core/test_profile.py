"""Profiles: what is missing has a default, what is wrong is named."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backhaul.core.profile import (
    CallLength,
    EventFeed,
    Fallback,
    Profile,
    Recording,
    VadKind,
)
from backhaul.core.tools import Tool, TransferTarget

RECORD_IT = (
    "recording.announcement: record it in greeting_file, and put its words into "
    "greeting"
)
NOW = Tool("now", "The time.", "https://example.com/now")


def test_instructions_are_all_that_a_profile_needs() -> None:
    profile = msgspec.convert({"instructions": "Be kind."}, Profile)
    assert profile.problems() == ()
    assert profile.turn_detection.type is VadKind.SERVER
    assert profile.warm_sessions > 0


@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        (Profile(instructions="  \n"), "instructions must not be empty"),
        (
            Profile(instructions="Be kind.", greeting_file="hello.ulaw"),
            "greeting_file needs greeting, the text that it speaks",
        ),
        (
            Profile(
                instructions="Be kind.",
                greeting="Hello.",
                greeting_file="hello.ulaw",
                recording=Recording("calls", announcement="This is recorded."),
            ),
            RECORD_IT,
        ),
        (
            Profile(instructions="Be kind.", length=CallLength(60.0, 60.0)),
            "length.warning_s: not below length.max_s",
        ),
        (
            Profile(instructions="Be kind.", tools=(NOW, NOW, NOW)),
            "tools.now: named twice",
        ),
        (
            Profile(instructions="Be kind.", tools=(Tool("now", "", "here"),)),
            "tools.now.url: not an https:// URL",
        ),
        (
            Profile(instructions="Be kind.", transfers={"desk": TransferTarget("me")}),
            "transfers.desk.to: neither +<number>, nor sip:user@host, nor queue:NAME",
        ),
        (
            Profile(instructions="Be kind.", events=EventFeed("file:///tmp/events")),
            "events.to: neither redis nor a usable URL (not an https:// URL)",
        ),
        (
            Profile(instructions="Be kind.", events=EventFeed("redis", {"A": "b"})),
            "events.headers: only for a URL",
        ),
        (
            Profile(instructions="Be kind.", recording=Recording("")),
            "recording.to: empty",
        ),
        (
            Profile(instructions="Be kind.", recording=Recording("https://here")),
            "recording.to: neither a directory nor s3://BUCKET/PREFIX",
        ),
        *(
            (
                Profile(instructions="Be kind.", fallback=Fallback(dial=whom)),
                "fallback.dial: neither E.164 nor a sip: URI",
            )
            for whom in ("queue:desk", "me", "4155550100")
        ),
    ],
)
def test_what_does_not_fit_together_is_named(profile: Profile, problem: str) -> None:
    assert profile.problems() == (problem,)


@pytest.mark.parametrize(
    "events", [EventFeed("redis"), EventFeed("https://example.com/events", {"A": "b"})]
)
@pytest.mark.parametrize("to", ["calls", "/srv/calls", "s3://calls/2026"])
def test_events_and_recordings_have_somewhere_to_go(events: EventFeed, to: str) -> None:
    profile = Profile(instructions="Be kind.", events=events, recording=Recording(to))
    assert profile.problems() == ()


@pytest.mark.parametrize("whom", ["", "+14155550199", "sip:desk@hotel.example.com"])
def test_a_human_may_be_rung_when_no_session_can_be_had(whom: str) -> None:
    profile = Profile(instructions="Be kind.", fallback=Fallback(dial=whom))
    assert profile.problems() == ()


def test_a_call_may_last_for_ever_and_be_short_of_a_warning() -> None:
    for length in (CallLength(max_s=0.0), CallLength(max_s=5.0, warning_s=0.0)):
        assert Profile(instructions="Be kind.", length=length).problems() == ()


def test_a_call_opens_with_the_announcement_and_the_greeting() -> None:
    recorded = Recording("calls", announcement="This is recorded.")
    silent = Profile(instructions="Be kind.")
    assert silent.opening == ""
    assert msgspec.structs.replace(silent, greeting="Hello.").opening == "Hello."
    assert (
        msgspec.structs.replace(silent, greeting="Hello.", recording=recorded).opening
        == "This is recorded. Hello."
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": 2.0},
        {"speed": 0.1},
        {"warm_sessions": -1},
        {"max_output_tokens": 5000},
        {"noise_reduction": "car"},
        {"turn_detection": {"type": "none"}},
        {"turn_detection": {"threshold": 1.1}},
        {"turn_detection": {"silence_duration_ms": 0}},
        {"min_interruption_ms": 5001},
        {"silence": {"prompts": 11}},
        {"silence": {"after_s": -1}},
        {"length": {"max_s": 3501}},
        {"recording": {"to": "calls", "format": "mp3"}},
        {"tools": [{"name": "now"}]},
        {"transfers": {"desk": {"to": "+14155550100", "timeout_s": 1}}},
        {"colour": "blue"},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"instructions": "Be kind.", **wrong}, Profile)


def test_the_example_in_the_readme_is_a_profile() -> None:
    readme = Path(__file__).parents[4] / "README.md"
    blocks = re.findall(r"```toml\n(.*?)```", readme.read_text(), re.DOTALL)
    (example,) = [block for block in blocks if "[profiles." in block]
    table = tomllib.loads(example)["profiles"]["front-desk"]
    profile = msgspec.convert(table, Profile)
    assert profile.problems() == ()
    assert profile.tools[0].parameters["required"] == ["number"]
    assert profile.opening.startswith("This call is recorded. Hello")
