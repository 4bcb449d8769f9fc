import struct

import pytest

from lab.twilio_report import AudioCount, CallLog, mulaw_wav


@pytest.mark.parametrize("length", [0, 160, 161])
def test_the_wav_file_holds_the_mulaw_bytes_as_they_are(length: int) -> None:
    audio = bytes(range(256))[:length]
    wav = mulaw_wav(audio)
    assert wav[:4] == b"RIFF"
    assert struct.unpack("<I", wav[4:8]) == (len(wav) - 8,)
    assert wav[8:16] == b"WAVEfmt "
    assert struct.unpack("<IHHIIHHH", wav[16:38]) == (18, 7, 1, 8000, 8000, 1, 8, 0)
    assert wav[38:42] == b"fact"
    assert wav[50:58] == b"data" + struct.pack("<I", length)
    assert wav[58 : 58 + length] == audio
    assert len(wav) % 2 == 0


def test_audio_is_counted_with_its_hash() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert AudioCount.of(bytearray()) == AudioCount(0, empty)
    assert AudioCount.of(bytearray(b"a")).bytes == 1


def test_an_error_is_in_the_timeline_too() -> None:
    log = CallLog()
    log.note("start", at=log.started_at + 1.5)
    log.error(31921, "gone")
    assert log.events[0] == (1500.0, "start")
    assert log.events[1][1] == "error 31921: gone"
    assert [error.code for error in log.errors] == [31921]


def test_the_timeline_is_bounded() -> None:
    log = CallLog()
    for _ in range(3000):
        log.note("mark")
    assert len(log.events) == 2000
