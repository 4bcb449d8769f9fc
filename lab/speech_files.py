"""The speech files of the stand-ins: who says what, and how it sounds."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from backhaul.core.g711 import energy

__all__ = [
    "SpeechLine",
    "all_lines",
    "caller_lines",
    "cough",
    "greeting_line",
    "lines_in",
    "load_line",
    "reply_lines",
]

_FRAME_S = 0.02
_FRAME_BYTES = 160
_LONGEST_COUGH_S = 1.0


@dataclass(frozen=True, slots=True)
class SpeechLine:
    """One spoken line.

    Attributes:
        name: File name without its suffix, such as ``caller-1``.
        voice: Who speaks, a key of ``voices`` in lines.toml.
        text: What is said, word for word.
        audio: G.711 mu-law, 8 kHz mono, no header.
    """

    name: str
    voice: str
    text: str
    audio: bytes

    @property
    def duration_s(self) -> float:
        """How long the line takes to say, in seconds."""
        return len(self.audio) / 8000


@cache
def _all_lines() -> dict[str, SpeechLine]:
    directory = files("lab") / "speech"
    table = tomllib.loads((directory / "lines.toml").read_text(encoding="utf-8"))
    return {
        name: SpeechLine(
            name=name,
            voice=line["voice"],
            text=line["text"],
            audio=(directory / f"{name}.ulaw").read_bytes(),
        )
        for name, line in table["lines"].items()
    }


def all_lines() -> tuple[SpeechLine, ...]:
    """Return every line, in the order of lines.toml."""
    return tuple(_all_lines().values())


def load_line(name: str) -> SpeechLine:
    """Return the line called *name*.

    Raises:
        KeyError: If there is none.
    """
    return _all_lines()[name]


def greeting_line() -> SpeechLine:
    """Return the greeting of the assistant."""
    return load_line("greeting")


def caller_lines() -> tuple[SpeechLine, ...]:
    """Return what callers say in ordinary talk, each a whole turn."""
    return tuple(line for line in all_lines() if _is_numbered(line.name, "caller"))


def reply_lines() -> tuple[SpeechLine, ...]:
    """Return what the assistant replies in ordinary talk."""
    return tuple(line for line in all_lines() if _is_numbered(line.name, "reply"))


def lines_in(voice: bytes) -> tuple[str, ...]:
    """Return the names of the lines that are in *voice* whole, in order."""
    found: list[tuple[int, str]] = []
    for line in all_lines():
        start = voice.find(line.audio)
        while start >= 0:
            found.append((start, line.name))
            start = voice.find(line.audio, start + len(line.audio))
    return tuple(name for _, name in sorted(found))


def cough(duration_s: float) -> bytes:
    """Return the loudest *duration_s* of a caller's line: a voice, but no word.

    Raises:
        ValueError: If it is not between 0.02 s and 1 s.
    """
    if not _FRAME_S <= duration_s <= _LONGEST_COUGH_S:
        raise ValueError(f"a cough of {duration_s:g} s")
    audio = load_line("caller-1").audio
    length = round(duration_s / _FRAME_S) * _FRAME_BYTES
    starts = range(0, len(audio) - length, _FRAME_BYTES)
    loudest = max(starts, key=lambda start: energy(audio[start : start + length]))
    return audio[loudest : loudest + length]


def _is_numbered(name: str, kind: str) -> bool:
    return name.startswith(f"{kind}-") and name.removeprefix(f"{kind}-").isdigit()
