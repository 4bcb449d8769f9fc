from pathlib import Path

import pytest

from region_agent.core.wav import HEADER_BYTES, recording_header
from region_agent.recording_files import RecordingFile, claim, repair_parts


def pcm_file(data: bytes) -> bytes:
    return recording_header(pcm=True, data_bytes=len(data)) + data


def mulaw_file(data: bytes) -> bytes:
    return recording_header(pcm=False, data_bytes=len(data)) + data


def test_a_recording_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "calls" / "a.wav"
    file = RecordingFile(path, pcm=False)
    file.append([bytearray(b"abcd"), 2])
    file.append([bytearray(b"ef")])
    assert not path.exists()
    file.finish()
    assert path.read_bytes() == mulaw_file(b"abcd\xff\xffef")
    assert list(path.parent.iterdir()) == [path]


def test_samples_can_be_pcm(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "a.wav", pcm=True)
    file.append([bytearray(b"\x00\x80"), 2])
    file.finish()
    samples = b"\x84\x82\x7c\x7d\0\0\0\0"
    assert (tmp_path / "a.wav").read_bytes() == pcm_file(samples)


def test_silence_may_be_of_any_length(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "a.wav", pcm=False)
    file.append([200_000])
    file.finish()
    assert (tmp_path / "a.wav").stat().st_size == HEADER_BYTES + 200_000


def test_only_its_owner_may_read_a_recording(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "calls" / "a.wav", pcm=False)
    file.append([2])
    file.finish()
    assert (tmp_path / "calls").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "calls" / "a.wav").stat().st_mode & 0o777 == 0o600


def test_a_call_without_audio_leaves_no_file(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "calls" / "a.wav", pcm=True)
    file.append([])
    file.finish()
    file.abandon()
    assert list(tmp_path.iterdir()) == []


def test_an_abandoned_part_becomes_a_recording(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "a.wav", pcm=False)
    file.append([bytearray(b"abcd")])
    file.abandon()
    with (tmp_path / "a.wav.part").open("ab") as part:
        part.write(b"e")
    assert repair_parts(tmp_path) == 1
    assert (tmp_path / "a.wav").read_bytes() == mulaw_file(b"abcd")
    assert repair_parts(tmp_path) == 0


def test_a_part_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "a.wav", pcm=False)
    file.append([bytearray(b"ab")])
    assert repair_parts(tmp_path) == 0
    file.append([bytearray(b"cd")])
    file.finish()
    assert (tmp_path / "a.wav").read_bytes() == mulaw_file(b"abcd")


@pytest.mark.parametrize("content", [b"", b"something else"])
def test_files_of_others_are_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav.part").write_bytes(content)
    assert repair_parts(tmp_path) == 0
    assert (tmp_path / "a.wav.part").read_bytes() == content


def test_there_may_be_no_directory_yet(tmp_path: Path) -> None:
    assert repair_parts(tmp_path / "none") == 0


def test_a_file_is_claimed_once(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    assert claim(path) is None
    path.write_bytes(b"abc")
    claimed = claim(path)
    assert claimed is not None
    assert claim(path) is None
    claimed.close()
    again = claim(path)
    assert again is not None
    again.close()
