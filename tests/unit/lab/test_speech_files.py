import struct

import pytest

from backhaul.core.g711 import decode, energy
from backhaul.core.profile import CallLength, Silence
from lab.speech_files import (
    SpeechLine,
    all_lines,
    caller_lines,
    cough,
    greeting_line,
    load_line,
    reply_lines,
)

AUDIBLE = 0.02


def loudness(line: SpeechLine) -> list[int]:
    return [abs(s) for s in struct.unpack(f"<{len(line.audio)}h", decode(line.audio))]


def test_there_are_callers_replies_and_a_greeting_in_several_voices() -> None:
    assert len(caller_lines()) == len(reply_lines()) == 6
    assert greeting_line().name == "greeting"
    assert len({line.voice for line in caller_lines()}) >= 3
    assert load_line("caller-1").text.startswith("Hi,")


def test_an_unknown_line_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        load_line("caller-0")


def test_fixed_phrases_are_the_ones_that_profiles_begin_with() -> None:
    silence, length = Silence(), CallLength()
    assert load_line("silence-prompt").text == silence.prompt
    assert load_line("silence-goodbye").text == silence.goodbye
    assert load_line("length-warning").text == length.warning
    assert load_line("length-goodbye").text == length.goodbye
    opening = f"{load_line('announcement-1').text} {greeting_line().text}"
    assert load_line("opening-1").text == opening


def test_a_cough_is_a_short_piece_of_a_voice() -> None:
    assert len(cough(0.1)) == 800
    assert energy(cough(0.1)) > energy(load_line("caller-1").audio)
    with pytest.raises(ValueError, match="cough of 3 s"):
        cough(3)


def test_a_long_line_lasts_long_enough_to_be_interrupted() -> None:
    assert 15 <= load_line("long-1").duration_s <= 20


def test_all_files_together_stay_small() -> None:
    assert sum(len(line.audio) for line in all_lines()) <= 600_000


@pytest.mark.parametrize("line", all_lines(), ids=lambda line: line.name)
def test_speech_fills_its_file_at_a_sensible_level(line: SpeechLine) -> None:
    samples = loudness(line)
    peak = max(samples)
    loud = [n for n, sample in enumerate(samples) if sample >= AUDIBLE * peak]
    assert 0.8 <= line.duration_s <= (20 if line.name == "long-1" else 6)
    assert 0.45 * 32767 <= peak <= 0.55 * 32767
    assert loud[0] <= 8 * 40
    assert len(samples) - loud[-1] <= 8 * 100
