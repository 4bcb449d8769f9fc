"""Whether a session hears its caller, who says something and waits in vain.

While nobody speaks, as far as the session knows, the caller's audio is judged here as
well: a session that is well says within a fraction of a second that a turn began. Long
turns are judged, too: the session may have missed their end. Time passes with the audio
and with the clock, whichever is slower: no session can answer what comes all at once
before it has come, nor end a turn while nothing comes.
"""

import math
from collections.abc import Callable
from typing import Final

from backhaul.core.g711 import MULAW_RATE_HZ
from backhaul.core.profile import TurnDetection, VadKind
from region_agent.core.conversation_events import CallerMissed, CallerVoiced

__all__ = ["LONG_TURN_MS", "SURE_MS", "UNHEARD_MS", "Hearing"]

_BYTES_PER_MS: Final = MULAW_RATE_HZ // 1000

UNHEARD_MS: Final = 1000.0
"""So much voice without a turn is no accident: two or three times "Hello?"."""
SURE_MS: Final = 3000.0
"""Who spoke, and was then quiet for so long, waits for an answer. Noise goes on."""
LONG_TURN_MS: Final = 3000.0
"""What comes later in a turn is judged; most end before."""
_SPARE_MS: Final = 6000.0
"""A turn whose end is so long overdue has ended."""
_PATIENT_MS: Final = {"low": 8000.0, "medium": 4000.0, "auto": 4000.0, "high": 2000.0}
"""So long does `semantic_vad` wait at most, by eagerness (OpenAI)."""
_RUN_MS: Final = 100.0
"""Shorter voice is a click."""
_BURST_MS: Final = 1000.0
"""Audio may come so much faster than it was spoken, and pass for it."""
_FORGOTTEN: Final = 0.05
"""What was said counts for less by so much of the time that has passed since."""
_AGAIN_FACTOR: Final = 3.0
"""So much more it takes when the call has stayed after all."""


class Hearing:
    """What one session misses of what its caller says; a part of the conversation."""

    def __init__(self, detection: TurnDetection) -> None:
        """Know how turns end."""
        self._wanted_ms = UNHEARD_MS
        self._ends_ms = _turn_end_ms(detection) + _SPARE_MS
        self._quiet = False
        self._turn_ms: float | None = None
        """How much of a turn there is; None: the session knows of none."""
        self._run_ms = self._said_ms = self._since_ms = 0.0
        """Voice without a pause; what was said in vain; what has passed since."""
        self._looked_at, self._spare_ms = -math.inf, 0.0
        """When audio was judged last; how much time has not passed with audio."""

    @property
    def unanswered(self) -> bool:
        """Whether the caller said something of which the session knows nothing."""
        return self._turn_ms is None and self._remembered_ms > 0

    def observe(self, *, quiet: bool, speaking: bool) -> None:
        """Take note of who speaks, as far as the session knows; after every event.

        Args:
            quiet: Nobody does, and nothing is under way.
            speaking: The caller does.
        """
        self._quiet = quiet
        if speaking is not (self._turn_ms is not None):
            self._turn_ms = 0.0 if speaking else None
            self.forget()

    def forget(self) -> None:
        """Nothing was said in vain."""
        self._run_ms = self._said_ms = self._since_ms = 0.0

    def listen(
        self,
        audio: bytes,
        voiced_ms: Callable[[bytes], float],
        *,
        in_doubt: bool,
        now: float,
    ) -> CallerMissed | CallerVoiced | None:
        """Take audio that the session got, and judge it if anybody wants to know.

        Args:
            audio: Of the caller (mu-law).
            voiced_ms: Tells how much of it is voice.
            in_doubt: Whether it is to be told of that in any case.
            now: Monotonic seconds.

        Returns:
            What the conversation is to be told, None for nothing.
        """
        audio_ms = len(audio) / _BYTES_PER_MS
        is_wanted = self._is_wanted(audio_ms)
        if not (is_wanted or in_doubt):
            return None
        of_it_ms = voiced_ms(audio)
        if is_wanted and self._is_missed(self._passed_ms(audio_ms, now), of_it_ms):
            return CallerMissed()
        return CallerVoiced(of_it_ms) if in_doubt and of_it_ms else None

    def _is_wanted(self, audio_ms: float) -> bool:
        if self._turn_ms is None:
            return self._quiet
        self._turn_ms += audio_ms
        return self._turn_ms > LONG_TURN_MS

    def _passed_ms(self, audio_ms: float, now: float) -> float:
        elapsed_ms = 1000 * (now - self._looked_at)
        self._looked_at = now
        self._spare_ms = min(self._spare_ms + elapsed_ms, _BURST_MS)
        passed_ms = min(audio_ms, self._spare_ms)
        self._spare_ms -= passed_ms
        return passed_ms

    def _is_missed(self, passed_ms: float, voiced_ms: float) -> bool:
        self._run_ms = self._run_ms + voiced_ms if voiced_ms else 0.0
        if self._run_ms < _RUN_MS:
            self._since_ms += passed_ms
            return self._is_deaf()
        is_new = self._run_ms - voiced_ms < _RUN_MS
        self._said_ms = self._remembered_ms + (self._run_ms if is_new else voiced_ms)
        self._since_ms = 0.0
        return False

    @property
    def _remembered_ms(self) -> float:
        return max(self._said_ms - _FORGOTTEN * self._since_ms, 0.0)

    def _is_deaf(self) -> bool:
        if self._turn_ms is None:
            deaf = self._said_ms >= self._wanted_ms and self._since_ms >= SURE_MS
        else:
            deaf = self._since_ms >= self._ends_ms
        if deaf:  # and what was said stays unanswered, until a turn begins
            self._wanted_ms *= _AGAIN_FACTOR
            self._ends_ms *= _AGAIN_FACTOR
            self._since_ms = 0.0
        return deaf


def _turn_end_ms(detection: TurnDetection) -> float:
    """Return how long a session waits at most to be sure that a turn is over."""
    if detection.type is VadKind.SERVER:
        return float(detection.silence_duration_ms)
    return _PATIENT_MS[detection.eagerness]
