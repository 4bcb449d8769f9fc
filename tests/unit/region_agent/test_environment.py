"""Headers get their secrets from the environment, and never show them."""

import pytest

from region_agent.environment import expand_headers

ENVIRON = {"API_KEY": "sk-canary", "EMPTY": "", "SPLIT": "a\r\nX-Evil: 1"}


def test_variables_are_replaced_within_their_text() -> None:
    headers, problems = expand_headers(
        {"Authorization": "Bearer ${API_KEY}", "X-Plain": "as it is $API_KEY"}, ENVIRON
    )
    assert problems == ()
    assert headers["Authorization"].reveal() == "Bearer sk-canary"
    assert headers["X-Plain"].reveal() == "as it is $API_KEY"
    assert "sk-canary" not in repr(headers)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("X-Key", "${NOT_SET} ${EMPTY}", "the environment has no NOT_SET, EMPTY"),
        ("X-Key", "${API_KEY", "${ without the name of a variable and }"),
        ("X-Key", "${1X}", "${ without the name of a variable and }"),
        ("X-Key", "${SPLIT}", "not a value that a header can have"),
        ("X-Key", "", "not a value that a header can have"),
        ("X-Key", "Ünicode", "not a value that a header can have"),
        ("X Key", "a", "not the name of a header"),
        ("Host", "elsewhere", "set by the agent itself"),
        ("Idempotency-Key", "1", "set by the agent itself"),
    ],
)
def test_what_cannot_be_sent_is_a_problem(name: str, value: str, problem: str) -> None:
    headers, problems = expand_headers({name: value, "X-Good": "1"}, ENVIRON)
    assert problems == (f"headers.{name}: {problem}",)
    assert list(headers) == ["X-Good"]


def test_no_problem_quotes_a_secret() -> None:
    environ = {"API_KEY": "sk-canary\n"}
    _, problems = expand_headers({"X-Key": "${API_KEY}"}, environ)
    assert len(problems) == 1
    assert "sk-canary" not in problems[0]
