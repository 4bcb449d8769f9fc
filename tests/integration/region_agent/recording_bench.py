"""Recordings of a test, and how sox hears them."""

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from backhaul.core.profile import Profile, Recording
from region_agent.recordings import Recorder, Recordings
from tests.integration.judges import installed
from tests.integration.region_agent.bench import eventually

FRAMES = 100
CALLER = bytes(range(1, 121)) * 2
VOICE = bytes(range(128, 248)) * 2

VICTIM = """
import asyncio, random, sys
from pathlib import Path
from tests.integration.region_agent.recording_bench import make, speak

async def main():
    recordings = make(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
    recordings.start()
    speak(recordings.begin("desk", "CA1"))
    while not list(Path(sys.argv[1]).rglob("*.part")):
        await asyncio.sleep(0.01)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def make(directory: Path, to: str, form: Any = "wav", **environ: str) -> Recordings:
    recorded = Profile("Be kind.", recording=Recording(to, form))
    return Recordings(
        {"desk": recorded, "private": Profile("Be kind.")},
        environ=environ,
        directory_base=directory,
        spool=directory / "spool",
        rng=random.Random(1),
        batch_s=0.05,
    )


def speak(recorder: Recorder | None, frames: int = FRAMES) -> None:
    """Say 20 ms per frame; the voice says as much."""
    assert recorder is not None
    recorder.voice(VOICE[:160] * frames)
    for _ in range(frames):
        recorder.caller(CALLER[:160])


async def sox(program: str, *arguments: str | Path) -> bytes:
    process = await asyncio.create_subprocess_exec(
        installed(program, package="sox"),
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        output, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b"")
    return output


async def facts(path: Path) -> tuple[str, str, str, str]:
    """Return duration (s), channels, rate and encoding as sox sees them."""
    answers = [await sox("soxi", option, path) for option in ("-D", "-c", "-r", "-e")]
    duration, channels, rate, encoding = (answer.decode().strip() for answer in answers)
    return duration, channels, rate, encoding


async def track(path: Path, channel: int) -> bytes:
    """Return one channel as raw mu-law."""
    return await sox("sox", "-D", path, "-t", "ul", "-", "remix", str(channel))


def files(directory: Path, pattern: str = "*") -> list[Path]:
    return sorted(path for path in directory.rglob(pattern) if path.is_file())


@contextlib.asynccontextmanager
async def running(
    directory: Path, to: str, form: str = "wav", **environ: str
) -> AsyncIterator[Recordings]:
    recordings = make(directory, to, form, **environ)
    recordings.start()
    try:
        yield recordings
    finally:
        await recordings.aclose()


async def killed(directory: Path, to: str, form: str, size: int) -> None:
    """Record a call in another process and kill it once *size* bytes are written."""

    def is_written() -> bool:
        return [part.stat().st_size for part in directory.rglob("*.part")] == [size]

    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", VICTIM, directory, to, form
    )
    try:
        await eventually(is_written)
    finally:
        victim.kill()
        await victim.wait()
