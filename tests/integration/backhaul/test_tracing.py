"""Spans on their way to a collector that takes them, refuses them, or is dead."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from opentelemetry.trace import SpanKind

from backhaul.clock import monotonic_s, unix_s
from backhaul.core.span_names import SpanName
from backhaul.otlp_target import OtlpTarget
from backhaul.settings import Secret
from backhaul.span_pipeline import PipelineConfig
from backhaul.tracing import Tracer, context_of
from tests.integration.otlp_receiver import OtlpReceiver

QUICK = PipelineConfig(interval_s=0.01, timeout_s=5.0)
MakeTracer = Callable[..., Tracer]


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    async with OtlpReceiver() as one:
        yield one


@pytest_asyncio.fixture
async def make_tracer() -> AsyncIterator[MakeTracer]:
    made: list[Tracer] = []

    def make(
        endpoint: str, *, headers: str = "", ratio: float = 1.0, **changes: Any
    ) -> Tracer:
        config = replace(QUICK, **changes)
        tracer = Tracer(
            OtlpTarget.of(endpoint, Secret(headers)),
            {"service.name": "warmline-test"},
            ratio=ratio,
            config=config,
        )
        made.append(tracer)
        return tracer

    yield make
    for tracer in made:
        await tracer.aclose()


def tell(tracer: Tracer, count: int = 1) -> None:
    now = monotonic_s()
    for _ in range(count):
        tracer.begin().add(SpanName.LEASE, now - 0.5, now)


def counted(tracer: Tracer, outcome: str) -> float:
    for family in tracer.collector.collect():
        for sample in family.samples:
            if sample.labels.get("outcome") == outcome:
                return sample.value
    raise AssertionError(outcome)


async def test_a_trace_over_two_processes(
    receiver: OtlpReceiver, make_tracer: MakeTracer
) -> None:
    edge, agent = (make_tracer(receiver.endpoint) for _ in range(2))
    now = monotonic_s()
    call = edge.begin()
    lease = call.add(SpanName.LEASE, now - 0.3, now - 0.2, {"n": 1})
    call.add(SpanName.ROUTE, now - 0.25, now - 0.2, parent=lease, links=(lease,))
    talk = agent.begin(call.traceparent)
    talk.add(SpanName.CONVERSATION, now - 0.1, now, context=talk.root)
    call.add(
        SpanName.CALL,
        *(now - 0.4, now),
        context=call.root,
        kind=SpanKind.SERVER,
        error="link_lost",
    )
    await eventually(lambda: len(receiver.spans) == 4)
    by_name = {span.name: span for span in receiver.spans}
    root = by_name["call"]
    assert (root.parent_id, root.error, root.flags) == ("", "link_lost", 0x100)
    assert abs(root.end_ns / 1e9 - unix_s()) < 30
    assert 399 < root.duration_ms < 401
    assert by_name["lease"].parent_id == root.span_id
    assert by_name["lease"].attributes == {"n": 1}
    assert by_name["route"].parent_id == by_name["lease"].span_id
    assert by_name["route"].links == (by_name["lease"].span_id,)
    remote = by_name["conversation"]
    assert (remote.parent_id, remote.flags) == (root.span_id, 0x300)
    assert len({span.trace_id for span in receiver.spans}) == 1


async def test_without_a_collector_nothing_is_made(make_tracer: MakeTracer) -> None:
    tracer = make_tracer("")
    trace = tracer.begin("00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    assert not tracer.on
    assert not trace.recorded
    assert trace.traceparent == ""
    trace.add(SpanName.CALL, 0.0, 1.0, context=trace.root)
    assert counted(tracer, "exported") == 0


async def test_who_begins_a_trace_decides_for_all(
    receiver: OtlpReceiver, make_tracer: MakeTracer
) -> None:
    never, always = (
        make_tracer(receiver.endpoint, ratio=0.0),
        make_tracer(receiver.endpoint),
    )
    unwanted = never.begin()
    context = context_of(unwanted.traceparent)
    assert context is not None
    assert not context.trace_flags.sampled
    assert not always.begin(unwanted.traceparent).recorded
    assert never.begin(always.begin().traceparent).recorded
    assert always.begin("not a context").recorded


async def test_spans_go_in_batches_over_one_connection(
    receiver: OtlpReceiver, make_tracer: MakeTracer
) -> None:
    tracer = make_tracer(receiver.endpoint, headers="api-key=k%20y")
    tell(tracer, 50)
    await eventually(lambda: len(receiver.spans) == 50)
    tell(tracer, 50)
    await eventually(lambda: len(receiver.spans) == 100)
    assert receiver.requests < 10
    assert len(receiver.connections) == 1
    assert receiver.headers[0]["api-key"] == "k y"
    assert receiver.headers[0]["Content-Type"] == "application/x-protobuf"
    await eventually(lambda: counted(tracer, "exported") == 100)


async def test_a_batch_is_bounded(
    receiver: OtlpReceiver, make_tracer: MakeTracer
) -> None:
    tracer = make_tracer(receiver.endpoint, max_batch=5)
    tell(tracer, 20)
    await eventually(lambda: len(receiver.spans) == 20)
    assert receiver.requests >= 4


async def test_what_a_busy_collector_refuses_is_sent_again(
    receiver: OtlpReceiver, make_tracer: MakeTracer
) -> None:
    receiver.status, receiver.retry_after = 503, "0"
    tracer = make_tracer(receiver.endpoint, timeout_s=60.0)
    tell(tracer, 3)
    await eventually(lambda: receiver.requests >= 1)
    receiver.status = 200
    await eventually(lambda: len(receiver.spans) == 3)
    await eventually(lambda: counted(tracer, "exported") == 3)
    assert counted(tracer, "failed") == 0


async def test_what_is_refused_for_good_is_given_up(
    receiver: OtlpReceiver, make_tracer: MakeTracer
) -> None:
    receiver.status = 400
    tracer = make_tracer(receiver.endpoint)
    tell(tracer, 3)
    await eventually(lambda: counted(tracer, "failed") == 3)
    assert receiver.requests <= 3
    assert receiver.spans == []


async def test_memory_is_bounded_when_nobody_listens(make_tracer: MakeTracer) -> None:
    tracer = make_tracer("http://127.0.0.1:1", max_waiting=100, timeout_s=60.0)
    tell(tracer, 1000)
    waiting = next(
        family.samples[0].value
        for family in tracer.collector.collect()
        if family.name == "trace_waiting_spans"
    )
    assert 0 < waiting <= 100
    assert counted(tracer, "dropped") >= 800


async def test_a_hanging_collector_is_given_up(
    receiver: OtlpReceiver, make_tracer: MakeTracer
) -> None:
    receiver.hangs = True
    tracer = make_tracer(receiver.endpoint, timeout_s=0.2)
    tell(tracer)
    await eventually(lambda: counted(tracer, "failed") == 1)
    assert receiver.spans == []


async def test_the_last_spans_leave_before_the_service_does(
    receiver: OtlpReceiver, make_tracer: MakeTracer
) -> None:
    tracer = make_tracer(receiver.endpoint, interval_s=60.0)
    tell(tracer, 5)
    await tracer.aclose()
    assert len(receiver.spans) == 5


async def test_a_hanging_collector_keeps_no_service_from_stopping(
    receiver: OtlpReceiver, make_tracer: MakeTracer
) -> None:
    receiver.hangs = True
    tracer = make_tracer(receiver.endpoint, timeout_s=60.0)
    tell(tracer, 5)
    await eventually(lambda: receiver.requests == 1)
    began = monotonic_s()
    await tracer.aclose()
    assert monotonic_s() - began < 10


@pytest.mark.parametrize(
    "header",
    ["", "not a context", "00-" + "0" * 32 + "-" + "2" * 16 + "-01", "ff" + "-1" * 9],
)
def test_what_is_no_context_begins_none(header: str) -> None:
    assert context_of(header) is None


async def test_what_peers_say_is_cut(
    receiver: OtlpReceiver, make_tracer: MakeTracer
) -> None:
    now = monotonic_s()
    make_tracer(receiver.endpoint).begin().add(
        SpanName.TOOL, now, now - 1.0, {"a": "x" * 10_000, "b": ("y", "z"), "c": 1.5}
    )
    await eventually(lambda: len(receiver.spans) == 1)
    (span,) = receiver.spans
    assert span.attributes["a"] == "x" * 512
    assert span.attributes["c"] == 1.5
    assert span.duration_ms == 0  # never less
