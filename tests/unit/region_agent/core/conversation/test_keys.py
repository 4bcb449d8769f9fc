"""Keys that the caller presses."""

from backhaul.core.messages import Cleared, Digit
from region_agent.core.conversation_events import (
    ResponseBegan,
    ResponseEnded,
    SpeechStarted,
    SpeechStopped,
)
from tests.unit.conversation_script import Voice, run, says


def test_keys_are_gathered_and_cut_the_voice() -> None:
    run(
        [
            *says(0.0, "r1", "i1", 80_000),
            (1.0, Digit("1"), ["clear"]),
            (
                1.1,
                Cleared(80_000, 8000),
                ["interrupted at 1000", "truncate i1 at 1000"],
            ),
            (2.0, Digit("2"), []),
            (3.4, None, []),
            (
                3.5,
                None,
                [
                    "2 keys",
                    "write user -: The caller pressed these keys of the telephone: 1 2",
                    "respond",
                ],
            ),
        ],
    )


def test_keys_stop_a_response_that_the_server_would_go_on_with() -> None:
    pressed = "write user -: The caller pressed these keys of the telephone: #"
    run(
        [
            (0.0, ResponseBegan("r1"), []),
            (0.1, Digit("#"), ["cancel r1", "1 keys", pressed]),
            (0.2, Digit("#"), ["1 keys", pressed]),
            (0.3, ResponseEnded("r1", "cancelled"), ["respond"]),
        ]
    )


def test_keys_stop_a_response_that_is_about_to_begin() -> None:
    pressed = "write user -: The caller pressed these keys of the telephone: #"
    run(
        [
            (0.0, SpeechStarted(), []),
            (0.5, SpeechStopped(), ["turn"]),
            (0.6, Digit("#"), ["1 keys", pressed]),
            (0.8, ResponseBegan("r1"), ["cancel r1"]),
            (0.8, Voice("r1", "i1", 800), []),
            (0.9, ResponseEnded("r1", "cancelled"), ["delete i1", "respond"]),
        ]
    )
