"""When a caller speaks, listens and hangs up: a pure model of a person on the phone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from lab.media_player import FRAME_BYTES, SILENCE, Burst, MediaPlayer, audible_end

__all__ = ["CallPlan", "Caller", "SaidTurn", "Turn"]

SILENT_FRAME = SILENCE * FRAME_BYTES


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing the caller says.

    Attributes:
        audio: 8 kHz mu-law.
        interrupt_after_s: Speak this long after the assistant became audible instead
            of waiting until it has finished.
    """

    audio: bytes
    interrupt_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """One call to place.

    Attributes:
        webhook_url: The voice URL of the number; a fragment is neither sent nor signed.
        turns: What the caller says, in order.
        waits_for_opening: Listen to the assistant first; else speak after `quiet_s`.
        quiet_s: Silence after the assistant's last sample before the caller goes on.
        reply_timeout_s: Go on when nothing was heard for this long.
        max_duration_s: Hang up then, whatever happens.
        hangs_up: Hang up when the last reply has been heard; else wait for the peer.
        dtmf: Touch tones as (seconds after the first `start`, digit).
        fallback_url: Asked once when fetching or running TwiML fails.
        status_callback: Told at the end of the call.
        extra_parameters: Added to, or put in place of, webhook parameters.
    """

    webhook_url: str
    from_number: str
    to_number: str
    turns: tuple[Turn, ...] = ()
    waits_for_opening: bool = True
    quiet_s: float = 0.6
    reply_timeout_s: float = 10.0
    max_duration_s: float = 120.0
    hangs_up: bool = True
    dtmf: tuple[tuple[float, str], ...] = ()
    fallback_url: str = ""
    status_callback: str = ""
    extra_parameters: Mapping[str, str] = field(default_factory=dict[str, str])


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


class _Phase(Enum):
    OPENING = auto()
    SPEAKING = auto()
    LISTENING = auto()
    DONE = auto()


class Caller:
    """Decides frame by frame what the caller says; ask every 20 ms.

    Attributes:
        turns: Every turn begun so far.
    """

    def __init__(
        self, plan: CallPlan, *, player: MediaPlayer, started_at: float
    ) -> None:
        self.turns: list[SaidTurn] = []
        self._plan = plan
        self._player = player
        self._phase = _Phase.OPENING
        self._since = started_at
        self._offset = 0
        self._audible_bytes = 0

    @property
    def is_done(self) -> bool:
        """Whether everything has been said and answered."""
        return self._phase is _Phase.DONE

    def frame(self, *, now: float) -> bytes:
        """Return the next 160 bytes of caller audio."""
        if self._phase in {_Phase.OPENING, _Phase.LISTENING} and self._may_go_on(now):
            self._go_on(now)
        if self._phase is not _Phase.SPEAKING:
            return SILENT_FRAME
        return self._speak(now)

    def _may_go_on(self, now: float) -> bool:
        if self._phase is _Phase.OPENING and not self._plan.waits_for_opening:
            return now >= self._since + self._plan.quiet_s
        reply = self._reply()
        if reply is None or reply.audible_at is None:
            playing = self._player.buffered_s(now=now) > 0
            return not playing and now >= self._since + self._plan.reply_timeout_s
        turn = self._next_turn()
        if turn is not None and turn.interrupt_after_s is not None:
            return now >= reply.audible_at + turn.interrupt_after_s
        return now >= self._player.bursts[-1].ends_at + self._plan.quiet_s

    def _reply(self) -> Burst | None:
        if self.turns:
            return self.turns[-1].find_reply(self._player.bursts)
        heard = (b for b in self._player.bursts if b.audible_at is not None)
        return next(heard, None)

    def _next_turn(self) -> Turn | None:
        spoken, turns = len(self.turns), self._plan.turns
        return turns[spoken] if spoken < len(turns) else None

    def _go_on(self, now: float) -> None:
        turn = self._next_turn()
        if turn is None:
            self._phase = _Phase.DONE
            return
        self._phase = _Phase.SPEAKING
        self._offset = 0
        self._audible_bytes = audible_end(turn.audio) or len(turn.audio)
        playing = self._player.buffered_s(now=now) > 0
        interrupted = self._player.bursts[-1] if playing else None
        self.turns.append(SaidTurn(now, interrupted=interrupted))

    def _speak(self, now: float) -> bytes:
        audio = self._plan.turns[len(self.turns) - 1].audio
        frame = audio[self._offset : self._offset + FRAME_BYTES]
        self._offset += FRAME_BYTES
        turn = self.turns[-1]
        if turn.said_ended_at is None and self._offset >= self._audible_bytes:
            turn.said_ended_at = now
        if self._offset >= len(audio):
            self._phase = _Phase.LISTENING
            self._since = now
        return frame.ljust(FRAME_BYTES, SILENCE)
