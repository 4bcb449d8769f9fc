"""Whose turn it is: responses of the model, speech of the caller, and who yields."""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = [
    "CALLER_TRANSITIONS",
    "EXPECT_S",
    "FLOOR_TRANSITIONS",
    "RETRY_AFTER_S",
    "SILENT_S",
    "AskAgain",
    "CallerInput",
    "CallerState",
    "CancelResponse",
    "CreateResponse",
    "FloorInput",
    "FloorState",
    "Interrupt",
    "SayPhrase",
    "TurnAction",
    "Turns",
    "TurnsConfig",
    "Wish",
]

EXPECT_S: Final = 5.0
"""A response that was asked for, or that the server owes, has begun by then (s)."""
SILENT_S: Final = 30.0
"""A response without audio for so long (s) has ended, whatever the server says."""
RETRY_AFTER_S: Final = (0.0, 2.0, 5.0)
"""Pauses before a response that did not come is asked for again (s); then it is left to
the silence: a model in trouble is not helped by asking on."""


class FloorState(Enum):
    """What the model is doing."""

    FREE = "free"
    EXPECTED = "expected"
    """A response was asked for, or the server answers by itself; it has not begun."""
    RESPONDING = "responding"
    """Being generated, which is much faster than it is spoken."""


class FloorInput(Enum):
    """What moves the floor."""

    ASKED = "asked"
    BEGAN = "began"
    ENDED = "ended"
    OVERDUE = "overdue"


_F, _FI = FloorState, FloorInput

FLOOR_TRANSITIONS: Final[dict[tuple[FloorState, FloorInput], FloorState]] = {
    (_F.FREE, _FI.ASKED): _F.EXPECTED,
    (_F.FREE, _FI.BEGAN): _F.RESPONDING,
    (_F.FREE, _FI.ENDED): _F.FREE,
    (_F.FREE, _FI.OVERDUE): _F.FREE,
    (_F.EXPECTED, _FI.ASKED): _F.EXPECTED,
    (_F.EXPECTED, _FI.BEGAN): _F.RESPONDING,
    (_F.EXPECTED, _FI.ENDED): _F.EXPECTED,
    (_F.EXPECTED, _FI.OVERDUE): _F.FREE,
    (_F.RESPONDING, _FI.ASKED): _F.RESPONDING,
    (_F.RESPONDING, _FI.BEGAN): _F.RESPONDING,
    (_F.RESPONDING, _FI.ENDED): _F.FREE,
    (_F.RESPONDING, _FI.OVERDUE): _F.FREE,
}
"""Where each input leads from each state; total."""


class CallerState(Enum):
    """What the caller is doing."""

    QUIET = "quiet"
    DOUBTFUL = "doubtful"
    """Makes a sound over the voice; whether it is speech will show."""
    SPEAKING = "speaking"


class CallerInput(Enum):
    """What moves the caller's state."""

    STARTED = "started"
    """Speech was detected and counts at once."""
    NOISED = "noised"
    """Speech was detected over the voice and must last to count."""
    CONFIRMED = "confirmed"
    """It has lasted long enough."""
    STOPPED = "stopped"


_C, _CI = CallerState, CallerInput

CALLER_TRANSITIONS: Final[dict[tuple[CallerState, CallerInput], CallerState]] = {
    (_C.QUIET, _CI.STARTED): _C.SPEAKING,
    (_C.QUIET, _CI.NOISED): _C.DOUBTFUL,
    (_C.QUIET, _CI.CONFIRMED): _C.QUIET,
    (_C.QUIET, _CI.STOPPED): _C.QUIET,
    (_C.DOUBTFUL, _CI.STARTED): _C.SPEAKING,
    (_C.DOUBTFUL, _CI.NOISED): _C.DOUBTFUL,
    (_C.DOUBTFUL, _CI.CONFIRMED): _C.SPEAKING,
    (_C.DOUBTFUL, _CI.STOPPED): _C.QUIET,
    (_C.SPEAKING, _CI.STARTED): _C.SPEAKING,
    (_C.SPEAKING, _CI.NOISED): _C.SPEAKING,
    (_C.SPEAKING, _CI.CONFIRMED): _C.SPEAKING,
    (_C.SPEAKING, _CI.STOPPED): _C.QUIET,
}
"""Where each input leads from each state; total."""


@dataclass(frozen=True, slots=True)
class TurnsConfig:
    """Who does what by itself."""

    server_interrupts: bool = True
    server_answers: bool = True
    min_interruption_ms: float = 0.0
    """Speech over the voice that is shorter does not stop it (ms)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Something to be said as soon as nothing else is being generated."""

    phrase: str = ""
    """A fixed phrase; empty: a response of the model."""
    instructions: str = ""
    """For a response; empty keeps the session's own."""
    in_conversation: bool = True
    """Whether the model is told that the phrase was said."""


_ANSWER: Final = Wish()
"""A response that takes account of all there is."""


@dataclass(frozen=True, slots=True)
class CreateResponse:
    """Ask the model to speak."""

    instructions: str


@dataclass(frozen=True, slots=True)
class CancelResponse:
    """Stop a response the server would go on with."""

    response_id: str


@dataclass(frozen=True, slots=True)
class SayPhrase:
    """Play a fixed phrase."""

    wish: Wish


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Silence the voice: the caller speaks."""


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Take note that a response did not come and will be asked for again."""


TurnAction = CreateResponse | CancelResponse | SayPhrase | Interrupt | AskAgain


class Turns:
    """Decides who speaks; a part of the conversation's machine."""

    def __init__(self, config: TurnsConfig) -> None:
        self.floor = FloorState.FREE
        self.caller = CallerState.QUIET
        self.response_id = ""
        """The response being generated, even when nothing of it is forwarded."""
        self.forwarding = ""
        """The response whose audio goes to the caller; empty for none."""
        self.overlapping = 0
        """Responses that began while another one was being generated."""
        self.false_starts = 0
        self.alive = False
        """Set whenever the response brings audio."""
        self.owing = False
        """Whether the model is still to do what it was asked."""
        self.away = self.stranded = False
        """Whether the caller is off the line, or no edge has it: nothing is said."""
        self._config = config
        self._wishes: deque[Wish] = deque()
        self._asked: Wish | None = None
        self._answer_due = False
        self._cancel_next = False
        self._voiced_ms = 0.0
        self._tries = 0
        """How often the same response has been asked for again."""
        self._pause_until: float | None = None
        self._due_at: float | None = None
        """When an expected response should have begun, or a silent one ended."""

    @property
    def idle(self) -> bool:
        """Whether nothing is being generated, asked for or waiting to be said."""
        return self.floor is FloorState.FREE and not self._wishes

    def wish(self, wish: Wish, *, now: float) -> tuple[TurnAction, ...]:
        """Say something as soon as the floor is free and the caller quiet."""
        if wish != _ANSWER or wish not in self._wishes:
            self._wishes.append(wish)
        return self._grant(now=now)

    def forget_wishes(self) -> None:
        """Say nothing of what still waits to be said."""
        self._wishes.clear()
        self._pause_until = None

    def forget_answer(self) -> None:
        """Ask for no answer yet: what is to come will ask for it."""
        if _ANSWER in self._wishes:
            self._wishes.remove(_ANSWER)

    def speech_started(self, *, audible: bool) -> tuple[TurnAction, ...]:
        """The caller makes a sound; *audible*: the voice is being heard."""
        if self.caller is not CallerState.QUIET:
            return ()
        if audible and self._config.min_interruption_ms > 0:
            self._voiced_ms = 0.0
            self._move_caller(CallerInput.NOISED)
            return ()
        self._move_caller(CallerInput.STARTED)
        return self._interrupt(server_knows=self._config.server_interrupts)

    def voice_heard(self, voiced_ms: float) -> tuple[TurnAction, ...]:
        """A doubtful caller went on for so long (ms)."""
        if self.caller is not CallerState.DOUBTFUL:
            return ()
        self._voiced_ms += voiced_ms
        if self._voiced_ms < self._config.min_interruption_ms:
            return ()
        self._move_caller(CallerInput.CONFIRMED)
        return self._interrupt(server_knows=self._config.server_interrupts)

    def speech_stopped(self, *, audible: bool, now: float) -> tuple[TurnAction, ...]:
        """The caller is quiet again; *audible*: the voice is still being heard."""
        # A short answer that outlasts the voice is an answer, not a false start.
        doubtful = self.caller is CallerState.DOUBTFUL and audible
        self._move_caller(CallerInput.STOPPED)
        self.false_starts += doubtful
        self._answer_due = not doubtful
        if not doubtful:
            self.forget_answer()  # the answer to this turn covers it
        if self._config.server_answers and not doubtful:
            self._expect(now=now)
        return self._grant(now=now)

    def turn_committed(self, *, now: float) -> tuple[TurnAction, ...]:
        """The caller's turn is part of the conversation now."""
        due, self._answer_due = self._answer_due, False
        if self._config.server_answers or not due:
            return ()
        return self.wish(_ANSWER, now=now)

    def key_pressed(self) -> tuple[TurnAction, ...]:
        """The caller presses keys, of which the server knows nothing."""
        return self._interrupt(server_knows=False)

    def _interrupt(self, *, server_knows: bool) -> tuple[TurnAction, ...]:
        self.forget_wishes()
        self._tries = 0
        cut, self.forwarding = self.forwarding, ""
        if self.floor is FloorState.EXPECTED:
            self._asked = None
            self._cancel_next = True
        # An item must have stopped to grow before it is cut to what was heard.
        cancel = (CancelResponse(cut),) if cut and not server_knows else ()
        return (*cancel, Interrupt())

    def response_began(self, response_id: str, *, now: float) -> tuple[TurnAction, ...]:
        """The model begins to answer."""
        # A server has one response at a time: the end of the one before was lost.
        self.overlapping += self.floor is FloorState.RESPONDING or not response_id
        if response_id in {"", self.response_id}:
            return ()
        self._move_floor(FloorInput.BEGAN)
        self._due_at = now + SILENT_S
        self.owing, self.alive = True, False
        self.response_id, self.forwarding = response_id, ""
        if self._cancel_next:
            self._cancel_next = False
            return (CancelResponse(response_id),)
        if self.caller is CallerState.SPEAKING:
            # Whoever answers has heard the caller end, even if we were not told.
            self._move_caller(CallerInput.STOPPED)
        self.forwarding = response_id
        return ()

    def response_ended(
        self, response_id: str, *, in_vain: bool = False, now: float
    ) -> tuple[TurnAction, ...]:
        """A response is generated, cancelled or failed.

        Args:
            response_id: Which one.
            in_vain: Whether it failed before its first word.
            now: Monotonic seconds.
        """
        if not response_id or response_id != self.response_id:
            return ()
        again = in_vain and bool(self.forwarding)
        self._move_floor(FloorInput.ENDED)
        self.response_id = self.forwarding = ""
        asked, self._asked = self._asked, None
        if again:
            return (*self._ask_again(asked, now=now), *self._grant(now=now))
        self._tries, self.owing = 0, False
        return self._grant(now=now)

    def response_refused(self, *, now: float) -> tuple[TurnAction, ...]:
        """The server had begun a response of its own before ours: ours comes after."""
        # If we had asked twice, it is the first one that came after all.
        if self._asked is not None and not self._tries:
            self._wishes.appendleft(self._asked)
        self._asked = None
        return self._grant(now=now)

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called; see Machine."""
        due = (self._due_at, self._pause_until)
        return min((at for at in due if at is not None), default=None)

    def expire(self, *, now: float) -> tuple[TurnAction, ...]:
        """Give up waiting for a response, or ask for it again after a pause."""
        if self._pause_until is not None and now >= self._pause_until:
            self._pause_until = None
        overdue = self._due_at is not None and now >= self._due_at
        actions = self._give_up(now=now) if overdue else ()
        return (*actions, *self._grant(now=now))

    def _give_up(self, *, now: float) -> tuple[TurnAction, ...]:
        if self.floor is FloorState.EXPECTED:
            self._move_floor(FloorInput.OVERDUE)
            asked, self._asked = self._asked, None
            forestalled = self._cancel_next or (asked is None and bool(self._wishes))
            return () if forestalled else self._ask_again(asked, now=now)
        if self.alive:
            self.alive, self._due_at = False, now + SILENT_S
            return ()
        self._move_floor(FloorInput.OVERDUE)
        silent, self.response_id, self.forwarding = self.response_id, "", ""
        self._asked = None
        return (CancelResponse(silent),)

    def _ask_again(self, asked: Wish | None, *, now: float) -> tuple[TurnAction, ...]:
        if self._tries == len(RETRY_AFTER_S):
            self._tries = 0
            return ()
        pause_s = RETRY_AFTER_S[self._tries]
        self._pause_until = now + pause_s if pause_s else None
        self._tries += 1
        self._wishes.appendleft(asked or _ANSWER)
        return (AskAgain(),)

    def _grant(self, *, now: float) -> tuple[TurnAction, ...]:
        actions: list[TurnAction] = []
        while self._may_speak(now=now):
            wish = self._wishes.popleft()
            if wish.phrase:
                actions.append(SayPhrase(wish))
                continue
            self._asked = wish
            self._expect(now=now)
            actions.append(CreateResponse(wish.instructions))
        return tuple(actions)

    def _may_speak(self, *, now: float) -> bool:
        free = self.floor is FloorState.FREE and self.caller is not CallerState.SPEAKING
        pausing = self._pause_until is not None and now < self._pause_until
        here = not self.away and not self.stranded
        return free and not pausing and here and bool(self._wishes)

    def _expect(self, *, now: float) -> None:
        self._cancel_next = False
        self._move_floor(FloorInput.ASKED)
        if self.floor is FloorState.EXPECTED:
            self._due_at = now + EXPECT_S
            self.owing, self.alive = True, False

    def _move_floor(self, given: FloorInput) -> None:
        self.floor = FLOOR_TRANSITIONS[self.floor, given]
        if self.floor is FloorState.FREE:
            self._due_at = None

    def _move_caller(self, given: CallerInput) -> None:
        self.caller = CALLER_TRANSITIONS[self.caller, given]
