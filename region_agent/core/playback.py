"""What of the voice has gone to the caller, waits to go, and was really heard."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from backhaul.core.g711 import MULAW_RATE_HZ

__all__ = [
    "BYTES_PER_MS",
    "MAX_AHEAD_BYTES",
    "MAX_HELD_BYTES",
    "UNTOLD_S",
    "Playback",
    "PlaybackWatch",
    "Utterance",
    "first_words",
]

BYTES_PER_MS: Final = MULAW_RATE_HZ // 1000
MAX_AHEAD_BYTES: Final = 570 * MULAW_RATE_HZ
"""Most audio (bytes) that may wait at the carrier: nine and a half minutes. Twilio
discards what goes beyond ten (31931), and reports of what was played come late."""
MAX_HELD_BYTES: Final = 16 * 1024 * 1024
"""Most audio (bytes) that may wait here: over half an hour."""
UNTOLD_S: Final = 20.0
"""So long after it should have been heard (s), the voice was heard, whether or not the
carrier says so."""


@dataclass(slots=True)
class Utterance:
    """One stretch of the voice: an item of the model, or a fixed phrase."""

    item_id: str
    """The conversation's name for it; empty when it is not part of it."""
    fixed: bool = False
    """Whether it is a fixed phrase, whose item holds text and no audio."""
    text: str = field(default="", repr=False)
    """All of it; empty until it is known."""
    written: str = field(default="", repr=False)
    """What has come of the text so far."""
    told: bool = False
    """Whether the text was reported."""
    generated_bytes: int = 0
    """All audio of it that there was, forwarded or not."""
    start: int = 0
    """Position of its first byte."""
    forwarded_bytes: int = 0
    heard_bytes: int | None = None
    """How much of it the caller heard; None while that is open."""
    finished: bool = False
    """Whether all of it has come, and has gone out or is held."""
    interrupted: bool = False
    """Whether no more of it may go out; how much was heard is being asked."""

    @property
    def end(self) -> int:
        """Position after its last byte so far."""
        return self.start + self.forwarded_bytes

    @property
    def heard_whole(self) -> bool:
        """Whether the caller heard all of it."""
        return self.finished and self.heard_bytes == self.forwarded_bytes

    @property
    def heard_ms(self) -> int:
        """How much of it the caller heard (ms)."""
        return (self.heard_bytes or 0) // BYTES_PER_MS

    @property
    def words(self) -> str:
        """As much of the text as is known."""
        return self.text or self.written

    def words_until(self, size: int) -> str:
        """Return the words that the first *size* bytes of the audio stand for."""
        return first_words(self.words, size, self.generated_bytes)


def first_words(text: str, size: int, whole: int) -> str:
    """Return as many words of *text* as *size* is of *whole*, at least one of some."""
    if size >= whole:
        return text
    words = text.split()
    count = int(len(words) * size / whole)
    return " ".join(words[: max(count, 1 if size > 0 else 0)])


class Playback:
    """The way of the voice from the model to the caller's ear.

    Positions count the bytes that were forwarded in this call, in order, what the
    edge plays by itself included.
    """

    def __init__(self, *, max_ahead_bytes: int = MAX_AHEAD_BYTES) -> None:
        self.forwarded = 0
        """Position after the last byte that went out."""
        self.played = 0
        """Position up to which everything was played or dropped."""
        self.overflowed_bytes = 0
        """Audio beyond what may wait here."""
        self._max_ahead_bytes = max_ahead_bytes
        self._paused = False
        self._held: deque[tuple[Utterance, bytes]] = deque()
        self._held_bytes = 0
        self._open: deque[Utterance] = deque()

    @property
    def audible(self) -> bool:
        """Whether the caller hears, or is about to hear, the voice."""
        return self.played < self.forwarded or bool(self._held)

    @property
    def ahead_s(self) -> float:
        """How long the caller will hear the voice if nothing more comes (s)."""
        return (self.forwarded - self.played + self._held_bytes) / MULAW_RATE_HZ

    def resume(self, *, position: int, heard: int) -> None:
        """Go on where another agent left off: the edge has got all up to *position*."""
        self.forwarded = max(position, heard)
        self.played = heard

    def adopt(self, utterance: Utterance) -> None:
        """Take note of an utterance that another agent has forwarded."""
        self._open.append(utterance)

    def begin(self, utterance: Utterance) -> Utterance:
        """Take note of an utterance whose audio is about to come."""
        utterance.start = self.forwarded
        self._open.append(utterance)
        return utterance

    def offer(self, utterance: Utterance, audio: bytes) -> bool:
        """Take audio of an utterance; tell whether it may be forwarded now.

        What may not is held, and comes out of `release`.
        """
        utterance.generated_bytes += len(audio)
        if not self._held and self._may_go(len(audio)):
            self._forward(utterance, len(audio))
            return True
        if self._held_bytes + len(audio) > MAX_HELD_BYTES:
            self.overflowed_bytes += len(audio)
            return False
        self._held.append((utterance, audio))
        self._held_bytes += len(audio)
        return False

    def release(self) -> tuple[bytes, ...]:
        """Return held audio that may be forwarded now."""
        released: list[bytes] = []
        while self._held and self._may_go(len(self._held[0][1])):
            utterance, audio = self._held.popleft()
            self._held_bytes -= len(audio)
            self._forward(utterance, len(audio))
            released.append(audio)
        return tuple(released)

    def pause(self, *, paused: bool) -> None:
        """Hold everything while the carrier reads too slowly."""
        self._paused = paused

    def on_played(self, position: int) -> tuple[Utterance, ...]:
        """Everything up to *position* was played; return what was heard to its end."""
        self.played = max(self.played, min(position, self.forwarded))
        done: list[Utterance] = []
        while self._open and self._is_over(self._open[0]):
            utterance = self._open.popleft()
            utterance.heard_bytes = utterance.forwarded_bytes
            done.append(utterance)
        return tuple(done)

    def interrupt(self) -> None:
        """Forget what was not forwarded yet; `on_cleared` settles all the rest."""
        for utterance, _ in self._held:
            utterance.finished = False
        self._held.clear()
        self._held_bytes = 0
        for utterance in self._open:
            utterance.interrupted = True

    def on_cleared(self, position: int, heard: int) -> tuple[Utterance, ...]:
        """The carrier dropped *heard* to *position*; return what that settles.

        Of what was forwarded before *position*, nothing is played any more; what came
        after it waits for an answer of its own.
        """
        position = min(position, self.forwarded)
        heard = min(heard, position)
        self.played = max(self.played, position)
        settled: list[Utterance] = []
        while self._open and self._is_settled_at(position):
            utterance = self._open.popleft()
            reached = min(max(heard - utterance.start, 0), utterance.forwarded_bytes)
            utterance.heard_bytes = reached
            settled.append(utterance)
        return tuple(settled)

    def abandon(self) -> tuple[Utterance, ...]:
        """The call is over: return what is unsettled, heard as far as is known."""
        settled = tuple(self._open)
        self._open.clear()
        for utterance in settled:
            known = self.played - utterance.start
            utterance.heard_bytes = min(max(known, 0), utterance.forwarded_bytes)
        return settled

    def _is_settled_at(self, position: int) -> bool:
        first = self._open[0]
        # A carrier may also drop audio by itself, when its stream breaks.
        if not first.interrupted:
            return bool(first.forwarded_bytes) and self._is_over(first)
        return first.start < position or not first.forwarded_bytes

    def _is_over(self, utterance: Utterance) -> bool:
        held = any(owner is utterance for owner, _ in self._held)
        return utterance.finished and not held and utterance.end <= self.played

    def _may_go(self, count: int) -> bool:
        ahead = self.forwarded - self.played
        return not self._paused and ahead + count <= self._max_ahead_bytes

    def _forward(self, utterance: Utterance, count: int) -> None:
        if not utterance.forwarded_bytes:
            utterance.start = self.forwarded
        utterance.forwarded_bytes += count
        self.forwarded += count


class PlaybackWatch:
    """Notices a carrier that tells nothing: a call must not wait for it for ever."""

    def __init__(self, playback: Playback) -> None:
        self._playback = playback
        self._seen = (0, 0)
        self._due_at: float | None = None

    def observe(self, *, now: float) -> None:
        """Take note of how far the voice is; call it after every event."""
        playback = self._playback
        seen = playback.forwarded, playback.played
        if not playback.audible:
            self._due_at = None
        elif seen != self._seen:
            self._due_at = now + playback.ahead_s + UNTOLD_S
        self._seen = seen

    def next_deadline(self) -> float | None:
        """Return when `overdue` wants to be asked."""
        return self._due_at

    def overdue(self, *, now: float) -> bool:
        """Tell whether all that went out must have been heard by now."""
        overdue = self._due_at is not None and now >= self._due_at
        if overdue:
            ahead_s = self._playback.ahead_s  # of what is held and may never go out
            self._due_at = now + ahead_s + UNTOLD_S
        return overdue
