"""The caller's end of one call: speaks every 20 ms, listens, and keeps the figures."""

import asyncio
from collections.abc import Mapping

from backhaul.clock import monotonic_s
from lab.media_player import MediaPlayer
from lab.twilio_caller import Caller, SaidTurn
from lab.twilio_leg import MediaLeg
from lab.twilio_plan import CallPlan
from lab.twilio_report import (
    AudioCount,
    CallLog,
    CallReport,
    ClearReport,
    GapReport,
    MarkReport,
    StepReport,
    TransferReport,
    TurnReport,
)

__all__ = ["CallerLine"]


class CallerLine:
    """One caller, through all Media Streams of the call.

    Attributes:
        log: The call's timeline and errors.
        player: What the caller hears.
        hung_up: Done when the caller hangs up.
        answered: Whether anything answered the call.
        verbs: The verbs carried out.
        digits_played: Touch tones played to the caller's side.
        transfers: What came of every transfer.
    """

    def __init__(self, plan: CallPlan) -> None:
        self.log = CallLog()
        self.player = MediaPlayer(started_at=self.log.started_at)
        self.hung_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answered = False
        self.verbs: list[str] = []
        self.digits_played: list[str] = []
        self.transfers: list[TransferReport] = []
        self._plan = plan
        self._caller: Caller | None = None
        self._leg: MediaLeg | None = None
        self._legs: list[MediaLeg] = []
        self._stream_sids: list[str] = []
        self._parameters: dict[str, str] = {}
        self._start_at: float | None = None
        self._connecting_at = 0.0
        self._webhook_ms: float | None = None
        self._connect_ms: float | None = None
        self._sent = bytearray()
        self._lost_frames = 0
        self._told_bytes = 0
        self._late_s: list[float] = []

    def note_webhook(self) -> None:
        """Note that the first TwiML is there."""
        self._webhook_ms = self.log.ms(monotonic_s())
        self.log.note("twiml received")

    def attach(
        self, leg: MediaLeg, stream_sid: str, parameters: Mapping[str, str]
    ) -> None:
        """Speak into *leg* from now on."""
        self._leg = leg
        self._legs.append(leg)
        self._stream_sids.append(stream_sid)
        self._parameters = dict(parameters)
        self._connecting_at = monotonic_s()
        self.log.note("media stream dialled", at=self._connecting_at)

    def detach(self, leg: MediaLeg) -> None:
        """Speak into nothing: what is said between two streams is lost."""
        if self._leg is leg:
            self._leg = None

    def note_start(self) -> None:
        """Note that `start` goes out now."""
        now = monotonic_s()
        self.log.note("start", at=now)
        self.answered = True
        if self._start_at is None:
            self._start_at = now
            self._told_bytes = len(self.player.heard(now=now))
            self._connect_ms = round((now - self._connecting_at) * 1000, 3)
            self._caller = self._new_caller(now)

    def tick(self, late_s: float) -> None:
        """Send the next 20 ms; called by the shared clock."""
        now = monotonic_s()
        self._late_s.append(late_s)
        self._read_or_not(now)
        if self._caller is not None and not self.hung_up.done():
            self._speak(self._caller, now)
            self._let_hear(now)
        too_long = now - self.log.started_at >= self._plan.max_duration_s
        finished = self._caller is not None and self._caller.has_hung_up
        if too_long or finished:
            self._hang_up()

    def report(self, call_sid: str, *, ended_by: str, ended_at: float) -> CallReport:
        """Return what came of the call."""
        player, log = self.player, self.log
        caller = self._caller or self._new_caller(ended_at)
        caller.finish(ended_by=ended_by, now=ended_at)
        return CallReport(
            call_sid=call_sid,
            from_number=self._plan.from_number,
            to_number=self._plan.to_number,
            answered=self.answered,
            ended_by=ended_by,
            started_at=log.started_at,
            duration_s=round(ended_at - log.started_at, 3),
            webhook_ms=self._webhook_ms,
            stream_connect_ms=self._connect_ms,
            first_audio_ms=self._first_audio_ms(),
            steps=self._steps(caller),
            turns=tuple(self._turn(turn) for turn in caller.turns),
            gaps=tuple(
                GapReport(log.ms(gap.at_s), round(gap.length_s * 1000, 3))
                for gap in player.gaps
            ),
            marks=sum(leg.marks for leg in self._legs),
            marks_echoed=sum(leg.marks_echoed for leg in self._legs),
            clears=len(player.clears),
            cleared=tuple(
                ClearReport(log.ms(clear.at_s), clear.received_bytes, clear.heard_bytes)
                for clear in player.clears
            ),
            mark_facts=self._mark_facts(),
            unplayed_bytes_at_end=sum(leg.unplayed_bytes for leg in self._legs),
            closed_after_voice_ms=self._closed_after_voice_ms(),
            sent=AudioCount.of(self._sent),
            received=AudioCount.of(player.received),
            lost_frames=self._lost_frames,
            close_codes=tuple(leg.close_code or 0 for leg in self._legs),
            errors=tuple(log.errors),
            stream_sids=tuple(self._stream_sids),
            custom_parameters=self._parameters,
            verbs=tuple(self.verbs),
            digits_played=tuple(self.digits_played),
            transfers=tuple(self.transfers),
            clock_late_ms_p99=self._late_ms_p99(),
            timeline=self._timeline(caller.turns),
            received_audio=bytes(player.received),
            sent_audio=bytes(self._sent),
            heard=player.heard(now=ended_at),
            voice=player.voice(now=ended_at),
        )

    def _speak(self, caller: Caller, now: float) -> None:
        leg = self._leg
        if leg is not None:
            leg.expire(now=now)
        frame = caller.frame(now=now)
        if leg is not None and leg.send_audio(frame):
            self._sent += frame
        else:
            self._lost_frames += 1
        for digit in caller.due_digits(now=now):
            self.log.note(f"dtmf {digit}", at=now)
            if leg is not None:
                leg.send_digit(digit)

    def _let_hear(self, now: float) -> None:
        """Hand what has been heard since the last time to those who listen."""
        ear = self._plan.earpiece
        if ear is not None:
            audio = self.player.played(self._told_bytes, now=now)
            self._told_bytes += len(audio)
            ear.on_audio(audio)

    def _read_or_not(self, now: float) -> None:
        pause = self._plan.read_pause
        if pause is not None and self._leg is not None and self._start_at is not None:
            begun = now - self._start_at - pause.from_s
            self._leg.set_reading(reads=not 0 <= begun < pause.for_s)

    def _new_caller(self, now: float) -> Caller:
        return Caller(self._plan, player=self.player, verbs=self.verbs, started_at=now)

    def _steps(self, caller: Caller) -> tuple[StepReport, ...]:
        return tuple(
            StepReport(
                step=str(result.step),
                ok=result.ok,
                ended_at_ms=(
                    None if result.ended_at is None else self.log.ms(result.ended_at)
                ),
                detail=result.detail,
            )
            for result in caller.results
        )

    def _mark_facts(self) -> tuple[MarkReport, ...]:
        ms = self.log.ms
        return tuple(
            MarkReport(
                name=fact.name,
                at_ms=ms(fact.at),
                received_bytes=fact.received_bytes,
                echoed_at_ms=None if fact.echoed_at is None else ms(fact.echoed_at),
                cleared=fact.cleared,
            )
            for leg in self._legs
            for fact in leg.mark_facts
        )

    def _hang_up(self) -> None:
        if not self.hung_up.done():
            self.log.note("caller hangs up")
            self.hung_up.set_result(None)

    def _closed_after_voice_ms(self) -> float | None:
        seconds = self._legs[-1].closed_after_voice_s if self._legs else None
        return None if seconds is None else round(seconds * 1000, 3)

    def _first_audio_ms(self) -> float | None:
        for burst in self.player.bursts:
            if burst.audible_at is not None and self._start_at is not None:
                return round((burst.audible_at - self._start_at) * 1000, 3)
        return None

    def _turn(self, turn: SaidTurn) -> TurnReport:
        ms = self.log.ms
        reply, ended_at, cut = turn.reply, turn.said_ended_at, turn.interrupted
        reply_ms = stop_ms = None
        if reply is not None and reply.audible_at is not None and ended_at is not None:
            reply_ms = round((reply.audible_at - ended_at) * 1000, 3)
        if cut is not None:
            stop_ms = round(max(cut.ends_at - turn.said_at, 0.0) * 1000, 3)
        return TurnReport(
            said_at_ms=ms(turn.said_at),
            said_ended_at_ms=None if ended_at is None else ms(ended_at),
            reply_first_audio_ms=reply_ms,
            interrupted_stop_ms=stop_ms,
        )

    def _timeline(self, turns: list[SaidTurn]) -> tuple[tuple[float, str], ...]:
        ms, events = self.log.ms, list(self.log.events)
        for number, turn in enumerate(turns, start=1):
            events.append((ms(turn.said_at), f"turn {number} said"))
            if turn.said_ended_at is not None:
                events.append((ms(turn.said_ended_at), f"turn {number} ended"))
        for burst in self.player.bursts:
            if burst.audible_at is not None:
                events.append((ms(burst.audible_at), "assistant heard"))
                how = "cut" if burst.cut else "finished"
                events.append((ms(burst.ends_at), f"assistant {how}"))
        return tuple(sorted(events))

    def _late_ms_p99(self) -> float:
        late = sorted(self._late_s)
        return round(late[(len(late) - 1) * 99 // 100] * 1000, 3) if late else 0.0
