"""Whether a call was, for the model, what a script expects: judged from its ledger."""

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from lab.media_player import SAMPLE_RATE_HZ, heard_bytes
from lab.speech_files import load_line

__all__ = [
    "ExpectInterrupted",
    "ExpectKept",
    "ExpectTool",
    "ModelExpectation",
    "judge_model",
    "judge_script",
]

_BYTES_PER_MS = SAMPLE_RATE_HZ / 1000

Session = dict[str, Any]
"""One session as ``GET /lab/sessions`` of the Realtime stand-in shows it."""


class ExpectTool(Struct, frozen=True, forbid_unknown_fields=True):
    """The model called a function so many times and was answered, once each."""

    name: Annotated[str, Meta(min_length=1)]
    times: Annotated[int, Meta(ge=0, le=1000)] = 1
    output_contains: str = ""
    """Of every output."""
    answered: bool = True
    """Whether the model got an output; not always so for the last call of a call."""

    def __str__(self) -> str:
        return f"the model calls {self.name}, times: {self.times}"


class ExpectInterrupted(Struct, frozen=True):
    """The model knows, or does not, that the caller did not hear all it said."""

    happened: bool = True

    def __str__(self) -> str:
        return f"the model was {'' if self.happened else 'never '}interrupted"


class ExpectKept(Struct, frozen=True, forbid_unknown_fields=True):
    """One reply was cut, and the model keeps what the caller heard of this line."""

    line: str
    within_ms: Annotated[float, Meta(ge=0)] = 60.0

    def __post_init__(self) -> None:
        """Refuse a line that nobody recorded.

        Raises:
            ValueError: If there is no such line.
        """
        try:
            load_line(self.line)
        except KeyError:
            raise ValueError(f"lab/speech has no line {self.line!r}") from None

    def __str__(self) -> str:
        return f"the model keeps what was heard of {self.line}"


ModelExpectation = ExpectTool | ExpectInterrupted | ExpectKept


def judge_model(
    expected: ModelExpectation, sessions: Sequence[Session], voice: bytes
) -> str:
    """Return what happened instead of *expected*, empty when nothing did.

    *sessions* are those of one call, *voice* is what its caller heard of them.
    """
    if isinstance(expected, ExpectTool):
        return _judge_tool(expected, sessions)
    if isinstance(expected, ExpectKept):
        return _judge_kept(expected, sessions, voice)
    cut = sum(_interruptions(session) for session in sessions)
    if bool(cut) == expected.happened:
        return ""
    return f"{cut} replies were cut" if cut else "no reply was cut"


def judge_script(sessions: Sequence[Session], turns: int) -> str:
    """Return how the model departed from its script of *turns*, empty if it did not."""
    scripts = [session["script"] for session in sessions if session["script"]]
    if not scripts:
        return "no call took the script"
    failures = [failure for script in scripts for failure in script["failures"]]
    if failures:
        return "; ".join(failures)
    taken = max(len(script["responses"]) for script in scripts)
    return "" if taken >= turns else f"{taken} of {turns} turns were taken"


def _judge_tool(expected: ExpectTool, sessions: Sequence[Session]) -> str:
    calls = [
        call
        for session in sessions
        for call in session["function_calls"]
        if call["name"] == expected.name and call["response_id"] is not None
    ]
    if len(calls) != expected.times:
        return f"called {len(calls)} times"
    for number, call in enumerate(calls, start=1):
        outputs: list[str] = [answer["output"] for answer in call["outputs"]]
        if len(outputs) > 1 or (expected.answered and not outputs):
            return f"call {number} was answered {len(outputs)} times"
        wrong = [text for text in outputs if expected.output_contains not in text]
        if wrong:
            return f"call {number} was answered {wrong[0][:200]!r}"
    return ""


def _judge_kept(expected: ExpectKept, sessions: Sequence[Session], voice: bytes) -> str:
    kept_ms: list[float] = [
        0.0 if item["deleted_at"] else item["audio_ms"]
        for session in sessions
        for item in _cut_items(session)
    ]
    if len(kept_ms) != 1:
        return f"{len(kept_ms)} replies were cut"
    heard_ms = heard_bytes(load_line(expected.line).audio, voice.find) / _BYTES_PER_MS
    if abs(kept_ms[0] - heard_ms) <= expected.within_ms:
        return ""
    return f"{kept_ms[0]:.0f} ms are kept, {heard_ms:.0f} ms were heard"


def _cut_items(session: Session) -> list[Any]:
    items = (*session["items"], *session["deleted_items"])
    return [item for item in items if item["truncated_ms"] or item["deleted_at"]]


def _interruptions(session: Session) -> int:
    """Return how many replies were cancelled, cut to what was heard, or taken out."""
    cancelled = {r["id"] for r in session["responses"] if r["status"] == "cancelled"}
    return max(len(cancelled), len(_cut_items(session)))
