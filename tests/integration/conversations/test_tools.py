"""The model calls functions: good ones, slow ones, broken ones; the call goes on."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import pytest_asyncio
from hypercorn.asyncio import serve
from hypercorn.config import Config

from tests.integration.conversations.conftest import OpenLine

TOOL = """
greeting = "Hello, and thank you for calling. How can I help you today?"
[[profiles.desk.tools]]
name = "find_parcel"
description = "Find out when a parcel arrives."
url = "{url}{path}"
allow_private = true
timeout_s = {timeout_s}
max_result_bytes = 4096
filler = "One moment, please."
filler_after_ms = 600
headers = {{ Authorization = "Bearer ${{PARCEL_TOKEN}}" }}
[profiles.desk.tools.parameters]
type = "object"
required = ["number"]
[profiles.desk.tools.parameters.properties.number]
type = "string"
"""

CONVERSATION = """
[[caller]]
say = "caller-2"
[[caller]]
expect_heard = "{heard}"
[[caller]]
say = "caller-6"
[[caller]]
expect_heard = "reply-6"
[[caller]]
expect_tool = {{ name = "{name}", times = 1, output_contains = "{output}" }}
[[model]]
calls = [{{ name = "{name}", arguments = {arguments} }}]
unknown_ok = true
[[model]]
speak = "{heard}"
[[model]]
speak = "reply-6"
"""

GOOD_CALL = ("find_parcel", '{ number = "42" }')

Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass
class Endpoint:
    """What hypercorn serves; keeps what it was asked."""

    url: str = ""
    asked: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append((headers, json.loads(body)))
        await self._answer(scope["path"], send)

    async def _answer(self, path: str, send: Send) -> None:
        status, headers, body = 200, [(b"content-type", b"application/json")], b"{}"
        match path:
            case "/good":
                body = b'{"arrives": "on Tuesday"}'
            case "/slow":
                await asyncio.sleep(2.5)
                body = b'{"arrives": "on Tuesday"}'
            case "/hangs":
                await asyncio.sleep(60)
            case "/broken":
                body = b'{"arrives": '
            case "/redirects":
                status = 302
                headers += [(b"location", b"http://169.254.169.254/latest/meta-data")]
            case _:
                headers += [(b"content-length", b"1000000000")]
        await send(
            {"type": "http.response.start", "status": status, "headers": headers}
        )
        while path == "/endless":
            await send(
                {
                    "type": "http.response.body",
                    "body": b"x" * 65536,
                    "more_body": True,
                }
            )
        await send({"type": "http.response.body", "body": body})


@pytest_asyncio.fixture(name="endpoint")
async def _endpoint(unused_tcp_port: int) -> AsyncIterator[Endpoint]:
    endpoint, over = Endpoint(), asyncio.Event()
    config = Config()
    config.bind = [f"127.0.0.1:{unused_tcp_port}"]
    config.graceful_timeout = 0.1
    endpoint.url = f"http://{config.bind[0]}"
    server = asyncio.ensure_future(  # noqa: TID251 - owned by this fixture
        serve(cast("Any", endpoint), config, shutdown_trigger=over.wait)
    )
    yield endpoint
    over.set()
    with contextlib.suppress(asyncio.CancelledError):
        await server


OUTCOMES = {
    "good": ("/good", GOOD_CALL, "on Tuesday"),
    "hangs": ("/hangs", GOOD_CALL, "in time"),
    "broken": ("/broken", GOOD_CALL, "error"),
    "redirects": ("/redirects", GOOD_CALL, "error"),
    "endless": ("/endless", GOOD_CALL, "too long"),
    "unfit": ("/good", ("find_parcel", "{ number = 42 }"), "do not fit"),
    "torn": ("/good", ("find_parcel", "'{\"number\": '"), "error"),
    "unknown": ("/good", ("find_treasure", "{}"), "no tool of this name"),
}


async def test_the_caller_hears_what_came_of_it(
    answer: OpenLine, endpoint: Endpoint
) -> None:
    lines = {
        case: await answer(
            TOOL.format(url=endpoint.url, path=path, timeout_s=1.0),
            environ={"PARCEL_TOKEN": "canary-token"},
        )
        for case, (path, _, _) in OUTCOMES.items()
    }

    async def call_with(case: str) -> Any:
        _, (name, arguments), output = OUTCOMES[case]
        heard = "reply-4" if output == "on Tuesday" else "sorry-1"
        script = CONVERSATION.format(
            heard=heard, name=name, output=output, arguments=arguments
        )
        return (await lines[case].converse(script)).problems

    problems = await asyncio.gather(*map(call_with, OUTCOMES))
    assert dict(zip(OUTCOMES, map(list, problems), strict=True)) == {
        case: [] for case in OUTCOMES
    }


async def test_the_endpoint_gets_call_arguments_and_secret(
    answer: OpenLine, endpoint: Endpoint
) -> None:
    line = await answer(
        TOOL.format(url=endpoint.url, path="/good", timeout_s=5.0),
        environ={"PARCEL_TOKEN": "canary-token"},
    )
    result = await line.converse(
        CONVERSATION.format(
            heard="reply-4",
            name="find_parcel",
            output="on Tuesday",
            arguments='{ number = "42" }',
        )
    )
    assert result.ok, result.problems
    ((headers, body),) = endpoint.asked
    assert headers["authorization"] == "Bearer canary-token"
    assert headers["idempotency-key"].startswith(result.call.call_sid)
    assert body["arguments"] == {"number": "42"}
    assert body["call"] == {
        "call_sid": result.call.call_sid,
        "profile": "desk",
        "caller": "+14155550123",
    }


async def test_a_slow_answer_is_covered_by_a_filler(
    answer: OpenLine, endpoint: Endpoint
) -> None:
    line = await answer(
        TOOL.format(url=endpoint.url, path="/slow", timeout_s=10.0),
        environ={"PARCEL_TOKEN": "canary-token"},
    )
    result = await line.converse("""
[[caller]]
say = "caller-2"
[[caller]]
expect_heard = "filler-1"
[[caller]]
expect_heard = "reply-4"
[[model]]
calls = [{ name = "find_parcel", arguments = { number = "42" } }]
[[model]]
speak = "reply-4"
""")
    assert result.ok, result.problems
    assert result.heard.index("filler-1") < result.heard.index("reply-4")
