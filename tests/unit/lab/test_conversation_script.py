from pathlib import Path

import pytest

from lab.conversation_script import ScriptError, parse_script, read_script
from lab.model_expectations import ExpectInterrupted, ExpectKept, ExpectTool
from lab.model_script import ModelTurn
from lab.speech_files import cough, load_line
from lab.twilio_plan import (
    Cough,
    DialOutcome,
    ExpectDigits,
    ExpectEnd,
    ExpectHeard,
    ExpectSilence,
    ExpectVerb,
    HangUp,
    Press,
    ReadPause,
    Step,
    Turn,
    Wait,
)

EXAMPLES = Path(__file__).parents[3] / "examples" / "conversations"
CALLER, GREETING = load_line("caller-1").audio, load_line("greeting").audio


def step(text: str) -> str:
    return f"[[caller]]\n{text}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('say = "caller-1"', Turn(CALLER, name="caller-1")),
        ('interrupt = "caller-1"', Turn(CALLER, 0.5, "caller-1")),
        ('interrupt = "caller-1"\nafter_s = 2', Turn(CALLER, 2.0, "caller-1")),
        ("cough = 0.1", Cough(cough(0.1), 0.5)),
        ("cough = 0.2\nafter_s = 1.0", Cough(cough(0.2), 1.0)),
        ("wait_s = 2", Wait(2.0)),
        ('press = "12#"', Press("12#")),
        ("hang_up = true", HangUp()),
        ('expect_heard = "greeting"', ExpectHeard(GREETING, "greeting")),
        ("expect_silence_s = 1.5", ExpectSilence(1.5)),
        ('expect_end = "twiml"', ExpectEnd("twiml")),
        ('expect_verb = "Dial +1"', ExpectVerb("Dial +1")),
        ('expect_digits = "12#"', ExpectDigits("12#")),
    ],
)
def test_every_step_of_a_caller_can_be_said(text: str, expected: Step) -> None:
    assert parse_script(step(text)).plan.steps == (expected,)


def test_what_the_model_knows_is_expected_beside_the_steps() -> None:
    script = parse_script(
        step('expect_tool = {name = "book", times = 2, output_contains = "ok"}')
        + step('say = "caller-1"')
        + step("expect_interrupted = false")
        + step('expect_kept = {line = "long-1", within_ms = 40}')
    )
    assert script.expectations == (
        ExpectTool("book", 2, "ok"),
        ExpectInterrupted(happened=False),
        ExpectKept("long-1", 40),
    )
    assert [str(said) for said in script.plan.steps] == ["say caller-1"]


def test_a_call_has_two_numbers_and_what_becomes_of_it() -> None:
    script = parse_script(
        """
        [call]
        to = "+442071838750"
        from = "+4930123456"
        over_sip = true
        quiet_s = 1
        dial = {outcome = "busy", after_s = 2}
        read_pause = {from_s = 1, for_s = 2}
        expect_errors = [31930]

        [[model]]
        speak = ["filler-1", "reply-1"]
        """,
        name="night",
    )
    plan = script.plan
    assert (plan.to_number, plan.from_number) == ("+442071838750", "+4930123456")
    assert (plan.over_sip, plan.quiet_s, plan.reply_timeout_s) == (True, 1.0, 10.0)
    assert plan.dial == DialOutcome(outcome="busy", after_s=2)
    assert plan.read_pause == ReadPause(from_s=1, for_s=2)
    assert script.expected_errors == (31930,)
    assert script.model == (ModelTurn(speak=("filler-1", "reply-1")),)
    assert script.name == "night"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("caller = ", "Invalid value"),
        ("[caler]", "unknown field `caler`"),
        ("[call]\ntoo = 1", "unknown field `too`"),
        ("[call]\nquiet_s = -1", "$.call.quiet_s"),
        ('[call]\ndial = {outcome = "asleep"}', "$.call.dial.outcome"),
        (step(""), "caller step 1: one key each, not none"),
        (step("wait_s = 1") + step("sing = 1"), "caller step 2: "),
        (step("wait_s = 1\nhang_up = true"), "one key each, not hang_up, wait_s"),
        (step("wait_s = 1\nafter_s = 1"), "after_s: not with wait_s"),
        (step('wait_s = "long"'), "Expected `float`, got `str`"),
        (step("hang_up = false"), "hang_up: can only be true"),
        (step('press = "1x"'), "$.press"),
        (step('say = "caller-99"'), "'caller-99' is neither a line"),
        (step('say = ""'), "'' is neither a line"),
        (step("cough = 3"), "$.cough"),
        (step('expect_end = "boredom"'), "expect_end: one of caller, twiml"),
        (step('expect_kept = {line = "x"}'), "lab/speech has no line 'x'"),
        (step("expect_tool = {times = 1}"), "missing required field `name`"),
        ('[[model]]\nspeak = "caller-99"', "model turn 1: "),
        ("[[model]]\nsing = true", "model turn 1: "),
    ],
)
def test_a_script_that_says_something_else_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse_script(text)
    (line,) = caught.value.problems
    assert problem in line


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ScriptError) as caught:
        parse_script(step("sing = 1") + step("wait_s = 1") + step("dance = 1"))
    assert [line[:14] for line in caught.value.problems] == [
        "caller step 1:",
        "caller step 3:",
    ]


def test_audio_files_lie_beside_the_script(tmp_path: Path) -> None:
    (tmp_path / "hello.ulaw").write_bytes(b"\x10" * 320)
    (tmp_path / "empty.ulaw").write_bytes(b"")
    path = tmp_path / "talk.toml"
    path.write_text(step('say = "hello.ulaw"'))
    script = read_script(path)
    assert script.name == "talk"
    assert script.plan.steps == (Turn(b"\x10" * 320, name="hello.ulaw"),)
    path.write_text(step('say = "empty.ulaw"'))
    with pytest.raises(ScriptError, match=r"empty.ulaw is empty"):
        read_script(path)


def test_a_file_that_is_missing_is_one_problem(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"nothing\.toml"):
        read_script(tmp_path / "nothing.toml")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda p: p.stem)
def test_the_examples_can_be_read(path: Path) -> None:
    assert read_script(path).plan.steps
