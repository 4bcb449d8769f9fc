"""Records calls whose profile asks for it, without ever making a call wait."""

import asyncio
import contextlib
import random
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

import structlog
from obstore.store import S3Store

from backhaul.clock import monotonic_s, unix_s
from backhaul.core.g711 import MULAW_RATE_HZ
from backhaul.core.profile import Profile
from backhaul.errors import SettingsError
from backhaul.tasks import TaskOwner
from region_agent.core.recording_queue import RecordingQueue
from region_agent.core.two_tracks import TwoTracks
from region_agent.recording_files import RecordingFile, repair_parts
from region_agent.recording_uploads import RecordingUploads, open_bucket

__all__ = ["Recorder", "RecordingCounters", "Recordings"]

_BYTES_PER_S: Final = 2 * MULAW_RATE_HZ
_MAX_WAITING_BYTES: Final = 60 * _BYTES_PER_S
"""A disk may stand still for a minute before a recording has a hole."""
_LAST_BATCH_S: Final = 10.0
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]", re.ASCII)

_log = structlog.get_logger()


@dataclass(slots=True)
class RecordingCounters:
    """What became of the recordings of an agent."""

    started: int = 0
    finished: int = 0
    failed: int = 0
    """Recordings that the disk did not take; what it took is repaired at the next
    start."""
    repaired: int = 0
    """Recordings of killed agents."""
    lost_bytes: int = 0
    """Audio of both tracks replaced by silence because the disk was too slow."""


class Recorder:
    """Records one call; made by `Recordings.begin`. Nothing here ever blocks."""

    def __init__(self, file: RecordingFile, call_sid: str) -> None:
        self.file = file
        self.call_sid = call_sid
        self.queue = RecordingQueue(max_bytes=_MAX_WAITING_BYTES)
        self.closed = False
        self._tracks = TwoTracks(now=monotonic_s())

    def caller(self, audio: bytes) -> None:
        """Record mu-law from the caller."""
        if self.closed:
            return
        self._fill_gap()
        self.queue.add(self._tracks.caller(audio))

    def voice(self, audio: bytes) -> None:
        """Record mu-law for the caller; all that counts in positions, in order."""
        if not self.closed:
            self._tracks.voice(audio)

    def cleared(self, position: int, heard: int) -> None:
        """Drop what was not heard; see `backhaul.core.messages.Cleared`."""
        self._tracks.cleared(position=position, heard=heard)

    def close(self) -> None:
        """End the recording; it is completed in the background."""
        if not self.closed:
            self._fill_gap()
            self.closed = True

    def _fill_gap(self) -> None:
        voice, silent_samples = self._tracks.gap(now=monotonic_s())
        self.queue.add(voice)
        self.queue.add_silence(2 * silent_samples)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where recordings of a profile are written."""

    directory: Path
    pcm: bool


@dataclass(slots=True)
class _Batch:
    """What one recording has to write."""

    recorder: Recorder
    pieces: list[bytearray | int]
    is_last: bool
    error: OSError | None = None

    def write(self) -> None:
        file = self.recorder.file
        try:
            file.append(self.pieces)
            if self.is_last:
                file.finish()
        except OSError as exc:
            self.error = exc
            file.abandon()


class Recordings:
    """The recordings of all calls of an agent.

    Args:
        profiles: Those with `Profile.recording` are recorded.
        environ: Holds the ``AWS_*`` variables for ``s3://``.
        directory_base: Where relative directories start.
        spool: Where recordings wait for their upload; keep it over restarts.
        rng: Spreads retries.
        batch_s: Between two writes (s); a killed agent loses that much.

    Raises:
        SettingsError: With one line per store that cannot be used.
    """

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        *,
        environ: Mapping[str, str],
        directory_base: Path,
        spool: Path,
        rng: random.Random,
        batch_s: float = 1.0,
    ) -> None:
        self.counters = RecordingCounters()
        self._batch_s = batch_s
        self._places = _places(profiles, directory_base, spool)
        self.uploads = RecordingUploads(_stores(profiles, environ, spool), rng=rng)
        self._recorders: list[Recorder] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recordings")
        self._tasks = TaskOwner()
        self._stopping = asyncio.Event()
        self._done = asyncio.Event()

    def start(self) -> None:
        """Repair and upload what was left, and begin to write."""
        if self._places:
            self._tasks.spawn(self._write_forever(), name="recordings")

    def begin(self, profile_name: str, call_sid: str) -> Recorder | None:
        """Begin to record a call; None if its profile does not ask for it."""
        place = self._places.get(profile_name)
        if place is None or self._stopping.is_set():
            return None
        now = datetime.fromtimestamp(unix_s(), UTC)
        # What an edge says must not lead out of the directory.
        safe_sid = _UNSAFE.sub("_", call_sid)[:64]
        name = f"{now:%Y%m%dT%H%M%S.%f}Z-{safe_sid}.wav"
        file = RecordingFile(place.directory / name, pcm=place.pcm)
        recorder = Recorder(file, call_sid)
        self._recorders.append(recorder)
        self.counters.started += 1
        return recorder

    async def aclose(self) -> None:
        """Complete every recording and upload, within limits."""
        self._stopping.set()
        for recorder in self._recorders:
            recorder.close()
        if len(self._tasks):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_BATCH_S):
                    await self._done.wait()
        await self.uploads.aclose()
        await self._tasks.aclose()
        self._thread.shutdown(wait=False)

    async def _write_forever(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._repair)
        self.uploads.start()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._batch_s):
                    await self._stopping.wait()
            is_last = self._stopping.is_set()
            batches = self._batches()
            await loop.run_in_executor(self._thread, _write, batches)
            for batch in batches:
                self._settle(batch)
            if is_last:
                break
        self._done.set()

    def _repair(self) -> None:
        for directory in {place.directory for place in self._places.values()}:
            try:
                self.counters.repaired += repair_parts(directory)
            except OSError as exc:
                _log.warning("recording.repair_failed", error=exc.strerror)

    def _batches(self) -> list[_Batch]:
        return [
            _Batch(recorder, recorder.queue.take(), recorder.closed)
            for recorder in self._recorders
        ]

    def _settle(self, batch: _Batch) -> None:
        recorder, error = batch.recorder, batch.error
        if error is not None:
            recorder.close()
            self.counters.failed += 1
            _log.error(
                "recording.failed", call_sid=recorder.call_sid, error=error.strerror
            )
        elif batch.is_last:
            self.counters.finished += 1
            self.uploads.wake()
        else:
            return
        self.counters.lost_bytes += recorder.queue.lost_bytes
        self._recorders.remove(recorder)


def _write(batches: list[_Batch]) -> None:
    for batch in batches:
        batch.write()


def _places(
    profiles: Mapping[str, Profile], directory_base: Path, spool: Path
) -> dict[str, _Place]:
    places: dict[str, _Place] = {}
    for name, profile in profiles.items():
        if profile.recording is None:
            continue
        to = profile.recording.to
        is_remote = to.startswith("s3://")
        directory = _spool_of(to, spool) if is_remote else directory_base / to
        places[name] = _Place(directory, pcm=profile.recording.format == "wav")
    return places


def _stores(
    profiles: Mapping[str, Profile], environ: Mapping[str, str], spool: Path
) -> dict[Path, S3Store]:
    problems: list[str] = []
    stores: dict[Path, S3Store] = {}
    for name, profile in profiles.items():
        to = profile.recording.to if profile.recording else ""
        if not to.startswith("s3://"):
            continue
        try:
            stores[_spool_of(to, spool)] = open_bucket(to, environ)
        except ValueError as exc:
            problems.append(f"profiles.{name}.recording.to: {exc}")
    if problems:
        raise SettingsError(tuple(problems))
    return stores


def _spool_of(url: str, spool: Path) -> Path:
    """Return where recordings for *url* wait; the name says where they belong."""
    return spool / quote(url.removeprefix("s3://"), safe="")
