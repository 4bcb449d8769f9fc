"""Arguments that fit are sent; for others the model is told what is wrong where."""

from typing import Any

import pytest

from region_agent.tool_arguments import (
    ArgumentSchema,
    InvalidArgumentsError,
    InvalidSchemaError,
)

BOOKING: dict[str, Any] = {
    "type": "object",
    "properties": {
        "date": {"type": "string", "pattern": "^[0-9-]{10}$"},
        "guests": {"$ref": "#/$defs/count"},
    },
    "required": ["date"],
    "additionalProperties": False,
    "$defs": {"count": {"type": "integer", "minimum": 1}},
}


def test_arguments_that_fit_are_returned() -> None:
    arguments = ArgumentSchema(BOOKING).parse('{"date": "2026-11-21", "guests": 2}')
    assert arguments == {"date": "2026-11-21", "guests": 2}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"date": "2026-11-21", "guests": 0}', "arguments.guests: 0 is less than"),
        ('{"date": 5}', "arguments.date: 5 is not of type 'string'"),
        ("{}", "arguments: 'date' is a required property"),
        ("", "arguments: 'date' is a required property"),
        ('{"date": "2026-11-21", "x": 1}', "arguments: Additional properties"),
        ("[1]", "arguments: not a JSON object"),
        ('{"date": "2026', "arguments: not JSON"),
        ('{"date": NaN}', "arguments: not JSON"),
        ('{"date": "\\ud800"}', "arguments: not JSON"),
        ("[" * 60_000, "arguments: not JSON"),
        (" " * 70_000, "arguments: too long"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentsError) as raised:
        ArgumentSchema(BOOKING).parse(text)
    assert str(raised.value).startswith(problem)


def test_a_problem_does_not_repeat_a_whole_novel() -> None:
    with pytest.raises(InvalidArgumentsError) as raised:
        ArgumentSchema(BOOKING).parse('{"date": "' + "x" * 5000 + '"}')
    assert len(str(raised.value)) < 300


def test_a_function_without_parameters_takes_none() -> None:
    schema = ArgumentSchema({})
    assert schema.parse("") == {}
    assert schema.parse(" {} ") == {}
    with pytest.raises(InvalidArgumentsError):
        schema.parse('{"anything": 1}')


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "objekt"}, ".type: "),
        ({"type": "object", "properties": {"a": {"minimum": "1"}}}, ".properties.a.mi"),
        ({"type": "object", "properties": {"a": {"pattern": "("}}}, ".properties.a.pa"),
        ({"allOf": [{"$ref": "https://schemas.example/a"}]}, "$ref https://schemas"),
        ({"$ref": "file:///etc/passwd"}, "$ref file:///etc/passwd"),
        ({"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}, "$ref #/now"),
    ],
)
def test_a_schema_that_cannot_be_checked_is_refused(
    schema: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidSchemaError) as raised:
        ArgumentSchema(schema)
    assert str(raised.value).startswith(problem)


def test_a_schema_may_refer_to_itself() -> None:
    schema = ArgumentSchema(
        {
            "$id": "https://schemas.example/tree",
            "type": "object",
            "properties": {"left": {"$ref": "#"}, "size": {"$ref": "tree#/$defs/n"}},
            "$defs": {"n": {"type": "integer"}},
        }
    )
    assert schema.parse('{"left": {"left": {"size": 1}}}')
    with pytest.raises(InvalidArgumentsError) as raised:
        schema.parse('{"left": {"size": "big"}}')
    assert str(raised.value) == "arguments.left.size: 'big' is not of type 'integer'"
