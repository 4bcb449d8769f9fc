"""What the Realtime stand-in's model is to say and do in a call, turn by turn."""

from collections import deque
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from lab.speech_files import SpeechLine, load_line

__all__ = ["ModelCall", "ModelScript", "ModelTurn", "ScriptQueue", "ScriptRun"]

_MAX_PENDING_CALLS = 10_000


class ModelCall(Struct, frozen=True, forbid_unknown_fields=True):
    """One function call of the model."""

    name: Annotated[str, Meta(min_length=1)]
    """The function."""
    arguments: dict[str, Any] | str = {}
    """Sent as JSON; a string is sent as it is, however broken."""

    def text(self) -> str:
        """Return the arguments as the model writes them."""
        if isinstance(self.arguments, str):
            return self.arguments
        return msgspec.json.encode(self.arguments).decode()


class ModelTurn(Struct, frozen=True, forbid_unknown_fields=True):
    """What one response consists of: speech, then function calls, either optional."""

    speak: str | tuple[str, ...] = ""
    """Names of lines of lab/speech, said one after the other; empty: no speech."""
    calls: tuple[ModelCall, ...] = ()
    """Functions called after the speech, in the same response."""
    first_audio_s: Annotated[float, Meta(ge=0, le=600)] | None = None
    """From the request to the first output (s); None: as any other response."""
    expect_instructions: str = ""
    """The instructions of the response must contain this."""
    status: Literal["completed", "failed", "incomplete"] = "completed"
    """How the response ends after all that; incomplete: by the content filter."""
    unknown_ok: bool = False
    """Call functions that the session does not declare (or may not call), too."""

    def __post_init__(self) -> None:
        """Refuse speech that nobody recorded.

        Raises:
            ValueError: If there is no such line.
        """
        for name in self._names():
            try:
                load_line(name)
            except KeyError:
                raise ValueError(f"lab/speech has no line {name!r}") from None

    def lines(self) -> tuple[SpeechLine, ...]:
        """Return what is said."""
        return tuple(load_line(name) for name in self._names())

    def _names(self) -> tuple[str, ...]:
        if isinstance(self.speak, str):
            return (self.speak,) if self.speak else ()
        return self.speak


class ModelScript(Struct, frozen=True, forbid_unknown_fields=True):
    """The turns of one call; after the last come the ordinary replies."""

    turns: tuple[ModelTurn, ...]


@dataclass(slots=True)
class ScriptRun:
    """A script in the call that it was given to.

    Attributes:
        responses: The response (id) of every turn taken so far.
        failures: Every expectation that was not met, as a sentence.
    """

    script: ModelScript
    responses: list[str] = field(default_factory=list[str])
    failures: list[str] = field(default_factory=list[str])

    @property
    def complete(self) -> bool:
        """Whether every turn was taken."""
        return len(self.responses) >= len(self.script.turns)

    def peek(self) -> ModelTurn | None:
        """Return the next turn, None after the last."""
        return None if self.complete else self.script.turns[len(self.responses)]

    def take(self, response_id: str) -> ModelTurn | None:
        """Return the next turn for a response that begins, None after the last."""
        turn = self.peek()
        if turn is not None:
            self.responses.append(response_id)
        return turn

    def fail(self, problem: str) -> None:
        """Note that the turn taken last met with *problem*."""
        self.failures.append(f"turn {len(self.responses)}: {problem}")

    def wire(self) -> dict[str, Any]:
        """Return what there is to say about it, for the control endpoint."""
        return {
            "turns": msgspec.to_builtins(self.script.turns),
            "responses": self.responses,
            "complete": self.complete,
            "failures": self.failures,
        }


class ScriptQueue:
    """Scripts waiting for calls; the call that begins next gets the oldest."""

    def __init__(self) -> None:
        self._waiting: deque[ModelScript] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, script: ModelScript, *, calls: int = 1) -> None:
        """Let each of the next *calls* calls follow *script* from its beginning.

        Raises:
            ValueError: If too many calls were planned.
        """
        if len(self._waiting) + calls > _MAX_PENDING_CALLS:
            raise ValueError(f"at most {_MAX_PENDING_CALLS} scripts may wait")
        self._waiting.extend([script] * calls)

    def take(self) -> ScriptRun | None:
        """Return the script of a call that begins, None when none waits."""
        return ScriptRun(self._waiting.popleft()) if self._waiting else None

    def clear(self) -> None:
        """Forget the scripts that no call has got yet."""
        self._waiting.clear()
