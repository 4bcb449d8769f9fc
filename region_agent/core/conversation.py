"""The conversation with one caller: who speaks, what was heard, when it ends."""

from collections.abc import Callable
from typing import Any

from backhaul.core.messages import (
    Clear,
    Cleared,
    CloseReason,
    Digit,
    Flow,
    Played,
    Returned,
)
from backhaul.core.profile import Profile
from region_agent.core.call_events import Speaker
from region_agent.core.call_timers import (
    LengthStep,
    LengthWatch,
    SilenceStep,
    SilenceWatch,
)
from region_agent.core.conversation_events import (
    AudioEnded,
    CallBegan,
    CallerSaid,
    CallerTurnEnded,
    CallerVoiced,
    ConversationAction,
    ConversationEvent,
    EndCall,
    FalselyStarted,
    KeysPressed,
    ModelSaid,
    ResponseBegan,
    ResponseEnded,
    ResponseRefused,
    ResponseRetried,
    SendAudio,
    SendEvent,
    SendMessage,
    SilencePrompted,
    SpeechStarted,
    SpeechStopped,
    Spoken,
    ToolAnswered,
    ToolCalled,
    TurnCommitted,
)
from region_agent.core.key_presses import KeyPresses
from region_agent.core.last_words import LastWords, Pending
from region_agent.core.playback import Playback
from region_agent.core.realtime_protocol import (
    apologise,
    caller_pressed,
    cancel_response,
    create_response,
    say_exactly,
    server_answers,
    server_interrupts,
)
from region_agent.core.tool_calls import Reaction, ToolCalls
from region_agent.core.turns import (
    AskAgain,
    CallerState,
    CancelResponse,
    CreateResponse,
    Interrupt,
    SayPhrase,
    TurnAction,
    Turns,
    TurnsConfig,
    Wish,
)
from region_agent.core.voice_items import VoiceItems

__all__ = ["Conversation"]


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
    ) -> None:
        """Begin to listen.

        Args:
            profile: Whose voice and manners.
            phrases: Gives the audio of a fixed phrase, None while there is none.
            now: Monotonic seconds.
        """
        self.playback = Playback()
        self.turns = Turns(
            TurnsConfig(
                server_interrupts=server_interrupts(profile),
                server_answers=server_answers(profile),
                min_interruption_ms=profile.min_interruption_ms,
            )
        )
        self.voice = VoiceItems(self.playback)
        self._profile = profile
        self._phrases = phrases
        self.keys = KeyPresses()
        self.tools = ToolCalls(profile)
        self._silence = SilenceWatch(profile.silence)
        self._length = LengthWatch(profile.length, now=now)
        self._last_words = LastWords()
        self._ended = False
        self._handlers = self._handlers_by_type()

    @property
    def judging(self) -> bool:
        """Whether the caller's audio is to be judged; see `CallerVoiced`."""
        return self.turns.caller is CallerState.DOUBTFUL

    def audio(self, response_id: str, item_id: str, audio: bytes) -> bool:
        """Take audio of the model; return whether to forward it now.

        Audio that is held comes back as `SendAudio`; stale audio does not.
        """
        self.turns.alive = True
        forwarding = "" if self._ended else self.turns.forwarding
        return self.voice.audio(response_id, item_id, audio, forwarding=forwarding)

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
            self._silence.next_deadline(),
            self._length.next_deadline(),
            self._last_words.next_deadline(),
            self.voice.next_deadline(),
        )
        return min((at for at in deadlines if at is not None), default=None)

    def expire(self, *, now: float) -> _Actions:
        """Return what is due at *now*; see Machine."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return ()
        return (
            *self._turn(self.turns.expire(now=now)),
            *self.voice.expire(now=now),
            *self._release(),
            *self._on_keys(self.keys.expire(now=now), now),
            *self._on_filler(now),
            *self._on_silence(self._silence.expire(now=now), now),
            *self._on_length(self._length.expire(now=now), now),
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
            SpeechStarted: lambda _, __: self._turn(
                self.turns.speech_started(audible=self.playback.audible)
            ),
            CallerVoiced: lambda event, _: self._turn(
                self.turns.voice_heard(event.voiced_ms)
            ),
            SpeechStopped: self._on_speech_stopped,
            TurnCommitted: lambda _, now: self._turn(
                self.turns.turn_committed(now=now)
            ),
            ResponseBegan: lambda event, now: self._turn(
                self.turns.response_began(event.response_id, now=now)
            ),
            ResponseEnded: self._on_response_ended,
            ResponseRefused: lambda _, now: self._turn(
                self.turns.response_refused(now=now)
            ),
            AudioEnded: lambda event, _: self.voice.finish(event.item_id),
            ModelSaid: lambda event, _: self.voice.text(event.item_id, event.text),
            CallerSaid: lambda event, _: (
                Spoken(Speaker.CALLER, event.item_id, event.text),
            ),
            ToolCalled: self._on_tool_called,
            ToolAnswered: lambda event, now: self._react(
                self.tools.answered(event.call_id, event.output), now
            ),
            Played: self._on_played,
            Cleared: self._on_cleared,
            Flow: self._on_flow,
            Digit: self._on_digit,
            Returned: self._on_returned,
        }

    def _on_played(self, event: Played, _: float) -> _Actions:
        return (*self.voice.played(event.position), *self._release())

    def _on_cleared(self, event: Cleared, _: float) -> _Actions:
        return (*self.voice.cleared(event.position, event.heard), *self._release())

    def _on_flow(self, event: Flow, _: float) -> _Actions:
        self.playback.pause(paused=event.paused)
        return self._release()

    def _on_began(self, began: CallBegan, now: float) -> _Actions:
        profile = self._profile
        if began.resumed:
            return self._respond(now, apologise(profile))
        said: _Actions = ()
        if began.opening_text:
            said = self.voice.played_elsewhere(began.opening_text, began.opening_bytes)
        elif profile.opening:
            said = self._say(profile.opening, now)
        if profile.greeting or profile.caller_speaks_first:
            return said
        return (*said, *self._respond(now))

    def _on_speech_stopped(self, _: SpeechStopped, now: float) -> _Actions:
        before = self.turns.false_starts
        actions = self.turns.speech_stopped(audible=self.playback.audible, now=now)
        if self.turns.false_starts > before:
            return (FalselyStarted(), *self._turn(actions))
        self._silence.caller_spoke()
        return (CallerTurnEnded(), *self._turn(actions))

    def _on_response_ended(self, event: ResponseEnded, now: float) -> _Actions:
        spoke = self.voice.spoke(event.response_id)
        settled = self.voice.response_ended(event.response_id)
        if spoke:
            self._last_words.extend(ahead_s=self.playback.ahead_s, now=now)
        in_vain = event.status == "failed" and not spoke
        turns = self.turns.response_ended(event.response_id, in_vain=in_vain, now=now)
        return (*settled, *self._turn(turns))

    def _on_tool_called(self, event: ToolCalled, now: float) -> _Actions:
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
        answer = self._respond(now) if reaction.respond else ()
        return (*reaction.actions, *answer)

    def _on_filler(self, now: float) -> _Actions:
        quiet = not self._busy and self.turns.caller is CallerState.QUIET
        filler = self.tools.expire(quiet=quiet, now=now)
        return self._say(filler, now, in_conversation=False)

    # Keys, silence, length

    def _on_digit(self, event: Digit, now: float) -> _Actions:
        # Who presses a key has heard enough, as on any telephone menu.
        stopped = self._turn(self.turns.key_pressed())
        return (*stopped, *self._on_keys(self.keys.press(event.digit, now=now), now))

    def _on_keys(self, digits: str, now: float) -> _Actions:
        if not digits:
            return ()
        keys = SendEvent(caller_pressed(digits))
        return (KeysPressed(len(digits)), keys, *self._respond(now))

    def _on_silence(self, step: SilenceStep | None, now: float) -> _Actions:
        match step:
            case SilenceStep.PROMPT:
                said = self._say(self._profile.silence.prompt, now)
                return (SilencePrompted(), *said)
            case SilenceStep.GOODBYE:
                goodbye = self._profile.silence.goodbye
                return self._say_goodbye(goodbye, CloseReason.SILENCE, now)
            case None:  # pragma: no branch - the last of all kinds
                return ()

    def _on_length(self, step: LengthStep | None, now: float) -> _Actions:
        match step:
            case LengthStep.WARNING:
                return self._say(self._profile.length.warning, now)
            case LengthStep.GOODBYE:
                self.turns.forget_wishes()
                goodbye, why = self._profile.length.goodbye, CloseReason.MAX_DURATION
                return self._say_goodbye(goodbye, why, now, may_be_cancelled=False)
            case LengthStep.CUT:
                return (*self.end(), EndCall(CloseReason.MAX_DURATION))
            case None:  # pragma: no branch - the last of all kinds
                return ()

    def _say_goodbye(
        self, text: str, why: CloseReason, now: float, *, may_be_cancelled: bool = True
    ) -> _Actions:
        said = self._say(text, now)
        pending = Pending(EndCall(why), may_be_cancelled=may_be_cancelled)
        self._after_words(pending, now)
        return said

    # Last words

    def _after_words(self, pending: Pending, now: float) -> None:
        self._last_words.then(pending, ahead_s=self.playback.ahead_s, now=now)

    @property
    def _busy(self) -> bool:
        return self.playback.audible or self.turns.away or not self.turns.idle

    def _settle(self, now: float) -> _Actions:
        """Do what waited for everything to be heard; watch the silence."""
        if self._ended:
            return ()
        pending = self._last_words.take(busy=self._busy or self.judging, now=now)
        actions = () if pending is None else self._do(pending)
        quiet = not self._busy and pending is None and self._awaits_caller()
        self._silence.observe(quiet=quiet, now=now)
        self.voice.observe(now=now)
        return actions

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

    # Turns

    def _turn(self, orders: tuple[TurnAction, ...]) -> _Actions:
        done: list[ConversationAction] = []
        for order in orders:
            match order:
                case CreateResponse(instructions):
                    done.append(SendEvent(create_response(instructions)))
                case CancelResponse(response_id):
                    done.append(SendEvent(cancel_response(response_id)))
                case SayPhrase(wish):
                    done += self._play(wish)
                case AskAgain():
                    done.append(ResponseRetried())
                case Interrupt():  # pragma: no branch - the last of all kinds
                    done += self._interrupt()
        return tuple(done)

    def _interrupt(self) -> _Actions:
        self._silence.caller_spoke()
        clear = (SendMessage(Clear()),) if self.playback.audible else ()
        settled = self.voice.interrupt()
        answer = self.tools.cancelled(self._last_words.interrupt())
        return (*clear, *settled, *answer)

    def _respond(self, now: float, instructions: str = "") -> _Actions:
        return self._turn(self.turns.wish(Wish(instructions=instructions), now=now))

    def _say(self, text: str, now: float, *, in_conversation: bool = True) -> _Actions:
        if not text.strip():
            return ()
        wish = Wish(phrase=text, in_conversation=in_conversation)
        if self._phrases(text) is None:
            wish = Wish(instructions=say_exactly(text))
        return self._turn(self.turns.wish(wish, now=now))

    def _play(self, wish: Wish) -> _Actions:
        audio = self._phrases(wish.phrase) or b""
        return self.voice.say(wish.phrase, audio, tell_model=wish.in_conversation)

    def _release(self) -> _Actions:
        return tuple(SendAudio(audio) for audio in self.playback.release())
