"""Whether a session hears its caller, who says something and waits in vain.

While nobody speaks, as far as the session knows, the caller's audio is judged here as
well: a session that is well says within a fraction of a second that a turn began. So
it is in a long turn, for the session may have missed its end.
"""

import math
from typing import Final

__all__ = ["LONG_TURN_S", "SURE_S", "TURN_ENDS_S", "UNHEARD_MS", "Hearing"]

UNHEARD_MS: Final = 1000.0
"""So much voice (ms) without a turn is no accident: two or three times "Hello?"."""
SURE_S: Final = 3.0
"""Who spoke, and was then quiet for so long (s), waits for an answer. Noise goes on."""
LONG_TURN_S: Final = 3.0
"""A turn that lasts longer (s) is listened to; most do not."""
TURN_ENDS_S: Final = 9.0
"""Without any voice for so long (s) a turn is over, whatever the session says; turn
detection that is in no hurry waits for up to 8 s (OpenAI, `semantic_vad`, low). An
edge has kept all of a turn that is no longer than others."""
_FORGOTTEN_S: Final = 10.0
"""After so long without any voice (s), what there was before does not count."""
_NEXT_FACTOR: Final = 3.0
"""The next session is given so much more voice, and so is one that no other could
follow: what no session takes for a turn may be no caller, but a television."""


class Hearing:
    """What the caller said in vain to one session; a part of the conversation."""

    def __init__(self) -> None:
        self.listens = False
        """Whether voice is to be told of; see the top."""
        self._wanted_ms = UNHEARD_MS
        self._voiced_ms = 0.0
        self._voiced_at = -math.inf
        """When there was voice last."""
        self._turn_at: float | None = None
        """Since when the caller speaks, as the session says."""

    def resume(self) -> None:
        """The caller comes from another session, which may have been left for this."""
        self._wanted_ms = _NEXT_FACTOR * UNHEARD_MS

    def heard(self) -> None:
        """The session says that the caller speaks."""
        self._voiced_ms = 0.0

    def voiced(self, voiced_ms: float, *, now: float) -> None:
        """The caller's latest audio has so much voice (ms)."""
        if not self.listens:
            return
        if now - self._voiced_at > _FORGOTTEN_S:
            self._voiced_ms = 0.0
        if self._turn_at is None:
            self._voiced_ms += voiced_ms
        self._voiced_at = now

    def observe(self, *, quiet: bool, speaking: bool, now: float) -> bool:
        """Tell whether the session is deaf; call it after every event.

        Args:
            quiet: Whether nobody speaks, as far as the session has told.
            speaking: Whether the caller does, as far as that goes.
            now: Monotonic seconds.
        """
        if not speaking:
            self._turn_at = None
        elif self._turn_at is None:
            self._turn_at = now
        self.listens = quiet or self._in_long_turn(now)
        deadline = self._sure_at()
        if deadline is None or now < deadline:
            return False
        self._wanted_ms *= _NEXT_FACTOR
        self._voiced_ms = 0.0
        self._turn_at = now if speaking else None
        self.listens = quiet
        return True

    def next_deadline(self) -> float | None:
        """Return when it wants to be asked again, whatever happens until then."""
        if self._turn_at is not None and not self.listens:
            return self._turn_at + LONG_TURN_S
        return self._sure_at()

    def _in_long_turn(self, now: float) -> bool:
        return self._turn_at is not None and now >= self._turn_at + LONG_TURN_S

    def _sure_at(self) -> float | None:
        if self._turn_at is not None:
            return max(self._voiced_at, self._turn_at + LONG_TURN_S) + TURN_ENDS_S
        if self._voiced_ms < self._wanted_ms:
            return None
        return self._voiced_at + SURE_S
