"""The speech files of the stand-ins: who says what, and how it sounds."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = [
    "SpeechLine",
    "all_lines",
    "caller_lines",
    "greeting_line",
    "load_line",
    "reply_lines",
]


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
    """Return what callers say."""
    return tuple(line for line in all_lines() if line.name.startswith("caller-"))


def reply_lines() -> tuple[SpeechLine, ...]:
    """Return what the assistant replies, the greeting not among it."""
    return tuple(line for line in all_lines() if line.name.startswith("reply-"))
