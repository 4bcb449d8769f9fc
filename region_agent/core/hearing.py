"""Whether a session hears its caller, who says something and waits in vain.

While the model's voice is not heard, and no turn is known, the caller's audio is judged
here as well: a session that is well says within a fraction of a second that a turn
began. Long turns are judged, too: the session may have missed their end. Time passes
with the audio and with the clock, whichever is slower: no session can answer what comes
all at once before it has come, nor end a turn while nothing comes.
"""

import math
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from backhaul.core.g711 import MULAW_RATE_HZ
from backhaul.core.profile import TurnDetection, VadKind
from region_agent.core.conversation_events import CallerMissed, CallerVoiced

__all__ = ["LONG_TURN_MS", "SURE_MS", "UNHEARD_MS", "Hearing", "Line"]

_BYTES_PER_MS: Final = MULAW_RATE_HZ // 1000

UNHEARD_MS: Final = 800.0
"""So much voice without a turn is no accident: "Hello?", and again."""
SURE_MS: Final = 3000.0
"""Who spoke, and was then quiet for so long, waits for an answer. Noise goes on."""
LONG_TURN_MS: Final = 3000.0
"""What comes later in a turn is judged; most end before."""
_PATIENT_MS: Final = {"low": 8000.0, "medium": 4000.0, "auto": 4000.0, "high": 2000.0}
"""So long does `semantic_vad` wait at most, by eagerness (OpenAI)."""
_SPARE_MS: Final = 6000.0
"""A turn whose end is so long overdue has ended ..."""
_LATEST_MS: Final = 10_000.0
"""... or at the latest after so long without voice: edges keep 14 s of it ..."""
_LEAST_SPARE_MS: Final = 2000.0
"""... but turn detection may have been told to take longer, and has some time more."""
_SHORTEST_MS: Final = 100.0
"""Shorter voice is a click ..."""
_LONGEST_MS: Final = 10_000.0
"""... and longer voice without a pause is a machine."""
_BURST_MS: Final = 1000.0
"""Audio may come so much faster than it was spoken, and pass for it."""
_FORGOTTEN: Final = 0.01
"""What was said counts for less by so much of the time that has passed since."""
_AGAIN_FACTOR: Final = 3.0
"""So much more voice, or time without any, it takes when the call has stayed."""


class Line(Enum):
    """What goes on between the caller and one session, as far as that has told."""

    AWAY = auto()
    """The caller is not there."""
    VOICE = auto()
    """The model is heard: what comes from the caller may be its echo."""
    BUSY = auto()
    """Nobody is heard; something is under way."""
    QUIET = auto()
    """Nobody is heard; it is the caller who may speak."""
    TURN = auto()
    """The caller speaks."""


_OPEN: Final = frozenset({Line.BUSY, Line.QUIET})
"""In these, whatever is said should begin a turn."""
_FORGETTING: Final = frozenset({Line.AWAY, Line.TURN})
"""With these, what was said before is over."""


class Hearing:
    """What one session misses of what its caller says; a part of the conversation."""

    def __init__(self, detection: TurnDetection) -> None:
        """Know how turns end."""
        self._wanted_ms = UNHEARD_MS
        self._ends_ms = _overdue_ms(detection)
        self._line = Line.AWAY
        self._turn_ms = 0.0
        """How much of a turn there is."""
        self._run_ms = self._said_ms = self._since_ms = 0.0
        """Voice without a pause; what was said in vain; what has passed since."""
        self._missed = False
        """Whether a verdict was given, and no turn has begun since."""
        self._voiced_at = self._looked_at = -math.inf
        """When there was voice last; when audio was judged last."""
        self._ahead_ms = 0.0
        """How much more time has passed on the clock than with audio."""

    @property
    def unanswered(self) -> bool:
        """Whether the caller said something of which the session knows nothing."""
        return self._missed or self._remembered_ms > 0

    def observe(self, line: Line) -> None:
        """Take note of what goes on; call it after every event."""
        before, self._line = self._line, line
        if before is not line and not {before, line}.isdisjoint(_FORGETTING):
            self._turn_ms = 0.0
            self.forget()

    def forget(self) -> None:
        """Nothing was said in vain."""
        self._run_ms = self._said_ms = self._since_ms = 0.0
        self._missed = False

    def listen(
        self,
        audio: bytes,
        voiced_ms: Callable[[bytes], float],
        *,
        in_doubt: bool,
        heard_at: float,
        now: float,
    ) -> CallerMissed | CallerVoiced | None:
        """Take audio that the session got, and judge it if anybody wants to know.

        Args:
            audio: Of the caller (mu-law).
            voiced_ms: Tells how much of it is voice.
            in_doubt: Whether it is to be told of that in any case.
            heard_at: When the session said anything last (monotonic s): one that says
                nothing at all is not deaf but gone, which others find out.
            now: Monotonic seconds.

        Returns:
            What the conversation is to be told, None for nothing.
        """
        audio_ms = len(audio) / _BYTES_PER_MS
        is_wanted = self._is_wanted(audio_ms)
        if not (is_wanted or in_doubt):
            return None
        of_it_ms = voiced_ms(audio)
        if is_wanted:
            self._judge(self._passed_ms(audio_ms, now), of_it_ms, now)
            if self._is_deaf(heard_at):
                return CallerMissed()
        return CallerVoiced(of_it_ms) if in_doubt and of_it_ms else None

    def _is_wanted(self, audio_ms: float) -> bool:
        if self._line is not Line.TURN:
            return self._line in _OPEN
        self._turn_ms += audio_ms
        return self._turn_ms > LONG_TURN_MS

    def _passed_ms(self, audio_ms: float, now: float) -> float:
        elapsed_ms = 1000 * (now - self._looked_at)
        self._looked_at = now
        self._ahead_ms = min(self._ahead_ms + elapsed_ms, _BURST_MS)
        passed_ms = min(audio_ms, self._ahead_ms)
        self._ahead_ms -= passed_ms
        return 0.0 if self._line is Line.BUSY else passed_ms

    def _judge(self, passed_ms: float, voiced_ms: float, now: float) -> None:
        self._run_ms = self._run_ms + voiced_ms if voiced_ms else 0.0
        if self._run_ms < _SHORTEST_MS:
            self._since_ms += passed_ms
            return
        is_new = self._run_ms - voiced_ms < _SHORTEST_MS
        said_ms = self._remembered_ms + (self._run_ms if is_new else voiced_ms)
        self._since_ms, self._voiced_at = 0.0, now
        if self._line is Line.TURN or self._run_ms > _LONGEST_MS:
            said_ms = 0.0
        # More than is wanted would be remembered for longer, and change nothing.
        self._said_ms = min(said_ms, self._wanted_ms)

    @property
    def _remembered_ms(self) -> float:
        return max(self._said_ms - _FORGOTTEN * self._since_ms, 0.0)

    def _is_deaf(self, heard_at: float) -> bool:
        if self._line is Line.TURN:
            deaf = self._since_ms >= self._ends_ms
        else:
            deaf = self._said_ms >= self._wanted_ms and self._since_ms >= SURE_MS
        if not deaf or heard_at <= self._voiced_at:
            return False
        self._said_ms = self._since_ms = 0.0
        self._missed = True
        self._wanted_ms *= _AGAIN_FACTOR
        self._ends_ms *= _AGAIN_FACTOR
        return True


def _overdue_ms(detection: TurnDetection) -> float:
    """Return after how long without voice a turn has ended, whoever says what."""
    patient_ms = _PATIENT_MS[detection.eagerness]
    if detection.type is VadKind.SERVER:
        patient_ms = float(detection.silence_duration_ms)
    return max(
        min(patient_ms + _SPARE_MS, _LATEST_MS),
        patient_ms + _LEAST_SPARE_MS,
    )
