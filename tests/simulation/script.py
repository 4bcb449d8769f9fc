"""What a caller says in one call, by position in their audio."""

import random
from dataclasses import dataclass, field

BYTES_PER_S = 8000
FRAME_S = 0.2
FRAME_BYTES = 1600
_BREATHES_EVERY = 15
"""Frames, of which one has no voice: nobody speaks for long without drawing breath."""
_TAPE = random.Random(1).randbytes(768 * 1024)
"""No two places of it are alike, so that audio shows where it comes from."""


@dataclass(slots=True)
class Turn:
    """One turn of the caller, `start` to `end` of their audio (bytes)."""

    text: str
    start: int
    end: int
    books: bool
    """Whether the caller wants something done, for which there is a tool."""


@dataclass(slots=True)
class Script:
    """All that one caller says."""

    call_sid: str
    offset: int
    length: int
    """When the caller hangs up (bytes of their audio)."""
    turns: list[Turn] = field(default_factory=list[Turn])

    def audio(self, start: int, size: int) -> bytes:
        """Return the caller's audio."""
        at = self.offset + start
        return _TAPE[at : at + size]

    def voiced_ms(self, start: int, size: int) -> float:
        """Return how much of their audio is voice (ms)."""
        if start // FRAME_BYTES % _BREATHES_EVERY == 0:
            return 0.0
        end = start + size
        voiced = (min(end, one.end) - max(start, one.start) for one in self.turns)
        return sum(max(one, 0) for one in voiced) / BYTES_PER_S * 1000

    def is_audio(self, audio: bytes, start: int) -> bool:
        return _TAPE.startswith(audio, self.offset + start)


def draw_script(number: int, length_s: float, rng: random.Random) -> Script:
    """Return a script of about *length_s*; the caller begins when they like."""
    script = Script(f"CA{number}", rng.randrange(100_000), 0)
    at = int(rng.uniform(1.5, 4.0) * BYTES_PER_S)
    end = int(length_s * BYTES_PER_S)
    while at < end:
        longest_s = 18.0 if rng.random() < 0.03 else 2.2
        size = int(rng.uniform(0.6, longest_s) * BYTES_PER_S)
        text = f"{script.call_sid} says {len(script.turns)}."
        books = rng.random() < 0.4
        script.turns.append(Turn(text, at, at + size, books))
        at += size + int(rng.uniform(1.5, 7.0) * BYTES_PER_S)
    script.length = script.turns[-1].end + int(rng.uniform(5.0, 8.0) * BYTES_PER_S)
    return script
