"""Recordings as sox hears them; the disk may fail, and so may we."""

import random
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from backhaul.clock import monotonic_s
from region_agent.recordings import Recordings
from tests.integration.region_agent.bench import eventually
from tests.integration.region_agent.recording_bench import (
    CALLER,
    FRAMES,
    VOICE,
    facts,
    files,
    killed,
    running,
    speak,
    track,
)


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Fail on a call that would stop the event loop from within the product."""
    with blockbuster_ctx(["region_agent.recordings", "region_agent.recording_uploads"]):
        yield


@pytest.mark.parametrize(
    ("form", "encoding"), [("wav", "Signed Integer PCM"), ("mulaw", "u-law")]
)
async def test_sox_hears_the_caller_left_and_the_voice_right(
    tmp_path: Path, form: str, encoding: str
) -> None:
    async with running(tmp_path, "calls", form) as recordings:
        recorder = recordings.begin("desk", "CA1")
        speak(recorder)
        assert recorder is not None
        recorder.close()
        await eventually(lambda: recordings.counters.finished == 1)
        (path,) = files(tmp_path / "calls")
    assert path.name.endswith("Z-CA1.wav")
    assert await facts(path) == ("2.000000", "2", "8000", encoding)
    assert await track(path, 1) == CALLER[:160] * FRAMES
    assert await track(path, 2) == VOICE[:160] * FRAMES


async def test_a_recording_grows_while_the_call_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, "calls", "mulaw") as recordings:
        recorder = recordings.begin("desk", "CA1")
        assert recorder is not None
        speak(recorder)
        await eventually(lambda: bool(files(tmp_path, "*.part")))
        (part,) = files(tmp_path, "*.part")
        await eventually(lambda: part.stat().st_size > 32_000)
        recorder.voice(VOICE[:160])
        recorder.cleared((FRAMES + 1) * 160, FRAMES * 160)
        recorder.caller(CALLER[:160])
    (path,) = files(tmp_path / "calls")
    assert (await facts(path))[0] == "2.020000"
    assert await track(path, 2) == VOICE[:160] * FRAMES + b"\xff" * 160


async def test_time_without_a_caller_is_recorded_too(tmp_path: Path) -> None:
    async with running(tmp_path, "calls", "mulaw") as recordings:
        earliest = monotonic_s()
        recorder = recordings.begin("desk", "CA1")
        latest = monotonic_s()
        assert recorder is not None
        await eventually(lambda: monotonic_s() > latest + 1.1)
        at_least = monotonic_s() - latest
        recorder.close()
        at_most = monotonic_s() - earliest
    (path,) = files(tmp_path / "calls")
    duration_s = float((await facts(path))[0])
    assert at_least - 0.001 <= duration_s <= at_most + 0.001
    assert set(await track(path, 1)) == {0xFF}


async def test_only_calls_whose_profile_asks_for_it_are_recorded(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, "calls") as recordings:
        assert recordings.begin("private", "CA1") is None
        assert recordings.begin("unknown", "CA1") is None
    assert recordings.begin("desk", "CA1") is None
    assert recordings.counters.started == 0


async def test_nobody_asks_for_a_recording(tmp_path: Path) -> None:
    nothing = {"environ": {}, "directory_base": tmp_path, "spool": tmp_path / "spool"}
    recordings = Recordings({}, rng=random.Random(1), **nothing)  # type: ignore[arg-type]
    recordings.start()
    assert recordings.begin("desk", "CA1") is None
    await recordings.aclose()
    assert files(tmp_path) == []


async def test_a_call_cannot_choose_another_directory(tmp_path: Path) -> None:
    async with running(tmp_path, "calls") as recordings:
        speak(recordings.begin("desk", "../../CA/1\0" + "x" * 500))
    (path,) = files(tmp_path / "calls")
    assert path.name.partition("-")[2] == "______CA_1_" + "x" * 53 + ".wav"


async def test_a_disk_too_slow_costs_sound_but_not_time(tmp_path: Path) -> None:
    async with running(tmp_path, "calls", "mulaw") as recordings:
        # Seventy seconds of call in one turn of the loop, ten more than may wait.
        speak(recordings.begin("desk", "CA1"), 3500)
    assert recordings.counters.lost_bytes == 500 * 320
    (path,) = files(tmp_path / "calls")
    assert (await facts(path))[0] == "70.000000"
    assert await track(path, 1) == CALLER[:160] * 3000 + b"\xff" * 160 * 500


async def test_a_directory_that_cannot_be_written_harms_no_call(tmp_path: Path) -> None:
    (tmp_path / "calls").write_text("not a directory")
    async with running(tmp_path, "calls") as recordings:
        recorder = recordings.begin("desk", "CA1")
        speak(recorder)
        await eventually(lambda: recordings.counters.failed == 1)
        speak(recorder)
    assert recordings.counters.finished == 0


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Let no file grow beyond 10 kB; the error is another one than of a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_disk")
async def test_what_fits_on_a_full_disk_is_repaired_later(tmp_path: Path) -> None:
    async with running(tmp_path, "calls", "mulaw") as recordings:
        speak(recordings.begin("desk", "CA1"))
        await eventually(lambda: recordings.counters.failed == 1)
    async with running(tmp_path, "calls", "mulaw") as recordings:
        await eventually(lambda: recordings.counters.repaired == 1)
    (path,) = files(tmp_path / "calls")
    assert await track(path, 1) == (CALLER[:160] * FRAMES)[: (10_000 - 58) // 2]


@pytest.mark.parametrize(("form", "size"), [("wav", 64_058), ("mulaw", 32_058)])
async def test_what_a_killed_agent_recorded_is_repaired(
    tmp_path: Path, form: str, size: int
) -> None:
    await killed(tmp_path, "calls", form, size)
    async with running(tmp_path, "calls", form) as recordings:
        await eventually(lambda: recordings.counters.repaired == 1)
    (path,) = files(tmp_path / "calls")
    assert (await facts(path))[0] == "2.000000"
    assert await track(path, 1) == CALLER[:160] * FRAMES


async def test_agents_may_share_a_directory(tmp_path: Path) -> None:
    async with running(tmp_path, "calls") as one:
        speak(one.begin("desk", "CA1"))
        await eventually(lambda: bool(files(tmp_path, "*.part")))
        async with running(tmp_path, "calls") as other:
            speak(other.begin("desk", "CA2"))
        assert (other.counters.repaired, other.counters.finished) == (0, 1)
    assert (one.counters.failed, one.counters.finished) == (0, 1)
    for path in files(tmp_path / "calls"):
        assert (await facts(path))[0] == "2.000000"
