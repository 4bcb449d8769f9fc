"""A person's line."""

import json

import pytest

from console.phone import PhoneLine

FRAME = bytes(range(160))


def test_a_voice_is_cut_into_frames() -> None:
    line = PhoneLine()
    line.speak(FRAME + FRAME[:100])
    assert line.frame() == FRAME
    assert line.frame() == b"\xff" * 160
    line.speak(FRAME[100:])
    assert line.frame() == FRAME


def test_of_a_voice_that_comes_in_a_burst_the_end_is_kept() -> None:
    line = PhoneLine()
    for number in range(100):
        line.speak(bytes([number]) * 160)
    assert line.frame() == bytes([75]) * 160


def test_keys_are_pressed_once() -> None:
    line = PhoneLine()
    line.obey('{"digit": "5"}')
    line.obey('{"digit": "#"}')
    assert line.digits() == "5#"
    assert line.digits() == ""


@pytest.mark.parametrize(
    "text", ['{"hang_up": true}', "not json", '{"strange": 1}', "[]"]
)
def test_who_hangs_up_or_says_nonsense_ends_the_call(text: str) -> None:
    line = PhoneLine()
    line.obey(text)
    assert line.has_hung_up


def test_other_keys_are_nobodys() -> None:
    line = PhoneLine()
    line.obey('{"digit": "12"}')
    assert line.digits() == ""
    assert not line.has_hung_up


async def test_a_browser_hears_the_call() -> None:
    line = PhoneLine()
    line.on_call("CA1")
    line.on_audio(FRAME)
    assert json.loads(await line.next()) == {"call_sid": "CA1"}
    assert await line.next() == FRAME


async def test_a_browser_that_stops_reading_ends_the_call() -> None:
    line = PhoneLine()
    for _ in range(251):
        line.on_audio(FRAME)
    assert line.has_hung_up
