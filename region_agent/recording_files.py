"""Recordings on disk; everything here blocks and belongs into a thread."""

import contextlib
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from backhaul.core import g711
from region_agent.core.two_tracks import MULAW_SILENCE
from region_agent.core.wav import (
    HEADER_BYTES,
    UnusableAudioError,
    recording_header,
    repaired_header,
)

__all__ = ["RecordingFile", "claim", "repair_parts"]

_PART = ".part"
_SLICE_BYTES = 64 * 1024
"""Of a long silence, written at once."""


class RecordingFile:
    """One recording: ``PATH.part`` while it grows, then *path*.

    The lock on the file says that its writer is alive; the kernel takes it back from
    one that was killed. There is no file before there is audio.

    Args:
        path: Where the finished recording is; its directory is made when missing.
        pcm: Whether samples are 16-bit PCM; else mu-law.
    """

    def __init__(self, path: Path, *, pcm: bool) -> None:
        self.path = path
        self._part = path.with_name(path.name + _PART)
        self._pcm = pcm
        self._file: BinaryIO | None = None
        self._data_bytes = 0

    def append(self, pieces: Iterable[bytearray | int]) -> None:
        """Append audio of both tracks as mu-law, or silence of that many bytes.

        Raises:
            OSError: If the disk does not take it.
        """
        for piece in pieces:
            file = self._file or self._open()
            if isinstance(piece, int):
                self._append_silence(file, piece)
            else:
                self._append(file, bytes(piece))
        if self._file is not None:
            self._file.flush()

    def finish(self) -> None:
        """Complete the header and give the file its name; no audio, no file.

        Raises:
            OSError: If the disk does not take it.
        """
        if self._file is None:
            return
        with self._file as file:
            file.seek(0)
            file.write(recording_header(pcm=self._pcm, data_bytes=self._data_bytes))
            _publish(file, self._part, self.path)

    def abandon(self) -> None:
        """Leave the part as it is; `repair_parts` makes a recording of it."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()

    def _open(self) -> BinaryIO:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = file = os.fdopen(descriptor, "wb")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.write(recording_header(pcm=self._pcm, data_bytes=0))
        return file

    def _append(self, file: BinaryIO, audio: bytes) -> None:
        samples = g711.decode(audio) if self._pcm else audio
        file.write(samples)
        self._data_bytes += len(samples)

    def _append_silence(self, file: BinaryIO, size: int) -> None:
        while size > 0:
            self._append(file, MULAW_SILENCE * min(size, _SLICE_BYTES))
            size -= _SLICE_BYTES


def claim(path: Path) -> BinaryIO | None:
    """Open *path* for oneself; None while another process or writer has it."""
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def repair_parts(directory: Path) -> int:
    """Make recordings of what killed writers left in *directory*; return how many.

    Raises:
        OSError: If the disk does not take it.
    """
    return sum(_repair(part) for part in sorted(directory.glob(f"*.wav{_PART}")))


def _repair(part: Path) -> bool:
    file = claim(part)
    if file is None:
        return False
    with file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        try:
            header, size = repaired_header(file.read(HEADER_BYTES), size)
        except UnusableAudioError:
            return False  # not ours
        file.truncate(size)
        file.seek(0)
        file.write(header)
        with contextlib.suppress(FileNotFoundError):  # finished in this very moment
            _publish(file, part, part.with_suffix(""))
    return True


def _publish(file: BinaryIO, part: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    part.rename(path)
