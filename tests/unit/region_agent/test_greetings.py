from pathlib import Path

import pytest

from backhaul.core.messages import Greeting
from backhaul.core.profile import Profile
from backhaul.errors import SettingsError
from region_agent.greetings import read_greetings


def profile(file: str = "") -> Profile:
    return Profile(instructions="Be kind.", greeting="Hello.", greeting_file=file)


def test_recordings_are_read_from_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "hello.ulaw").write_bytes(b"\xff" * 800)
    found = read_greetings({"desk": profile("hello.ulaw"), "bot": profile()}, tmp_path)
    assert found == {"desk": Greeting("desk", "Hello.", b"\xff" * 800)}


def test_every_recording_that_cannot_be_used_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "empty.ulaw").write_bytes(b"")
    (tmp_path / "long.ulaw").write_bytes(b"\xff" * (30 * 8000 + 1))
    (tmp_path / "hello.mp3").write_bytes(b"ID3")
    names = ["empty.ulaw", "long.ulaw", "hello.mp3", "none.wav"]
    profiles = {name.partition(".")[0]: profile(name) for name in names}
    with pytest.raises(SettingsError) as refused:
        read_greetings(profiles, tmp_path)
    advice = "use 8 kHz mono mu-law or 16-bit PCM"
    where = [
        f"profiles.{name.partition('.')[0]}.greeting_file: {name}" for name in names
    ]
    assert refused.value.problems == (
        f"{where[0]} is empty or longer than 30 s; {advice}",
        f"{where[1]} is empty or longer than 30 s; {advice}",
        f"{where[2]} is not a WAV file; {advice}",
        f"{where[3]} No such file or directory",
    )
