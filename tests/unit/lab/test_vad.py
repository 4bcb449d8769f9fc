import math
import random
import struct
from collections.abc import Callable

import pytest

from backhaul.core.g711 import encode
from lab.speech_files import SpeechLine, caller_lines, load_line
from lab.vad import SpeechStarted, SpeechStopped, TurnDetector, VadConfig, VadEvent

SILENCE = b"\xff"
SECOND = 8000


def detect(audio: bytes, config: VadConfig, piece_bytes: int) -> list[VadEvent]:
    detector = TurnDetector(config)
    events: list[VadEvent] = []
    for offset in range(0, len(audio), piece_bytes):
        events += detector.feed(audio[offset : offset + piece_bytes])
    return events


def sound(sample: Callable[[int], float], seconds: float) -> bytes:
    count = int(seconds * SECOND)
    return encode(struct.pack(f"<{count}h", *(int(sample(n)) for n in range(count))))


@pytest.mark.parametrize("silence_ms", [300, 500, 800])
@pytest.mark.parametrize("line", caller_lines(), ids=lambda line: line.name)
def test_an_utterance_is_one_turn(line: SpeechLine, silence_ms: int) -> None:
    audio = SILENCE * SECOND + line.audio + SILENCE * 2 * SECOND
    started, stopped = detect(audio, VadConfig(silence_duration_ms=silence_ms), 160)
    ended_ms = 1000 + line.duration_s * 1000
    assert isinstance(started, SpeechStarted)
    assert isinstance(stopped, SpeechStopped)
    assert 1000 - 320 <= started.audio_start_ms <= 1000 - 300 + 160
    assert ended_ms - 250 <= stopped.audio_end_ms - silence_ms <= ended_ms + 150


def test_the_size_of_the_pieces_does_not_matter() -> None:
    audio = (load_line("caller-2").audio + SILENCE * SECOND) * 3
    expected = detect(audio, VadConfig(), 160)
    assert len(expected) == 6
    for piece_bytes in (1, 37, 1600, len(audio)):
        assert detect(audio, VadConfig(), piece_bytes) == expected


def test_prefix_padding_moves_the_start_and_never_before_the_session() -> None:
    audio = SILENCE * 800 + load_line("caller-1").audio
    (late,) = detect(audio, VadConfig(prefix_padding_ms=0), 160)
    (early,) = detect(audio, VadConfig(prefix_padding_ms=300), 160)
    assert isinstance(late, SpeechStarted)
    assert late.audio_start_ms >= 80
    assert early == SpeechStarted(0)


def test_digital_silence_is_not_speech() -> None:
    assert detect(SILENCE * 20 * SECOND, VadConfig(threshold=0.0), 160) == []


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("leading", [b"", SILENCE * SECOND], ids=["abrupt", "after"])
def test_tones_and_noise_do_not_trigger(threshold: float, leading: bytes) -> None:
    rng = random.Random(1)
    sounds: list[Callable[[int], float]] = [
        lambda n: 8000 * math.sin(n * 440 * math.tau / SECOND),
        lambda n: (
            4000 * math.sin(n * 697 * math.tau / SECOND)
            + 4000 * math.sin(n * 1209 * math.tau / SECOND)
        ),
        lambda _: rng.gauss(0, 3000),
        lambda _: rng.gauss(0, 100),
    ]
    for sample in sounds:
        audio = leading + sound(sample, 4)
        assert detect(audio, VadConfig(threshold=threshold), 160) == []


def test_clicks_do_not_trigger() -> None:
    assert detect((SILENCE * 1280 + b"\x00" * 80) * 50, VadConfig(), 160) == []


def test_after_a_reset_the_next_turn_starts_no_earlier() -> None:
    detector = TurnDetector(VadConfig(prefix_padding_ms=2000), position_ms=500)
    detector.feed(load_line("caller-1").audio[:8000])
    assert detector.speaking
    detector.reset()
    (started,) = detector.feed(load_line("caller-1").audio[8000:16000])
    assert started == SpeechStarted(1500)


def test_eagerness_becomes_a_silence() -> None:
    waits = [
        VadConfig.semantic(eagerness).silence_duration_ms
        for eagerness in ("high", "auto", "medium", "low")
    ]
    assert waits == sorted(waits)
    assert waits[1] == waits[2]
