"""How a function call becomes a request, and an answer the model's output."""

import pytest

from backhaul.core.tools import Tool
from region_agent.tool_connections import Answer
from region_agent.tool_function import (
    ToolFailedError,
    ToolFunction,
    ToolRequest,
    output_of,
    prepare,
)


def function(url: str) -> ToolFunction:
    prepared, problems = prepare(Tool(name="book", description="Books.", url=url), {})
    assert problems == ()
    assert prepared is not None
    return prepared


def call(call_id: str = "call_1") -> ToolRequest:
    return ToolRequest(
        profile="desk",
        name="book",
        arguments="{}",
        call_id=call_id,
        key=f"CA1-{call_id}",
        call_sid="CA1",
        caller="+14155550123",
    )


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("https://tools.example.com", "tools.example.com", "/"),
        ("https://tools.example.com:443/a", "tools.example.com", "/a"),
        (
            "https://Tools.Example.com:8443/a?b=c&d",
            "tools.example.com:8443",
            "/a?b=c&d",
        ),
        ("http://127.0.0.1:8080/a", "127.0.0.1:8080", "/a"),
        ("http://[::1]/a%20b", "[::1]", "/a%20b"),
        ("https://bücher.example/ä b", "xn--bcher-kva.example", "/%C3%A4%20b"),
    ],
)
def test_a_url_becomes_host_and_target(url: str, host: str, target: str) -> None:
    request = function(url).request(call())
    assert dict(request.headers)[b"host"].decode() == host
    assert request.url.target.decode() == target


@pytest.mark.parametrize(
    ("call_id", "key"),
    [("call_1", "CA1-call_1"), ("a\r\nb: c", "CA1-a%0D%0Ab%3A%20c")],
)
def test_every_idempotency_key_can_be_a_header(call_id: str, key: str) -> None:
    request = function("https://tools.example.com").request(call(call_id))
    assert dict(request.headers)[b"idempotency-key"].decode() == key


def test_a_host_that_dns_cannot_have_is_a_problem() -> None:
    tool = Tool(name="a", description="b", url=f"https://{'x' * 64}.example")
    assert prepare(tool, {}) == (None, ("url: not a host name",))


def answer(
    body: bytes, kind: bytes = b"text/plain", status: int = 200, coding: bytes = b""
) -> Answer:
    headers = {b"content-type": kind}
    if coding:
        headers[b"content-encoding"] = coding
    return Answer(status, headers, body)


def test_answers_are_given_to_the_model_as_they_are() -> None:
    json = b'{"table":  5}'
    assert output_of(answer(json, b"application/json")) == '{"table":  5}'
    assert output_of(answer(b'{"table"')) == '{"table"'
    assert output_of(answer(b"caf\xe9")) == "caf�"
    assert output_of(answer(b"", status=204)) == ""
    assert output_of(answer(b"x", coding=b"identity")) == "x"


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (answer(b"\x1f\x8b", coding=b"gzip"), "invalid_json"),
        (answer(b"{", b"application/JSON; charset=utf-8"), "invalid_json"),
        (answer(b"", status=301), "redirected"),
        (answer(b"", status=418), "http_4xx"),
        (answer(b"", status=599), "http_5xx"),
        (answer(b"", status=999), "http_5xx"),
    ],
)
def test_other_answers_are_failures(given: Answer, outcome: str) -> None:
    with pytest.raises(ToolFailedError) as raised:
        output_of(given)
    assert raised.value.outcome == outcome
