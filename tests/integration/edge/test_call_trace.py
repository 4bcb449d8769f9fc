"""What an edge tells of a call: its legs, the agents it asked, and nothing personal."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest_asyncio

from backhaul.core.checkpoint import Checkpoint
from backhaul.core.messages import CloseReason
from backhaul.tracing import context_of
from tests.integration.edge.streams import (
    AUDIO,
    GREETING_AUDIO,
    heard,
    ring,
    start,
    stream,
)
from tests.integration.otlp_receiver import OtlpReceiver, ReceivedSpan

if TYPE_CHECKING:
    from tests.integration.conftest import Bench, MakeBench


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    async with OtlpReceiver() as one:
        yield one


async def hang_up(bench: "Bench") -> None:
    await bench.post("/twilio/status", bench.sids() | {"CallStatus": "completed"})


def children(receiver: OtlpReceiver, parent: ReceivedSpan) -> list[str]:
    return sorted(
        span.name for span in receiver.spans if span.parent_id == parent.span_id
    )


async def fail_over(bench: "Bench", wait: Any) -> None:
    """Hold a call whose first session is lost."""
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        bench.agent.calls[0].channel.send_audio(AUDIO)
        await heard(socket, at_least=len(GREETING_AUDIO + AUDIO))
        bench.agent.calls[0].channel.send(Checkpoint(1))
        bench.agent.calls[0].channel.close(CloseReason.SESSION_LOST)
        await wait(lambda: len(bench.agent.calls) == 2)
        bench.agent.calls[1].channel.send_audio(AUDIO)
        await heard(socket, at_least=len(AUDIO))
        await hang_up(bench)


async def test_a_failover_is_linked_to_the_session_that_was_lost(
    make_bench: "MakeBench", receiver: OtlpReceiver, wait: Any
) -> None:
    bench = await make_bench(otlp_endpoint=receiver.endpoint)
    await fail_over(bench, wait)
    await wait(lambda: bool(receiver.named("call")))
    (call,) = receiver.named("call")
    (failover,) = receiver.named("failover")
    first, second = receiver.named("attach")
    one = ["attach", "first audio", "stream start", "webhook"]
    assert children(receiver, call) == sorted([*one, "failover"])
    again = ["attach", "first audio", "lease", "route"]
    assert children(receiver, failover) == again
    assert failover.links == (first.span_id,)
    assert (first.parent_id, second.parent_id) == (call.span_id, failover.span_id)
    assert failover.attributes["warmline.failover.reason"] == "session_lost"
    gap_ms = failover.attributes["warmline.failover.gap_ms"]
    assert 0 < gap_ms <= failover.duration_ms
    assert call.attributes["warmline.legs"] == 2
    assert not call.error
    assert_agents_were_told(bench, call, failover)


async def test_what_calls_waited_for_is_counted(bench: "Bench", wait: Any) -> None:
    await fail_over(bench, wait)
    await wait(lambda: bench.metric("edge_call_duration_seconds_count") == 1)
    assert bench.metric("edge_failovers_total", outcome="resumed") == 1
    assert bench.metric("edge_failover_gap_seconds_count") == 1
    assert bench.metric("edge_failover_restore_seconds_count") == 1
    assert bench.metric("edge_stream_start_seconds_count") == 1
    assert bench.metric("edge_attach_seconds_count", region="home") == 2
    for outcome in ("warm", "cold"):
        leases = {"region": "home", "outcome": outcome}
        assert bench.metric("edge_lease_seconds_count", **leases) == 1
    source = {"source": "greeting"}
    assert bench.metric("edge_first_audio_seconds_count", **source) == 1


def assert_agents_were_told(
    bench: "Bench", call: ReceivedSpan, failover: ReceivedSpan
) -> None:
    """Each leg's agent tells its part under that leg."""
    for session, parent in zip(bench.agent.calls, (call, failover), strict=True):
        context = context_of(session.message.traceparent)
        assert context is not None
        assert f"{context.trace_id:032x}" == call.trace_id
        assert f"{context.span_id:016x}" == parent.span_id


async def test_the_carrier_is_given_the_context(
    make_bench: "MakeBench", receiver: OtlpReceiver
) -> None:
    bench = await make_bench(otlp_endpoint=receiver.endpoint)
    _, text = await bench.post()
    (parameter,) = ET.fromstring(text)[0][0]  # noqa: S314 - our own
    assert parameter.get("name") == "traceparent"
    assert context_of(parameter.get("value", "")) is not None


async def test_without_a_collector_there_is_no_context(
    bench: "Bench", wait: Any
) -> None:
    url = await ring(bench)
    _, text = await bench.post()
    assert "traceparent" not in text
    async with stream(bench, url) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        assert bench.agent.calls[0].message.traceparent == ""
        await hang_up(bench)
    await wait(lambda: bench.metric("edge_call_duration_seconds_count") == 1)


async def test_every_agent_that_refused_is_in_it(
    make_bench: "MakeBench", receiver: OtlpReceiver, wait: Any
) -> None:
    bench = await make_bench(("home", "away"), otlp_endpoint=receiver.endpoint)
    for agent in bench.agents.values():
        agent.refuse_with = CloseReason.AT_CAPACITY
    await bench.post()
    await hang_up(bench)
    await wait(lambda: bool(receiver.named("call")))
    leases = receiver.named("lease")
    told = {span.attributes["warmline.region"] for span in leases}
    assert told == {"home", "away"}
    assert {span.error for span in leases} == {"at_capacity"}
    assert len(receiver.named("route")) >= len(leases)
    assert "127.0.0.1" not in str(receiver.spans)


async def test_calls_that_are_live_when_the_edge_stops_are_told(
    make_bench: "MakeBench", receiver: OtlpReceiver, wait: Any
) -> None:
    bench = await make_bench(otlp_endpoint=receiver.endpoint)
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        await bench.edge.stop()
    (call,) = receiver.named("call")
    assert call.attributes["warmline.end_reason"] == "drained"


async def test_an_unsampled_call_is_not_told_but_passed_on(
    make_bench: "MakeBench", receiver: OtlpReceiver, wait: Any
) -> None:
    bench = await make_bench(otlp_endpoint=receiver.endpoint, trace_ratio=0.0)
    async with stream(bench, await ring(bench)) as socket:
        await socket.send(start())
        await wait(lambda: bool(bench.agent.calls))
        context = context_of(bench.agent.calls[0].message.traceparent)
        assert context is not None
        assert not context.trace_flags.sampled
        await hang_up(bench)
    await bench.edge.stop()
    assert receiver.spans == []


async def test_no_call_notices_a_collector_that_hangs(
    make_bench: "MakeBench", receiver: OtlpReceiver, wait: Any
) -> None:
    receiver.hangs = True
    bench = await make_bench(otlp_endpoint=receiver.endpoint)
    await bench.post()
    await hang_up(bench)
    await wait(lambda: receiver.requests == 1)
    async with stream(bench, await ring(bench, bench.sids(2))) as socket:
        await socket.send(start(2))
        assert await heard(socket, at_least=len(GREETING_AUDIO)) == GREETING_AUDIO
