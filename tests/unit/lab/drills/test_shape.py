"""What drills run on."""

import tomllib
from pathlib import Path

from backhaul.settings import read_deployment
from lab.drills.shape import NUMBER, Shape, conversation, write_config
from lab.twilio_plan import ExpectHeard, Turn, Wait


def test_the_configuration_has_one_voice_that_notes_turns_down(tmp_path: Path) -> None:
    path = tmp_path / "drill.toml"
    write_config(path, tool_url="http://127.0.0.1:4000/note")
    deployment = read_deployment(path)
    assert tomllib.loads(path.read_text())["numbers"] == {NUMBER: "front-desk"}
    (profile,) = deployment.profiles.values()
    assert [tool.name for tool in profile.tools] == ["note"]
    assert profile.greeting
    assert profile.silence.after_s == 0


def test_callers_want_the_reply_to_each_turn() -> None:
    steps = conversation(2, pause_s=3.0)
    assert [type(step) for step in steps] == [
        *(Turn, ExpectHeard),
        *(Wait, Turn, ExpectHeard),
    ]
    assert [step.name for step in steps if isinstance(step, Turn | ExpectHeard)] == [
        *("caller-1", "reply-1"),
        *("caller-2", "reply-2"),
    ]


def test_every_region_can_take_all_calls() -> None:
    options = Shape().fabric(20, Path("x"), short=False)
    assert (options.warm_sessions or 0) * options.agents > 20


def test_the_short_form_is_smaller() -> None:
    shape = Shape(
        pause_s=9.0,
        overrides={"edge": {"a": 1, "b": 2}},
        in_short={"edge": {"b": 3}, "region_agent": {"c": 4}},
    )
    assert shape.settings(short=False) == {"edge": {"a": 1, "b": 2}}
    assert shape.settings(short=True) == {
        "edge": {"a": 1, "b": 3},
        "region_agent": {"c": 4},
    }
    assert shape.fabric(4, Path("x"), short=True).agents == 1
    assert len(shape.steps(short=True)) < len(shape.steps(short=False))
    assert shape.length_s(short=True) < shape.length_s(short=False)
