"""Reads a conversation, as a TOML file describes both of its sides.

``[call]`` says who calls whom and what the carrier does, ``[[caller]]`` what the caller
does and expects, step by step, and ``[[model]]`` what the model stand-in says and does,
response by response. See examples/conversations.
"""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, Struct

from backhaul.errors import WarmlineError
from lab.model_expectations import (
    ExpectInterrupted,
    ExpectKept,
    ExpectTool,
    ModelExpectation,
)
from lab.model_script import ModelTurn
from lab.speech_files import cough, load_line
from lab.twilio_plan import (
    CallPlan,
    Cough,
    DialOutcome,
    ExpectDigits,
    ExpectEnd,
    ExpectHeard,
    ExpectSilence,
    ExpectVerb,
    HangUp,
    Press,
    QueueOutcome,
    ReadPause,
    ReferOutcome,
    Step,
    Turn,
    Wait,
)
from region_agent.core.wav import UnusableAudioError, mulaw_from_wav

__all__ = ["ConversationScript", "ScriptError", "parse_script", "read_script"]

_Seconds = Annotated[float, Meta(ge=0, le=3600)]
_ENDS = ("caller", "twiml", "rejected", "error")
_DEFAULT_OVER_S = 0.5
"""How long the voice has been audible when the caller speaks over it."""


class ScriptError(WarmlineError):
    """A script cannot be used; holds one line per problem."""

    code: ClassVar[str] = "script_invalid"

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Call(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[call]``; what is left out is as `CallPlan` has it."""

    to_number: str = msgspec.field(name="to", default="+14155550100")
    from_number: str = msgspec.field(name="from", default="+14155550123")
    over_sip: bool = False
    waits_for_opening: bool = True
    quiet_s: _Seconds = 0.6
    reply_timeout_s: _Seconds = 10.0
    step_timeout_s: _Seconds = 30.0
    max_duration_s: _Seconds = 120.0
    hangs_up: bool = True
    dial: DialOutcome = DialOutcome()
    queue: QueueOutcome = QueueOutcome()
    refer: ReferOutcome = ReferOutcome()
    read_pause: ReadPause | None = None
    expect_errors: tuple[int, ...] = ()


class _Step(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table ``[[caller]]``: one key, and `after_s` beside some."""

    say: str = ""
    interrupt: str = ""
    after_s: _Seconds | None = None
    cough: Annotated[float, Meta(ge=0.02, le=1)] = 0.1
    wait_s: _Seconds = 0
    press: Annotated[str, Meta(pattern="^[0-9*#A-D]{1,64}$")] = "0"
    hang_up: bool = True
    expect_heard: str = ""
    expect_silence_s: _Seconds = 0
    expect_end: str = ""
    expect_verb: Annotated[str, Meta(min_length=1)] = " "
    expect_digits: Annotated[str, Meta(pattern="^[0-9*#]{1,64}$")] = "0"
    expect_tool: ExpectTool | None = None
    expect_interrupted: bool = True
    expect_kept: ExpectKept | None = None


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    call: _Call = _Call()
    caller: tuple[dict[str, Any], ...] = ()
    model: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class ConversationScript:
    """One conversation.

    Attributes:
        plan: The caller's side; its webhook is still empty.
        model: The model's turns; empty: its ordinary replies.
        expectations: Of the model's side, judged when the call is over.
        expected_errors: Twilio's numbers for what may go wrong at the carrier.
    """

    name: str
    plan: CallPlan
    model: tuple[ModelTurn, ...] = ()
    expectations: tuple[ModelExpectation, ...] = ()
    expected_errors: tuple[int, ...] = ()


def read_script(path: Path) -> ConversationScript:
    """Return the conversation in the file at *path*; blocks.

    Raises:
        ScriptError: It cannot be read or used.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ScriptError(f"{path}: {exc}") from None
    return parse_script(text, name=path.stem, directory=path.parent)


def parse_script(
    text: str, *, name: str = "", directory: Path | None = None
) -> ConversationScript:
    """Return the conversation that *text* describes.

    Args:
        text: TOML.
        name: What to call it.
        directory: Where audio files are; only spoken lines may be named without it.

    Raises:
        ScriptError: It cannot be used; has one line per problem.
    """
    try:
        file = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as exc:
        raise ScriptError(str(exc)) from None
    problems: list[str] = []
    steps: list[Step] = []
    expectations: list[ModelExpectation] = []
    for number, table in enumerate(file.caller, start=1):
        try:
            step = _step(table, directory)
        except (ValueError, UnusableAudioError) as exc:
            problems.append(f"caller step {number}: {exc}")
            continue
        if isinstance(step, ModelExpectation):
            expectations.append(step)
        else:
            steps.append(step)
    model = _model_turns(file.model, problems)
    if problems:
        raise ScriptError(*problems)
    return ConversationScript(
        name=name,
        plan=_plan(file.call, tuple(steps)),
        model=model,
        expectations=tuple(expectations),
        expected_errors=file.call.expect_errors,
    )


def _plan(call: _Call, steps: tuple[Step, ...]) -> CallPlan:
    known = {field.name for field in fields(CallPlan)}
    facts = {
        name: getattr(call, name) for name in call.__struct_fields__ if name in known
    }
    return CallPlan(webhook_url="", steps=steps, **facts)


def _model_turns(
    tables: tuple[dict[str, Any], ...], problems: list[str]
) -> tuple[ModelTurn, ...]:
    turns: list[ModelTurn] = []
    for number, table in enumerate(tables, start=1):
        try:
            turns.append(msgspec.convert(table, ModelTurn))
        except ValueError as exc:
            problems.append(f"model turn {number}: {exc}")
    return tuple(turns)


def _step(table: dict[str, Any], directory: Path | None) -> Step | ModelExpectation:
    """Return what one table of ``[[caller]]`` says.

    Raises:
        ValueError: It is not one step.
        UnusableAudioError: Its audio file cannot be said.
    """
    read = msgspec.convert(table, _Step)
    keys = sorted(table.keys() - {"after_s"})
    if len(keys) != 1:
        raise ValueError(f"one key each, not {', '.join(keys) or 'none'}")
    if "after_s" in table and keys[0] not in {"interrupt", "cough"}:
        raise ValueError(f"after_s: not with {keys[0]}")
    return _expectation(keys[0], read) or _deed(keys[0], read, directory)


def _deed(key: str, read: _Step, directory: Path | None) -> Step:
    match key:
        case "wait_s":
            return Wait(read.wait_s)
        case "press":
            return Press(read.press)
        case "hang_up":
            if not read.hang_up:
                raise ValueError("hang_up: can only be true")
            return HangUp()
        case _:
            return _sound(key, read, directory)


def _sound(key: str, read: _Step, directory: Path | None) -> Step:
    """Return the step that makes, or listens for, a certain sound."""
    after_s = _DEFAULT_OVER_S if read.after_s is None else read.after_s
    if key == "cough":
        return Cough(cough(read.cough), after_s)
    name = read.say or read.interrupt or read.expect_heard
    audio = _audio(name, directory)
    if key == "expect_heard":
        return ExpectHeard(audio, name)
    return Turn(audio, after_s if key == "interrupt" else None, name)


def _expectation(key: str, read: _Step) -> Step | ModelExpectation | None:
    """Return the expectation that needs no audio, None if *key* is none."""
    if key == "expect_end" and read.expect_end not in _ENDS:
        raise ValueError(f"expect_end: one of {', '.join(_ENDS)}")
    made: dict[str, Step | ModelExpectation | None] = {
        "expect_silence_s": ExpectSilence(read.expect_silence_s),
        "expect_end": ExpectEnd(read.expect_end),
        "expect_verb": ExpectVerb(read.expect_verb),
        "expect_digits": ExpectDigits(read.expect_digits),
        "expect_tool": read.expect_tool,
        "expect_kept": read.expect_kept,
        "expect_interrupted": ExpectInterrupted(happened=read.expect_interrupted),
    }
    return made.get(key)


def _audio(name: str, directory: Path | None) -> bytes:
    """Return a line of lab/speech, or an audio file: raw mu-law, or WAV."""
    try:
        return load_line(name).audio
    except KeyError:
        path = None if directory is None or not name else directory / name
    if path is None or not path.is_file():
        raise ValueError(f"{name!r} is neither a line of lab/speech nor a file")
    data = path.read_bytes()
    if not data:
        raise ValueError(f"{name} is empty")
    return mulaw_from_wav(data) if data[:4] == b"RIFF" else data
