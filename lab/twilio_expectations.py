"""Whether what a caller expects has happened: judged from the voice and the verbs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.media_player import SAMPLE_RATE_HZ, MediaPlayer, heard_bytes
from lab.twilio_plan import (
    ExpectDigits,
    ExpectEnd,
    ExpectHeard,
    ExpectSilence,
    ExpectVerb,
    Step,
)

__all__ = ["Expectations", "Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a step succeeded, and if not, what happened instead."""

    ok: bool
    detail: str = ""


class Expectations:
    """Judges expectations in order: none is met by what met an earlier one."""

    def __init__(self, player: MediaPlayer, verbs: Sequence[str]) -> None:
        self._player = player
        self._verbs = verbs
        self._heard_bytes = 0
        self._verbs_seen = 0

    def judge(
        self, step: Step, *, since: float, timeout_s: float, now: float
    ) -> Verdict | None:
        """Return the verdict on *step*, begun at *since*; None while it is open."""
        if isinstance(step, ExpectSilence):
            return self._judge_silence(step.seconds, since, now)
        if self._is_met(step, now):
            return Verdict(True)
        if isinstance(step, ExpectHeard):
            timeout_s += len(step.audio) / SAMPLE_RATE_HZ
        if now < since + timeout_s:
            return None
        return Verdict(False, f"{self._instead(step, now)} in {timeout_s:g} s")

    def judge_at_end(self, step: Step, ended_by: str, *, now: float) -> Verdict | None:
        """Return the verdict on *step* now that the call is over.

        None for what can no longer be done.
        """
        if isinstance(step, ExpectEnd):
            ok = step.ended_by == ended_by
            return Verdict(ok, "" if ok else f"it was ended by {ended_by}")
        if not isinstance(step, ExpectHeard | ExpectVerb | ExpectDigits):
            return None
        if self._is_met(step, now):
            return Verdict(True)
        return Verdict(False, f"{self._instead(step, now)} until the call ended")

    def _judge_silence(
        self, seconds: float, since: float, now: float
    ) -> Verdict | None:
        if self._player.is_audible(now=now):
            return Verdict(False, f"a voice after {now - since:.1f} s")
        return Verdict(True) if now >= since + seconds else None

    def _is_met(self, step: Step, now: float) -> bool:
        match step:
            case ExpectHeard(audio=audio):
                found = self._player.find(audio, self._heard_bytes, now=now)
                if found >= 0:
                    self._heard_bytes = found + len(audio)
                return found >= 0
            case ExpectVerb(words=words):
                wanted = words.split()
                return self._find_verb(lambda verb: verb[: len(wanted)] == wanted)
            case ExpectDigits(digits=digits):
                return self._find_verb(lambda verb: _digits(verb) == digits)
            case _:
                return False

    def _find_verb(self, is_wanted: Callable[[list[str]], bool]) -> bool:
        for index in range(self._verbs_seen, len(self._verbs)):
            if is_wanted(self._verbs[index].split()):
                self._verbs_seen = index + 1
                return True
        return False

    def _instead(self, step: Step, now: float) -> str:
        if isinstance(step, ExpectHeard):
            share = self._share_heard(step.audio, now)
            return f"only the first {share:.0%} of it was heard"
        if isinstance(step, ExpectEnd):
            return "the call did not end"
        later = ", ".join(self._verbs[self._verbs_seen :]) or "no verb"
        return f"{later} instead"

    def _share_heard(self, audio: bytes, now: float) -> float:
        start = self._heard_bytes
        heard = heard_bytes(audio, lambda p: self._player.find(p, start, now=now))
        return heard / len(audio)


def _digits(verb: list[str]) -> str | None:
    """Return the touch tones of a verb without their pauses, None if it has none."""
    played = verb[:2] == ["Play", "digits"] and len(verb) > len(("Play", "digits"))
    return verb[-1].replace("w", "").replace("W", "") if played else None
