"""Profiles: what is missing has a default, what is wrong is named."""

from typing import Any

import msgspec
import pytest

from backhaul.core.profile import Profile, VadKind


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
    ],
)
def test_what_does_not_fit_together_is_named(profile: Profile, problem: str) -> None:
    assert profile.problems() == (problem,)


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": 2.0},
        {"speed": 0.1},
        {"warm_sessions": 0},
        {"max_output_tokens": 5000},
        {"noise_reduction": "car"},
        {"turn_detection": {"type": "none"}},
        {"turn_detection": {"threshold": 1.1}},
        {"turn_detection": {"silence_duration_ms": 0}},
        {"colour": "blue"},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"instructions": "Be kind.", **wrong}, Profile)
