"""What the voice says next: replies of the model, and phrases from memory."""

from collections.abc import Callable

from backhaul.core.messages import Clear
from backhaul.core.profile import Profile
from region_agent.core.conversation_events import (
    ConversationAction,
    ResponseRetried,
    SendAudio,
    SendEvent,
    SendMessage,
)
from region_agent.core.hearing import Line
from region_agent.core.playback import Playback
from region_agent.core.realtime_protocol import (
    cancel_response,
    create_response,
    say_exactly,
    server_answers,
    server_interrupts,
)
from region_agent.core.transcript import Transcript
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

__all__ = ["Speech"]

_Actions = tuple[ConversationAction, ...]


class Speech:
    """The voice of one call: whose turn it is, what was said, what was heard of it."""

    def __init__(
        self,
        profile: Profile,
        *,
        transcript: Transcript,
        phrases: Callable[[str], bytes | None],
        interrupted: Callable[[], _Actions],
    ) -> None:
        """Say nothing yet.

        Args:
            profile: Whose voice.
            transcript: Where it is kept what was said.
            phrases: Gives the audio of a fixed phrase, None while there is none.
            interrupted: Tells what else an interruption leads to.
        """
        self.playback = Playback()
        self.turns = Turns(
            TurnsConfig(
                server_interrupts=server_interrupts(profile),
                server_answers=server_answers(profile),
                min_interruption_ms=profile.min_interruption_ms,
            )
        )
        self.items = VoiceItems(self.playback, transcript)
        self._phrases = phrases
        self._interrupted = interrupted

    @property
    def busy(self) -> bool:
        """Whether anything is being said, or about to be, or nobody could hear it."""
        nobody = self.turns.away or self.turns.stranded
        return self.playback.audible or nobody or not self.turns.idle

    def line(self, *, quiet: bool) -> Line:
        """Return what goes on; *quiet*: nobody speaks, and nothing is under way."""
        caller, audible = self.turns.caller, self.playback.audible
        # Between two edges nothing comes, and what was said is still unanswered.
        if self.turns.away:
            return Line.AWAY
        # Over the voice a caller in doubt may be noise; after it they have said it.
        if caller is CallerState.SPEAKING:
            return Line.TURN
        if audible:
            return Line.VOICE
        if caller is CallerState.DOUBTFUL:
            return Line.TURN
        return Line.QUIET if quiet else Line.BUSY

    @property
    def awaited(self) -> bool:
        """Whether the caller waits for what the model owes, and hears nothing."""
        turns = self.turns
        here = not (turns.away or turns.stranded or self.playback.audible)
        owed = turns.owing and not turns.alive
        return here and owed and turns.caller is CallerState.QUIET

    def respond(self, now: float, instructions: str = "") -> _Actions:
        """Let the model speak as soon as it may; empty *instructions*: its own."""
        return self.obey(self.turns.wish(Wish(instructions=instructions), now=now))

    def say(self, text: str, now: float, *, in_conversation: bool = True) -> _Actions:
        """Say *text* as soon as that is possible, from memory or by the model."""
        if not text.strip():
            return ()
        wish = Wish(phrase=text, in_conversation=in_conversation)
        if self._phrases(text) is None:
            wish = Wish(instructions=say_exactly(text))
        return self.obey(self.turns.wish(wish, now=now))

    def played(self, position: int) -> _Actions:
        """The caller has heard everything up to *position*."""
        return (*self.items.played(position), *self.release())

    def cleared(self, position: int, heard: int) -> _Actions:
        """What was sent up to *position* was thrown away but for what was *heard*."""
        return (*self.items.cleared(position, heard), *self.release())

    def pause(self, *, paused: bool) -> _Actions:
        """The carrier takes no more audio for now, or does again."""
        self.playback.pause(paused=paused)
        return self.release()

    def release(self) -> _Actions:
        """Return the audio that was held and may go out now."""
        return tuple(SendAudio(audio) for audio in self.playback.release())

    def obey(self, orders: tuple[TurnAction, ...]) -> _Actions:
        """Return what is to be done for *orders* of the turns."""
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
        clear = (SendMessage(Clear()),) if self.playback.audible else ()
        settled = self.items.interrupt()
        return (*clear, *settled, *self._interrupted())

    def _play(self, wish: Wish) -> _Actions:
        audio = self._phrases(wish.phrase) or b""
        return self.items.say(wish.phrase, audio, tell_model=wish.in_conversation)
