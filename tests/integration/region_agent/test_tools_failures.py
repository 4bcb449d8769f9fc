"""Endpoints and models that misbehave: each has its outcome, and the next one works."""

import asyncio
import contextlib
import functools
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import structlog

from backhaul.errors import SettingsError
from region_agent.tools import ToolResult, Tools
from tests.integration.region_agent.tool_server import (
    HOST,
    Resolver,
    Serving,
    StartTools,
    ToolServer,
    authority,
    network,
    profile,
    request,
    start_bench,
    tools_for,
)

Wait = Callable[..., Awaitable[None]]
H2, H1 = ("h2", "http/1.1"), ("http/1.1",)
MEGABYTE = 1024 * 1024


@pytest.fixture
async def start_tools(tmp_path: Path) -> AsyncIterator[StartTools]:
    async with contextlib.AsyncExitStack() as stack:
        yield functools.partial(start_bench, stack, tmp_path)


@pytest.fixture
async def plain_server() -> AsyncIterator[Serving]:
    """A server without TLS."""
    serving = Serving(ToolServer())
    await serving.start()
    yield serving
    await serving.stop()


@pytest.mark.parametrize("alpn", [H2, H1])
async def test_a_tool_that_hangs_is_asked_twice_and_given_up(
    start_tools: StartTools, wait: Wait, alpn: tuple[str, ...]
) -> None:
    bench = await start_tools(alpn=alpn, timeout_s=0.3)
    result = await bench.call("hang")
    assert (result.outcome, result.attempts) == ("timeout", 2)
    assert json.loads(result.output) == {"error": "The tool did not answer in time."}
    assert 0.6 <= result.duration_s < 10
    keys = {seen.headers["idempotency-key"] for seen in bench.server.seen}
    assert (len(bench.server.seen), len(keys)) == (2, 1)
    await wait(lambda: bench.server.hanging == 0)
    assert bench.pool.stock().uses == 0
    # The hung connections are not used again.
    await wait(bench.ready)
    hung = bench.server.clients()
    bench.server.seen.clear()
    async with asyncio.timeout(20):
        while (await bench.call("echo", "{}", "c2")).outcome != "ok":
            pass  # a slow machine may need more than the timeout
    assert not bench.server.clients() & hung


@pytest.mark.parametrize("alpn", [H2, H1])
@pytest.mark.parametrize("name", ["huge", "huge-announced"])
async def test_a_gigabyte_is_cut_off_after_what_was_asked_for(
    start_tools: StartTools, wait: Wait, alpn: tuple[str, ...], name: str
) -> None:
    bench = await start_tools(alpn=alpn)
    result = await bench.call(name)
    assert (result.outcome, result.attempts) == ("too_large", 1)
    assert json.loads(result.output) == {"error": "The tool's answer was too long."}
    assert bench.server.bytes_sent < 64 * MEGABYTE
    await wait(bench.ready)
    assert (await bench.call("echo", "{}", "c2")).outcome == "ok"
    assert len(bench.server.clients()) == 2


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"table": '),
        ("application/json", b""),
        ("application/problem+json; charset=utf-8", b"<html>"),
        ("application/json", b'{"price": NaN}'),
        ("application/json", b"[" * 10_000),
    ],
)
async def test_json_that_is_none_is_not_given_to_the_model(
    start_tools: StartTools, kind: str, body: bytes
) -> None:
    bench = await start_tools()
    bench.server.answers["/odd"] = (kind, body)
    result = await bench.call("odd")
    assert (result.outcome, result.attempts) == ("invalid_json", 1)
    assert "could not be read" in result.output


async def test_a_redirect_is_not_followed(start_tools: StartTools) -> None:
    bench = await start_tools()
    asked = bench.resolver.asked
    result = await bench.call("redirect")
    assert (result.outcome, result.attempts) == ("redirected", 1)
    assert "169.254" not in result.output
    assert len(bench.server.seen) == 1
    assert len(bench.tools.connections) == 1
    assert bench.resolver.asked == asked


@pytest.mark.parametrize(
    ("status", "outcome", "attempts"),
    [
        (204, "ok", 1),
        (304, "redirected", 1),
        (400, "http_4xx", 1),
        (404, "http_4xx", 1),
        (429, "http_4xx", 2),
        (500, "http_5xx", 1),
        (502, "http_5xx", 2),
        (503, "http_5xx", 2),
        (504, "http_5xx", 2),
    ],
)
async def test_only_an_answer_that_promises_nothing_was_done_is_retried(
    start_tools: StartTools, status: int, outcome: str, attempts: int
) -> None:
    bench = await start_tools(alpn=H1)
    bench.server.answers["/odd"] = ("text/plain", b"")
    bench.server.status = status
    result = await bench.call("odd")
    assert (result.outcome, result.attempts) == (outcome, attempts)
    assert bench.pool.counters.lost == bench.pool.counters.retired == 0


async def test_an_error_page_larger_than_any_answer_is_an_error_still(
    start_tools: StartTools,
) -> None:
    bench = await start_tools()
    bench.server.answers["/odd"] = ("text/html", b"x" * 100_000)
    bench.server.status = 404
    result = await bench.call("odd")
    assert (result.outcome, result.attempts) == ("http_4xx", 1)


async def test_a_tool_that_does_not_exist_is_an_answer_to_the_model(
    start_tools: StartTools,
) -> None:
    bench = await start_tools()
    result = await bench.call("launch_rockets")
    assert (result.outcome, result.attempts) == ("unknown_tool", 0)
    assert json.loads(result.output) == {"error": "There is no tool of this name."}
    assert bench.tools.counters.calls["desk", "", "unknown_tool"] == 1


@pytest.mark.parametrize("arguments", ['{"a": ', "[]", '{"n": "many"}', "nonsense"])
async def test_arguments_that_do_not_fit_are_never_sent(
    start_tools: StartTools, arguments: str
) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    bench = await start_tools(parameters=schema)
    result = await bench.call("echo", arguments)
    assert (result.outcome, result.attempts) == ("bad_arguments", 0)
    assert "arguments" in json.loads(result.output)["error"]
    assert bench.server.seen == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "localhost",
        "169.254.169.254",
        "[::ffff:10.0.0.1]",
        "127.1",
    ],
)
async def test_private_addresses_are_refused_however_they_are_written(
    plain_server: Serving, host: str
) -> None:
    url = f"http://{host}:{plain_server.port}"
    tools = Tools(
        {"desk": profile(url, ("echo",), allow_private=False)},
        environ={},
        rng=random.Random(7),
    )
    tools.start()
    result = await tools.call(request("echo"))
    await tools.aclose()
    assert (result.outcome, result.attempts) == ("refused_address", 1)
    assert json.loads(result.output) == {"error": "The tool cannot be reached."}
    assert plain_server.app.seen == []


async def test_a_public_name_with_private_addresses_is_refused(
    plain_server: Serving,
) -> None:
    resolver = Resolver("127.0.0.1", "10.0.0.1", "::1")
    url = f"http://{HOST}:{plain_server.port}"
    desk = profile(url, ("echo",), allow_private=False)
    tools = tools_for(desk, network(resolver))
    tools.start()
    for _ in range(3):
        assert (await tools.call(request("echo"))).outcome == "refused_address"
    await tools.aclose()
    assert plain_server.app.seen == []


async def test_a_name_is_resolved_once_per_connection_so_it_cannot_be_rebound(
    plain_server: Serving, wait: Wait
) -> None:
    """The system does not know the name: a second look would fail the connection."""
    resolver = Resolver("127.0.0.1")
    url = f"http://{HOST}:{plain_server.port}"
    tools = tools_for(profile(url, ("echo",)), network(resolver))
    tools.start()
    (connections,) = tools.connections
    await wait(lambda: connections.pool.stock().ready == 1)
    assert (await tools.call(request("echo"))).outcome == "ok"
    await wait(lambda: connections.pool.stock().opening == 0)
    assert resolver.asked == connections.pool.counters.opened
    await tools.aclose()


async def test_a_certificate_of_another_name_is_no_connection(tmp_path: Path) -> None:
    files, context = authority(tmp_path)
    serving = Serving(ToolServer(), files)
    await serving.start()
    url = f"https://other.invalid:{serving.port}"
    tools = tools_for(profile(url, ("echo",)), network(Resolver("127.0.0.1"), context))
    tools.start()
    result = await tools.call(request("echo"))
    assert (result.outcome, result.attempts) == ("unreachable", 2)
    assert serving.app.seen == []
    await tools.aclose()
    await serving.stop()


async def test_secrets_and_numbers_are_in_no_log_and_no_repr(
    start_tools: StartTools,
) -> None:
    with structlog.testing.capture_logs() as logged:
        bench = await start_tools(
            headers={"Authorization": "Bearer ${KEY}"}, environ={"KEY": "sk-canary"}
        )
        bench.server.status = 500
        result = await bench.call("echo", '{"pin": "0123 canary"}')
    assert bench.server.seen[0].headers["authorization"] == "Bearer sk-canary"
    call = request("echo", '{"pin": "0123 canary"}')
    functions = repr(vars(bench.tools))
    shown = f"{logged} {result!r} {result.output} {functions} {call!r}"
    assert "canary" not in shown
    assert "+1415" not in shown
    failures = [line for line in logged if line["event"] == "tool.failed"]
    assert [line["outcome"] for line in failures] == ["http_5xx"]


def test_what_is_missing_is_told_at_the_start_one_line_each() -> None:
    desk = profile(
        "https://tools.example.com",
        ("book", "cancel"),
        headers={"Authorization": "Bearer ${BOOKING_KEY}", "X-Id": "${TENANT}"},
        parameters={"type": "object", "properties": {"a": {"type": "text"}}},
    )
    with pytest.raises(SettingsError) as raised:
        Tools({"desk": desk}, environ={"TENANT": "t1"}, rng=random.Random(7))
    lines = raised.value.problems
    assert len(lines) == 4
    assert lines[0] == (
        "profiles.desk.tools.book.headers.Authorization: "
        "the environment has no BOOKING_KEY"
    )
    assert lines[1].startswith("profiles.desk.tools.book.parameters: .properties.a")


async def test_what_was_begun_is_told_before_everything_stops(
    start_tools: StartTools,
) -> None:
    bench = await start_tools()
    told: list[ToolResult] = []
    bench.tools.begin(request("echo"), told.append)
    await bench.tools.aclose()
    assert [result.outcome for result in told] == ["ok"]


async def test_what_does_not_end_in_time_is_told_as_a_failure(
    start_tools: StartTools, wait: Wait
) -> None:
    bench = await start_tools(alpn=H1)
    told: list[ToolResult] = []
    bench.tools.begin(request("hang"), told.append)
    await wait(lambda: bench.server.hanging == 1)
    await bench.tools.aclose()
    assert [result.outcome for result in told] == ["unreachable"]


async def test_stopping_answers_the_calls_under_way(
    start_tools: StartTools, wait: Wait
) -> None:
    bench = await start_tools(alpn=H1)
    async with asyncio.TaskGroup() as group:
        call = group.create_task(bench.tools.call(request("hang")))
        await wait(lambda: bench.server.hanging == 1)
        await bench.tools.aclose()
    assert call.result().outcome == "unreachable"
    assert (await bench.call("echo")).outcome == "unreachable"
