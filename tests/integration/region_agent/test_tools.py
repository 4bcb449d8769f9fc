"""Tools against endpoints on hypercorn: HTTP/2 and HTTP/1.1, warm, cut off, many."""

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.integration.region_agent.tool_server import (
    StartTools,
    request,
    start_bench,
)

Wait = Callable[..., Awaitable[None]]
H2, H1 = ("h2", "http/1.1"), ("http/1.1",)


@pytest.fixture
async def start_tools(tmp_path: Path) -> AsyncIterator[StartTools]:
    async with contextlib.AsyncExitStack() as stack:
        yield functools.partial(start_bench, stack, tmp_path)


@pytest.mark.parametrize(("alpn", "version"), [(H2, "2"), (H1, "1.1")])
async def test_calls_one_after_another_share_one_connection(
    start_tools: StartTools, alpn: tuple[str, ...], version: str
) -> None:
    bench = await start_tools(alpn=alpn)
    for number in range(5):
        result = await bench.call("echo", f'{{"n": {number}}}', f"c{number}")
        assert (result.outcome, result.attempts) == ("ok", 1)
        assert json.loads(result.output)["arguments"] == {"n": number}
    assert {seen.version for seen in bench.server.seen} == {version}
    assert len(bench.server.clients()) == 1
    assert (bench.pool.counters.reused, bench.pool.counters.cold) == (5, 0)


async def test_concurrent_calls_share_one_http2_connection(
    start_tools: StartTools,
) -> None:
    bench = await start_tools()
    calls = [bench.call("echo", f'{{"n": {n}}}', f"c{n}") for n in range(20)]
    results = await asyncio.gather(*calls)
    numbers = [json.loads(result.output)["arguments"]["n"] for result in results]
    assert numbers == list(range(20))
    assert len(bench.server.clients()) == 1


async def test_the_endpoint_gets_what_it_was_promised(start_tools: StartTools) -> None:
    bench = await start_tools(
        headers={"Authorization": "Bearer ${KEY}"}, environ={"KEY": "sk-canary"}
    )
    await bench.call("echo", '{"a": "ü"}', "call_1")
    (seen,) = bench.server.seen
    call_sid = "CA" + "1" * 32
    assert seen.body == {
        "name": "echo",
        "arguments": {"a": "ü"},
        "call": {"call_sid": call_sid, "profile": "desk", "caller": "+14155550123"},
    }
    assert seen.headers["idempotency-key"] == f"{call_sid}-call_1"
    assert seen.headers["authorization"] == "Bearer sk-canary"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["user-agent"] == "warmline"


async def test_text_is_an_answer_as_good_as_json(start_tools: StartTools) -> None:
    bench = await start_tools()
    bench.server.answers["/plain"] = ("text/plain; charset=utf-8", b"Table 5 it is.")
    result = await bench.call("plain")
    assert (result.outcome, result.output) == ("ok", "Table 5 it is.")


@pytest.mark.parametrize("alpn", [H2, H1])
async def test_connections_the_server_ends_are_replaced_before_the_next_call(
    start_tools: StartTools, wait: Wait, alpn: tuple[str, ...]
) -> None:
    bench = await start_tools(alpn=alpn, keep_alive_timeout=1.5)
    assert (await bench.call("echo")).outcome == "ok"
    await wait(bench.ready)
    opened = bench.pool.counters.opened
    await wait(lambda: bench.pool.counters.lost == opened and bench.ready())
    result = await bench.call("echo", "{}", "c2")
    assert (result.outcome, result.attempts) == ("ok", 1)
    assert bench.pool.counters.cold == 0


@pytest.mark.parametrize("alpn", [H2, H1])
async def test_a_server_that_restarts_is_found_again_without_a_call(
    start_tools: StartTools, wait: Wait, alpn: tuple[str, ...]
) -> None:
    bench = await start_tools(alpn=alpn)
    await bench.call("echo")
    await bench.serving.stop()
    await wait(lambda: bench.pool.counters.failures > 0)
    result = await bench.call("echo", "{}", "c2")
    assert (result.outcome, result.attempts) == ("unreachable", 2)
    assert json.loads(result.output) == {"error": "The tool cannot be reached."}
    await bench.serving.start()
    await wait(bench.ready)
    result = await bench.call("echo", "{}", "c3")
    assert (result.outcome, result.attempts) == ("ok", 1)


@pytest.mark.parametrize(("alpn", "calls"), [(H2, 5), (H1, 12)])
async def test_a_server_that_limits_requests_per_connection_loses_none(
    start_tools: StartTools, alpn: tuple[str, ...], calls: int
) -> None:
    """Over HTTP/2, hypercorn never answers the first request beyond its limit."""
    bench = await start_tools(alpn=alpn, keep_alive_max_requests=3)
    for number in range(calls):
        result = await bench.call("count", f'{{"n": {number}}}', f"c{number}")
        assert (result.outcome, result.output) == ("ok", str(number))
        assert result.duration_s < 15, "less than the timeout of one attempt"
        assert result.attempts == 1 or alpn == H2
    assert set(bench.server.executed.values()) == {1}
    assert len(bench.server.clients()) > 1


async def test_a_call_that_is_cancelled_leaves_nothing_behind(
    start_tools: StartTools, wait: Wait
) -> None:
    bench = await start_tools(alpn=H1)
    before = {task.get_name() for task in asyncio.all_tasks()}
    async with asyncio.TaskGroup() as group:
        call = group.create_task(bench.tools.call(request("hang")))
        await wait(lambda: bench.server.hanging == 1)
        call.cancel()
    assert call.cancelled()
    assert bench.pool.stock().uses == 0
    await wait(lambda: bench.server.hanging == 0)  # its connection is cut
    await wait(bench.ready)
    await wait(lambda: not tool_tasks() - before)
    assert (await bench.call("echo", "{}", "c2")).attempts == 1


def tool_tasks() -> set[str]:
    names = {task.get_name() for task in asyncio.all_tasks()}
    return {name for name in names if name.startswith("tool")}


async def test_a_cancelled_http2_call_does_not_disturb_its_neighbours(
    start_tools: StartTools, wait: Wait
) -> None:
    bench = await start_tools()
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(bench.call("hang", "{}", f"h{n}")) for n in (1, 2)]
        await wait(lambda: bench.server.hanging == 2)
        calls[0].cancel()
        await wait(lambda: bench.pool.stock().draining == 1)
        result = await bench.call("echo", "{}", "c3")
        assert (result.outcome, result.attempts) == ("ok", 1)
        assert not calls[1].done()
        calls[1].cancel()
    await wait(lambda: bench.pool.stock().draining == 0)


@pytest.mark.parametrize("alpn", [H2, H1])
async def test_a_request_cut_off_after_it_was_executed_is_not_executed_again(
    start_tools: StartTools, alpn: tuple[str, ...]
) -> None:
    bench = await start_tools(alpn=alpn, relayed=True)
    bench.server.cut_after = frozenset({"1"})
    result = await bench.call("count", '{"n": 1}')
    assert (result.outcome, result.attempts) == ("ok", 2)
    assert len(bench.server.seen) == 2
    assert set(bench.server.executed.values()) == {1}
    assert bench.tools.counters.retries == 1


async def test_a_thousand_calls_are_each_executed_once_whatever_is_cut(
    start_tools: StartTools,
) -> None:
    bench = await start_tools(alpn=H1, relayed=True)
    bench.server.cut_after = frozenset(str(n) for n in range(0, 1000, 20))
    fifty = asyncio.Semaphore(50)

    async def call(number: int) -> tuple[str, str]:
        async with fifty:
            result = await bench.call("count", f'{{"n": {number}}}', f"c{number}")
        return result.outcome, result.output

    results = await asyncio.gather(*(call(number) for number in range(1000)))
    assert {outcome for outcome, _ in results} == {"ok"}
    executed = bench.server.executed
    assert len(executed) == 1000
    assert set(executed.values()) == {1}
    assert len({output for _, output in results}) == 1000
    assert len(bench.server.seen) == 1000 + bench.tools.counters.retries
    assert bench.tools.counters.retries >= 50
    assert bench.pool.stock().uses == 0
