import struct

import pytest

from backhaul.core import g711
from region_agent.core.wav import (
    HEADER_BYTES,
    UnusableAudioError,
    mulaw_from_wav,
    recording_header,
    repaired_header,
)

SAMPLES = struct.pack("<4h", 0, 1000, -1000, 32000)


def fmt(tag: int, bits: int, *, channels: int = 1, rate: int = 8000) -> bytes:
    block = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)


def chunk(name: bytes, body: bytes) -> bytes:
    padding = b"\0" * (len(body) % 2)
    return name + struct.pack("<I", len(body)) + body + padding


def wav(format_chunk: bytes, samples: bytes, *, before: bytes = b"") -> bytes:
    body = b"WAVE" + chunk(b"fmt ", format_chunk) + before + chunk(b"data", samples)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_mulaw_is_taken_as_it_is() -> None:
    assert mulaw_from_wav(wav(fmt(7, 8), b"\x01\x02\x03")) == b"\x01\x02\x03"


def test_pcm_is_encoded() -> None:
    assert mulaw_from_wav(wav(fmt(1, 16), SAMPLES)) == g711.encode(SAMPLES)


def test_other_chunks_of_odd_size_are_passed_over() -> None:
    data = wav(fmt(7, 8) + b"\0\0", b"\x05", before=chunk(b"LIST", b"abc"))
    assert mulaw_from_wav(data) == b"\x05"


def test_the_extensible_form_names_its_format_in_the_guid() -> None:
    extension = struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + bytes(14)
    data = wav(fmt(0xFFFE, 16) + extension, SAMPLES)
    assert mulaw_from_wav(data) == g711.encode(SAMPLES)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a WAV file"),
        (b"RIFF\0\0\0\0WAVE", "not a whole WAV file"),
        (wav(fmt(1, 16), SAMPLES)[:30], "not a whole WAV file"),
        (wav(b"\1\0", SAMPLES), "not a whole WAV file"),
        (wav(fmt(1, 16, channels=2), SAMPLES), "2 channel"),
        (wav(fmt(1, 16, rate=44100), SAMPLES), "44100 Hz"),
        (wav(fmt(1, 16), b"\0\0\0"), "format 1 with 16 bits"),
        (wav(fmt(1, 8), SAMPLES), "format 1 with 8 bits"),
        (wav(fmt(0xFFFE, 16), SAMPLES), "format 65534"),
        (wav(fmt(85, 0), SAMPLES), "format 85"),
    ],
)
def test_anything_else_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(UnusableAudioError, match=reason):
        mulaw_from_wav(data)


def test_the_header_of_a_pcm_recording() -> None:
    assert recording_header(pcm=True, data_bytes=8) == (
        b"RIFF\x3a\0\0\0WAVE"
        b"fmt \x12\0\0\0\1\0\2\0\x40\x1f\0\0\0\x7d\0\0\4\0\x10\0\0\0"
        b"fact\4\0\0\0\2\0\0\0"
        b"data\x08\0\0\0"
    )


def test_the_header_of_a_mulaw_recording() -> None:
    assert recording_header(pcm=False, data_bytes=8) == (
        b"RIFF\x3a\0\0\0WAVE"
        b"fmt \x12\0\0\0\7\0\2\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x08\0\0\0"
        b"fact\4\0\0\0\4\0\0\0"
        b"data\x08\0\0\0"
    )


def test_more_than_a_header_can_say_is_said_as_the_most() -> None:
    header = recording_header(pcm=True, data_bytes=2**33)
    assert header[4:8] == header[-4:] == b"\xff" * 4


@pytest.mark.parametrize("pcm", [True, False])
def test_a_header_is_repaired_from_the_size_of_its_file(pcm: bool) -> None:
    blank = recording_header(pcm=pcm, data_bytes=0)
    whole = recording_header(pcm=pcm, data_bytes=400), HEADER_BYTES + 400
    assert repaired_header(blank, HEADER_BYTES + 400) == whole
    assert repaired_header(blank, HEADER_BYTES + 401) == whole


@pytest.mark.parametrize(
    "header", [b"", recording_header(pcm=True, data_bytes=4), bytes(HEADER_BYTES)]
)
def test_no_other_file_is_taken_for_a_recording(header: bytes) -> None:
    with pytest.raises(UnusableAudioError, match="no recording"):
        repaired_header(header, 1000)
