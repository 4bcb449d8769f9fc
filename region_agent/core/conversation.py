"""The conversation with one caller: who speaks, what was heard, when it ends."""

from collections.abc import Callable
from typing import Any, Final

from backhaul.core.checkpoint import Checkpoint, Noted
from backhaul.core.messages import (
    Clear,
    Cleared,
    Digit,
    Flow,
    Handover,
    HandoverReason,
    Played,
    Returned,
)
from backhaul.core.profile import Profile
from region_agent.core.call_events import Speaker
from region_agent.core.call_limits import CallLimits, Limit
from region_agent.core.conversation_events import (
    AudioEnded,
    CallBegan,
    CallerMissed,
    CallerSaid,
    CallerTurnEnded,
    CallerUnheard,
    CallerVoiced,
    CallReserved,
    CallTaken,
    ConversationAction,
    ConversationEvent,
    EdgeBack,
    EdgeLost,
    EndCall,
    FalselyStarted,
    KeysPressed,
    LeaveWanted,
    ModelSaid,
    ResponseBegan,
    ResponseEnded,
    ResponseRefused,
    SendEvent,
    SendMessage,
    SpeechStarted,
    SpeechStopped,
    Spoken,
    ToolAnswered,
    ToolCalled,
    TranscriptGrew,
    TurnCommitted,
)
from region_agent.core.hearing import Hearing
from region_agent.core.key_presses import KeyPresses
from region_agent.core.last_words import LastWords, Pending
from region_agent.core.leaving import Leaving
from region_agent.core.realtime_protocol import apologise, caller_said, keys_in_words
from region_agent.core.resumption import Resumption, resumption, seed
from region_agent.core.speech import Speech
from region_agent.core.stranding import Stranding
from region_agent.core.tool_calls import Reaction, ToolCalls
from region_agent.core.transcript import Transcript
from region_agent.core.turns import CallerState

__all__ = ["Conversation"]


_DOUBTFUL: Final = CallerState.DOUBTFUL
_Actions = tuple[ConversationAction, ...]
_Handler = Callable[[Any, float], _Actions]


class Conversation:
    """One conversation, as a `backhaul.core.machine.Machine`.

    The audio of the model takes a short cut: see `audio`.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        phrases: Callable[[str], bytes | None],
        now: float,
        call_sid: str = "",
    ) -> None:
        """Begin to listen.

        Args:
            profile: Whose voice and manners.
            phrases: Gives the audio of a fixed phrase, None while there is none.
            now: Monotonic seconds.
            call_sid: The call, for the idempotency keys of what its tools do.
        """
        self.transcript = Transcript()
        self._speech = Speech(
            profile,
            transcript=self.transcript,
            phrases=phrases,
            interrupted=self._on_interrupted,
        )
        self._stranding = Stranding(profile, self._speech)
        self.playback = self._speech.playback
        self.turns = self._speech.turns
        self.voice = self._speech.items
        self._profile = profile
        self.hearing = Hearing(profile.turn_detection)
        self.keys = KeyPresses()
        self.tools = ToolCalls(profile, self.transcript, call_sid=call_sid)
        self._limits = CallLimits(profile, now=now)
        self._last_words = LastWords()
        self._leaving = Leaving()
        self._told_version = 0
        self._falsely_started = False
        self._ended = False
        self._handlers = self._handlers_by_type()

    @property
    def judging(self) -> bool:
        """Whether the caller's audio is to be judged; see `CallerVoiced`."""
        return self.turns.caller is _DOUBTFUL

    def audio(self, response_id: str, item_id: str, audio: bytes) -> bool:
        """Take audio of the model; return whether to forward it now.

        Audio that is held comes back as `SendAudio`; stale audio does not.
        """
        self.turns.alive = True
        forwarding = "" if self._ended else self.turns.forwarding
        return self.voice.audio(response_id, item_id, audio, forwarding=forwarding)

    def wrote(self, item_id: str, text: str) -> bool:
        """Take text as the model writes it; tell whether that is worth a checkpoint."""
        return self.voice.wrote(item_id, text)

    def checkpoint(self, *, now: float) -> Checkpoint:
        """Return what another agent must know to go on."""
        elapsed_s = self._limits.elapsed_s(now=now)
        return self.transcript.checkpoint(elapsed_s=elapsed_s)

    def handle(self, event: ConversationEvent, *, now: float) -> _Actions:
        """Take note of *event*; see `backhaul.core.machine.Machine`."""
        if self._ended:
            return ()
        return (*self._handlers[type(event)](event, now), *self._settle(now))

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called; see Machine."""
        if self._ended:
            return None
        deadlines = (
            self.turns.next_deadline(),
            self.keys.next_deadline(),
            self.tools.next_deadline(),
            self._limits.next_deadline(),
            self._last_words.next_deadline(),
            self._leaving.next_deadline(),
            self.voice.next_deadline(),
        )
        return min((at for at in deadlines if at is not None), default=None)

    def expire(self, *, now: float) -> _Actions:
        """Return what is due at *now*; see Machine."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return ()
        return (
            *self._speech.obey(self.turns.expire(now=now)),
            *self.voice.expire(now=now),
            *self._speech.release(),
            *self._on_keys(self.keys.expire(now=now), now),
            *self._on_filler(now),
            *self._on_limits(self._limits.expire(now=now), now),
            *self._settle(now),
        )

    def end(self) -> _Actions:
        """The call is over: return what there is left to report."""
        self._ended = True
        return self.voice.abandon()

    # Events

    def _handlers_by_type(self) -> dict[type[ConversationEvent], _Handler]:
        return {
            CallBegan: self._on_began,
            SpeechStarted: lambda _, __: self._speech.obey(
                self.turns.speech_started(audible=self.playback.audible)
            ),
            CallerVoiced: lambda event, _: self._speech.obey(
                self.turns.voice_heard(event.voiced_ms)
            ),
            CallerMissed: lambda _, __: (
                SendMessage(Handover(HandoverReason.MODEL_DEAF)),
            ),
            SpeechStopped: self._on_speech_stopped,
            TurnCommitted: self._on_committed,
            ResponseBegan: lambda event, now: self._speech.obey(
                self.turns.response_began(event.response_id, now=now)
            ),
            ResponseEnded: self._on_response_ended,
            ResponseRefused: lambda _, now: self._speech.obey(
                self.turns.response_refused(now=now)
            ),
            AudioEnded: lambda event, _: self.voice.finish(event.item_id),
            ModelSaid: lambda event, _: self.voice.text(event.item_id, event.text),
            CallerSaid: self._on_caller_said,
            CallerUnheard: self._on_caller_unheard,
            ToolCalled: self._on_tool_called,
            ToolAnswered: lambda event, now: self._react(
                self.tools.answered(event.call_id, event.output), now
            ),
            LeaveWanted: lambda event, _: self._leaving.want(event),
            Played: lambda event, _: self._speech.played(event.position),
            Cleared: lambda event, _: self._speech.cleared(event.position, event.heard),
            Flow: lambda event, _: self._speech.pause(paused=event.paused),
            Digit: self._on_digit,
            Returned: self._on_returned,
            EdgeLost: lambda _, __: self._stranding.lost(),
            EdgeBack: lambda _, now: self._stranding.back(now),
            CallReserved: lambda _, now: self._stranding.reserved(now),
            CallTaken: lambda _, now: self._stranding.taken(now),
        }

    def _on_began(self, began: CallBegan, now: float) -> _Actions:
        profile, kept = self._profile, began.checkpoint or Checkpoint(0)
        self.playback.resume(position=began.voice.position, heard=began.voice.heard)
        if began.resumed or began.checkpoint is not None:
            self._leaving.resume()
        if began.checkpoint is not None:
            self.transcript.resume(kept)
            self._limits.resume(elapsed_s=kept.elapsed_s, now=now)
        plan = resumption(kept, began.voice, profile)
        dropped = (SendMessage(Clear()),) if plan.clear else ()
        if plan.items:
            return (*dropped, *self._go_on(plan, kept.errand, now))
        if began.resumed:
            return (*dropped, *self._speech.respond(now, apologise(profile)))
        said: _Actions = ()
        if began.opening_text:
            said = self.voice.played_elsewhere(began.opening_text, began.opening_bytes)
        elif profile.opening:
            said = self._speech.say(profile.opening, now)
        if profile.greeting or profile.caller_speaks_first:
            return (*dropped, *said)
        return (*dropped, *said, *self._speech.respond(now))

    def _go_on(self, plan: Resumption, errand: str, now: float) -> _Actions:
        self.turns.away = bool(errand)
        self.tools.away(errand)
        done = list(seed(plan, self.voice, self.tools, self.transcript))
        for called in plan.calls:
            busy = self._last_words.pending is not None
            done += self._react(self.tools.call(called, busy=busy, now=now), now)
        if plan.respond:
            done += self._speech.respond(now, plan.instructions)
        return tuple(done)

    def _on_committed(self, event: TurnCommitted, now: float) -> _Actions:
        if self._falsely_started:
            self.transcript.noise(event.position)
        else:
            self.transcript.turn(event.item_id, event.position)
        self._falsely_started = False
        return self._speech.obey(self.turns.turn_committed(now=now))

    def _on_caller_said(self, event: CallerSaid, _: float) -> _Actions:
        self.transcript.caller_said(event.item_id, event.text)
        return (Spoken(Speaker.CALLER, event.item_id, event.text),)

    def _on_caller_unheard(self, event: CallerUnheard, _: float) -> _Actions:
        self.transcript.caller_said(event.item_id, None)
        return ()

    def _on_speech_stopped(self, _: SpeechStopped, now: float) -> _Actions:
        before = self.turns.false_starts
        actions = self.turns.speech_stopped(audible=self.playback.audible, now=now)
        self._falsely_started = self.turns.false_starts > before
        if self._falsely_started:
            return (FalselyStarted(), *self._speech.obey(actions))
        self._limits.silence.caller_spoke()
        return (CallerTurnEnded(), *self._speech.obey(actions))

    def _on_response_ended(self, event: ResponseEnded, now: float) -> _Actions:
        spoke = self.voice.spoke(event.response_id)
        settled = self.voice.response_ended(event.response_id)
        if spoke:
            self._last_words.extend(ahead_s=self.playback.ahead_s, now=now)
        in_vain = event.status == "failed" and not spoke
        turns = self.turns.response_ended(event.response_id, in_vain=in_vain, now=now)
        return (*settled, *self._speech.obey(turns))

    def _on_tool_called(self, event: ToolCalled, now: float) -> _Actions:
        self._leaving.answered(now=now)
        busy = self._last_words.pending is not None
        reaction = self.tools.called(event, busy=busy, now=now)
        if not self.turns.forwarding and reaction.pending is not None:
            return self.tools.cancelled(reaction.pending)  # of what the caller cut
        if self.turns.forwarding and self.tools.waiting:
            self.turns.forget_answer()  # the last of parallel calls asks for it
        return self._react(reaction, now)

    def _on_returned(self, event: Returned, now: float) -> _Actions:
        self.turns.away = False
        return self._react(self.tools.returned(event.outcome), now)

    def _react(self, reaction: Reaction, now: float) -> _Actions:
        if reaction.pending is not None:
            self._after_words(reaction.pending, now)
        answer = self._speech.respond(now) if reaction.respond else ()
        return (*reaction.actions, *answer)

    def _on_filler(self, now: float) -> _Actions:
        quiet = not self._speech.busy and self.turns.caller is CallerState.QUIET
        filler = self.tools.expire(quiet=quiet, now=now)
        return self._speech.say(filler, now, in_conversation=False)

    # Keys, silence, length

    def _on_digit(self, event: Digit, now: float) -> _Actions:
        # Who presses a key has heard enough, as on any telephone menu.
        self.hearing.forget()
        stopped = self._speech.obey(self.turns.key_pressed())
        return (*stopped, *self._on_keys(self.keys.press(event.digit, now=now), now))

    def _on_keys(self, digits: str, now: float) -> _Actions:
        if not digits:
            return ()
        text = keys_in_words(digits)
        self.transcript.add(Noted(text))
        told = SendEvent(caller_said(text))
        return (KeysPressed(len(digits)), told, *self._speech.respond(now))

    def _on_limits(self, limits: tuple[Limit, ...], now: float) -> _Actions:
        return tuple(done for one in limits for done in self._on_limit(one, now))

    def _on_limit(self, limit: Limit, now: float) -> _Actions:
        then = limit.then
        if then is not None and limit.cuts:
            return (*self.end(), then.action)
        if then is not None and not then.may_be_cancelled:
            self.turns.forget_wishes()
        said = self._speech.say(limit.says, now)
        if then is not None:
            self._after_words(then, now)
        return (*limit.reports, *said)

    # Last words

    def _after_words(self, pending: Pending, now: float) -> None:
        self._last_words.then(pending, ahead_s=self.playback.ahead_s, now=now)

    def _settle(self, now: float) -> _Actions:
        """Do what waited for everything to be heard; watch the silence."""
        if self._ended:
            return ()
        pending = self._last_words.take(busy=self._speech.busy or self.judging, now=now)
        actions = () if pending is None else self._do(pending)
        quiet = not self._speech.busy and pending is None and self._awaits_caller()
        self._limits.silence.observe(quiet=quiet, now=now)
        self.hearing.observe(self._speech.line(quiet=quiet))
        self.voice.observe(now=now)
        return (*actions, *self._on_growth(), *self._leave(quiet=quiet, now=now))

    def _leave(self, *, quiet: bool, now: float) -> _Actions:
        """Ask the edge to take the call elsewhere, if it is time for that."""
        if self._ended:
            return ()
        untold = self._profile.transcription_model and self.transcript.awaits_words
        return self._leaving.ask(
            quiet=quiet and not untold,
            waiting=self._speech.awaited,
            spoken=self.turns.alive,
            now=now,
        )

    def _on_growth(self) -> _Actions:
        if self._ended or self.transcript.version == self._told_version:
            return ()
        self._told_version = self.transcript.version
        return (TranscriptGrew(),)

    def _do(self, pending: Pending) -> _Actions:
        if isinstance(pending.action, EndCall):
            return (*self.end(), pending.action)
        self.tools.away(pending.call_id)
        self.turns.away = True
        report = () if pending.report is None else (pending.report,)
        return (*report, pending.action)

    def _awaits_caller(self) -> bool:
        pressing = self.keys.next_deadline() is not None
        waiting = self._last_words.pending is not None or self.tools.waiting
        return self.turns.caller is CallerState.QUIET and not (pressing or waiting)

    def _on_interrupted(self) -> _Actions:
        self._limits.silence.caller_spoke()
        return self.tools.cancelled(self._last_words.interrupt())
