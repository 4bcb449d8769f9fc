"""When a caller speaks, listens and hangs up: a pure model of a person on the phone."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.media_player import FRAME_BYTES, SILENCE, Burst, MediaPlayer, audible_end
from lab.twilio_expectations import Expectations, Verdict
from lab.twilio_plan import CallPlan, Cough, HangUp, Press, Step, Turn, Wait

__all__ = ["SILENT_FRAME", "Caller", "SaidTurn", "StepResult"]

SILENT_FRAME = SILENCE * FRAME_BYTES
_BETWEEN_DIGITS_S = 0.1

_MET = Verdict(True)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What came of one step.

    Attributes:
        ended_at: When that was clear, None for a step that was never begun.
        detail: What happened instead, empty when all went well.
    """

    step: Step
    ok: bool
    ended_at: float | None
    detail: str = ""


@dataclass(slots=True)
class SaidTurn:
    """When one turn was spoken and what it met; seconds on the caller's clock.

    Attributes:
        said_at: When its first frame was sent.
        said_ended_at: When its last audible frame was sent.
        interrupted: The utterance of the assistant it was spoken over.
        reply: The utterance that answered it, None while there is none.
    """

    said_at: float
    said_ended_at: float | None = None
    interrupted: Burst | None = None
    reply: Burst | None = None

    def find_reply(self, bursts: list[Burst]) -> Burst | None:
        """Return the first utterance begun in or after this turn and outlasting it.

        One that was cut before the turn ended answered only a part of it.
        """
        ended_at = self.said_ended_at
        if self.reply is None and ended_at is not None:
            for burst in bursts:
                begun = burst.starts_at >= self.said_at
                if begun and burst.ends_at > ended_at and burst.audible_at is not None:
                    self.reply = burst
                    break
        return self.reply


@dataclass(slots=True)
class _Speech:
    """Audio that is being said; *turn* is None for a noise."""

    audio: bytes
    audible_bytes: int
    turn: SaidTurn | None
    offset: int = 0


class Caller:
    """Carries out a plan's steps; ask it for a frame every 20 ms.

    Attributes:
        turns: Every turn begun so far.
        results: What came of every step that is over.
        has_hung_up: Whether the caller wants the call to end.
    """

    def __init__(
        self,
        plan: CallPlan,
        *,
        player: MediaPlayer,
        verbs: Sequence[str],
        started_at: float,
    ) -> None:
        """Begin the call; *verbs* lists the verbs carried out, and grows."""
        self.turns: list[SaidTurn] = []
        self.results: list[StepResult] = []
        self.has_hung_up = False
        self._plan = plan
        self._player = player
        self._expectations = Expectations(player, verbs)
        self._since = started_at
        self._speech: _Speech | None = None
        self._digits: list[tuple[float, str]] | None = None

    @property
    def has_failed(self) -> bool:
        """Whether a step failed, after which no other is tried."""
        return bool(self.results) and not self.results[-1].ok

    def frame(self, *, now: float) -> bytes:
        """Return the next 160 bytes of caller audio."""
        voice = self._plan.voice
        if voice is not None:
            self.has_hung_up = voice.has_hung_up
            return voice.frame()
        while self._speech is None and not self.has_hung_up:
            verdict = self._try(now)
            if verdict is None:
                break
            self._conclude(verdict, now)
        return SILENT_FRAME if self._speech is None else self._speak(self._speech, now)

    def due_digits(self, *, now: float) -> str:
        """Return the keys to press now."""
        if self._plan.voice is not None:
            return self._plan.voice.digits()
        due = [digit for at, digit in self._digits or () if at <= now]
        self._digits = self._digits[len(due) :] if self._digits is not None else None
        return "".join(due)

    def finish(self, *, ended_by: str, now: float) -> None:
        """Judge the steps that are left when the call is over."""
        while (step := self._step()) is not None:
            verdict = None
            if not self.has_failed:
                verdict = self._expectations.judge_at_end(step, ended_by, now=now)
            if verdict is not None:
                self._conclude(verdict, now)
            elif self.has_failed:
                self.results.append(StepResult(step, False, None, "not reached"))
            else:
                said = "in the middle of it" if self._speech else "before"
                detail = f"the call ended {said} (by {ended_by})"
                self.results.append(StepResult(step, False, now, detail))

    def _step(self) -> Step | None:
        over, steps = len(self.results), self._plan.steps
        return steps[over] if over < len(steps) else None

    def _conclude(self, verdict: Verdict, now: float) -> None:
        step = self._step()
        self._since = now
        if step is None:
            self.has_hung_up = self._plan.hangs_up
            return
        self.results.append(StepResult(step, verdict.ok, now, verdict.detail))
        self.has_hung_up = not verdict.ok or isinstance(step, HangUp)

    def _try(self, now: float) -> Verdict | None:
        """Return what came of the current step, None while it goes on."""
        match step := self._step():
            case None:
                verdict = _MET if self._is_done(now) else None
            case Turn():
                verdict = self._try_turn(step, now)
            case Cough():
                verdict = self._say_over(step.audio, step.after_s, now, is_turn=False)
            case Wait():
                verdict = _MET if now >= self._since + step.seconds else None
            case Press():
                verdict = self._press(step.digits, now)
            case HangUp():
                verdict = _MET
            case _:
                limit_s = self._plan.step_timeout_s
                verdict = self._expectations.judge(
                    step, since=self._since, timeout_s=limit_s, now=now
                )
        return verdict

    def _is_done(self, now: float) -> bool:
        return self._plan.hangs_up and self._may_speak(now)

    def _may_speak(self, now: float) -> bool:
        """Tell whether it is the caller's turn, or nothing was heard for too long."""
        plan = self._plan
        if not self.turns and not plan.waits_for_opening:
            return now >= self._since + plan.quiet_s
        reply = self._reply()
        if reply is None or reply.audible_at is None:
            playing = self._player.buffered_bytes(now=now) > 0
            return not playing and now >= self._since + plan.reply_timeout_s
        return now >= self._player.bursts[-1].ends_at + plan.quiet_s

    def _reply(self) -> Burst | None:
        if self.turns:
            return self.turns[-1].find_reply(self._player.bursts)
        heard = (b for b in self._player.bursts if b.audible_at is not None)
        return next(heard, None)

    def _try_turn(self, turn: Turn, now: float) -> Verdict | None:
        if turn.interrupt_after_s is not None:
            after_s = turn.interrupt_after_s
            return self._say_over(turn.audio, after_s, now, is_turn=True)
        if self._may_speak(now):
            self._begin(turn.audio, now, is_turn=True)
        elif now >= self._since + self._plan.step_timeout_s:
            return Verdict(False, "the voice was never quiet")
        return None

    def _say_over(
        self, audio: bytes, after_s: float, now: float, *, is_turn: bool
    ) -> Verdict | None:
        burst = self._player.bursts[-1] if self._player.bursts else None
        playing = self._player.buffered_bytes(now=now) > 0
        if burst is not None and playing and burst.audible_at is not None:
            if now >= burst.audible_at + after_s:
                self._begin(audio, now, is_turn=is_turn)
        elif not playing and now >= self._since + self._plan.reply_timeout_s:
            return Verdict(False, "there was no voice to speak over")
        return None

    def _begin(self, audio: bytes, now: float, *, is_turn: bool) -> None:
        turn = None
        if is_turn:
            playing = self._player.buffered_bytes(now=now) > 0
            interrupted = self._player.bursts[-1] if playing else None
            turn = SaidTurn(now, interrupted=interrupted)
            self.turns.append(turn)
        self._speech = _Speech(audio, audible_end(audio) or len(audio), turn)

    def _speak(self, speech: _Speech, now: float) -> bytes:
        frame = speech.audio[speech.offset : speech.offset + FRAME_BYTES]
        speech.offset += FRAME_BYTES
        turn = speech.turn
        if turn is not None and turn.said_ended_at is None:
            turn.said_ended_at = now if speech.offset >= speech.audible_bytes else None
        if speech.offset >= len(speech.audio):
            self._speech = None
            self._conclude(_MET, now)
        return frame.ljust(FRAME_BYTES, SILENCE)

    def _press(self, digits: str, now: float) -> Verdict | None:
        if self._digits is None:
            self._digits = [
                (now + index * _BETWEEN_DIGITS_S, digit)
                for index, digit in enumerate(digits)
            ]
        if self._digits:
            return None
        self._digits = None
        return _MET
