"""One real call, as a collector, Prometheus and a terminal see it."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from backhaul.core.span_names import SpanName
from backhaul.tracing import context_of
from lab.call_waterfall import ask_timeline, setup_of, talk_of
from lab.fabric import Fabric, FabricOptions
from lab.speech_files import caller_lines
from lab.twilio import CallPlan, CallReport, Turn, TwilioStandIn
from lab.waterfall import draw
from tests.integration import observability_document as document
from tests.integration.judges import installed
from tests.integration.observability_document import Metric
from tests.integration.otlp_receiver import OtlpReceiver, ReceivedSpan

# Six processes start here, on a machine that may be busy with something else.
pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]

CALLER = "+14155550123"
CALLED = "+14155550100"
TREE = {
    SpanName.CALL: None,
    SpanName.WEBHOOK: SpanName.CALL,
    SpanName.ROUTE: SpanName.WEBHOOK,
    SpanName.LEASE: SpanName.WEBHOOK,
    SpanName.STREAM_START: SpanName.CALL,
    SpanName.ATTACH: SpanName.CALL,
    SpanName.FIRST_AUDIO: SpanName.CALL,
    SpanName.CONVERSATION: SpanName.CALL,
    SpanName.TURN: SpanName.CONVERSATION,
    SpanName.TURN_AUDIO: SpanName.TURN,
}
"""The parent of each span of a call in which nothing goes wrong."""

BY_AGENT = {SpanName.CONVERSATION, SpanName.TURN, SpanName.TURN_AUDIO}


@dataclass(frozen=True)
class Observed:
    """What there is to see of one call."""

    report: CallReport
    spans: list[ReceivedSpan]
    timeline: list[dict[str, Any]]
    edge_metrics: str
    agent_metrics: str

    def span(self, name: SpanName) -> ReceivedSpan:
        (found,) = [one for one in self.spans if one.name == name]
        return found


async def metrics(described: dict[str, Any]) -> str:
    headers = {"Authorization": f"Bearer {described['admin_token']}"}
    url = f"{described['admin_url']}/metrics"
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.get(url) as response,
    ):
        return await response.text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen() -> AsyncIterator[Observed]:
    async with OtlpReceiver() as receiver:
        told = {"otlp_endpoint": receiver.endpoint}
        options = FabricOptions(
            regions=1,
            agents=1,
            edges=1,
            realistic=False,
            overrides={"edge": told, "region_agent": told},
        )
        async with Fabric(options) as fabric:
            yield await observe(fabric, receiver)


async def observe(fabric: Fabric, receiver: OtlpReceiver) -> Observed:
    (edge,) = fabric.describe()["edges"]
    (region,) = fabric.describe()["regions"]
    carrier = TwilioStandIn(fabric.account_sid, fabric.auth_token)
    plan = CallPlan(
        webhook_url=f"{edge['public_url']}/twilio/voice",
        from_number=CALLER,
        to_number=CALLED,
        steps=tuple(Turn(line.audio) for line in caller_lines()[:2]),
    )
    report = await carrier.place_call(plan)
    await carrier.aclose()
    async with asyncio.timeout(20):
        while {"call", "conversation"} - {one.name for one in receiver.spans}:
            await asyncio.sleep(0.02)
    timeline = await ask_timeline(
        edge["admin_url"], edge["admin_token"], report.call_sid
    )
    return Observed(
        report,
        receiver.spans,
        timeline,
        await metrics(edge),
        await metrics(region["agents"][0]),
    )


async def test_a_call_is_one_tree_over_both_processes(seen: Observed) -> None:
    assert seen.report.answered
    assert len({span.trace_id for span in seen.spans}) == 1
    names = {span.span_id: span.name for span in seen.spans}
    found = {(span.name, names.get(span.parent_id)) for span in seen.spans}
    assert found == set(TREE.items())
    for span in seen.spans:
        service = "warmline-agent" if span.name in BY_AGENT else "warmline-edge"
        assert span.service == service
        assert not span.error


async def test_the_carrier_brings_the_context_along(seen: Observed) -> None:
    context = context_of(seen.report.custom_parameters["traceparent"])
    assert context is not None
    root = seen.span(SpanName.CALL)
    assert f"{context.trace_id:032x}" == root.trace_id
    assert f"{context.span_id:016x}" == root.span_id


async def test_every_span_is_within_its_parent(seen: Observed) -> None:
    by_id = {span.span_id: span for span in seen.spans}
    slack_ns = 50_000_000  # two processes, and what ends a call passes between them
    for span in seen.spans:
        parent = by_id.get(span.parent_id)
        if parent is not None:
            assert span.start_ns >= parent.start_ns - slack_ns
            assert span.end_ns <= parent.end_ns + slack_ns


async def test_it_says_why_the_call_was_slow(seen: Observed) -> None:
    lease = seen.span(SpanName.LEASE).attributes
    assert (lease["warmline.lease.outcome"], lease["warmline.lease.attempt"]) == (
        "warm",
        1,
    )
    (reason,) = seen.span(SpanName.ROUTE).attributes["warmline.route.reasons"]
    assert "chosen" in reason
    attach = seen.span(SpanName.ATTACH)
    assert attach.attributes["warmline.session.warm"] is True
    assert attach.attributes["warmline.link.transport"] == "quic"
    first = seen.span(SpanName.FIRST_AUDIO)
    assert first.attributes == {"warmline.audio.source": "greeting"}
    replies = [
        span.attributes["warmline.turn.first_audio_ms"]
        for span in seen.spans
        if span.name == SpanName.TURN
    ]
    assert len(replies) == 2
    assert all(reply > 0 for reply in replies)
    assert seen.span(SpanName.CALL).attributes["warmline.legs"] == 1


async def test_nothing_in_it_is_personal(seen: Observed) -> None:
    told = str(seen.spans)
    for secret in (CALLER, CALLED, CALLER[1:], "127.0.0.1", "sk-"):
        assert secret not in told


async def test_the_terminal_shows_the_same_times(seen: Observed) -> None:
    by_name = {told["name"]: told for told in seen.timeline}
    for span in seen.spans:
        if span.name in by_name and span.name != SpanName.CALL:
            told = by_name[span.name]
            took_ms = told["end_ms"] - told["start_ms"]
            assert abs(took_ms - span.duration_ms) < 0.01
    setup = draw(setup_of(seen.report, seen.timeline))
    lines = [*setup, *draw(talk_of(seen.report, seen.timeline))]
    assert all(len(line) <= 80 for line in lines)
    shown = "\n".join(lines)
    for name in ("webhook", "route", "lease", "attach", "first audio", "reply, 2"):
        assert name in shown


@pytest.mark.parametrize("service", ["edge", "agent"])
async def test_prometheus_finds_nothing_to_complain_of(
    seen: Observed, service: str
) -> None:
    promtool = installed("promtool", package="prometheus")
    text = seen.edge_metrics if service == "edge" else seen.agent_metrics
    judged = await asyncio.to_thread(
        subprocess.run,
        [promtool, "check", "metrics"],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    complaints = (judged.stdout + judged.stderr).decode()
    assert (judged.returncode, complaints) == (0, "")


@pytest.mark.parametrize("service", ["edge", "agent"])
async def test_no_label_of_a_metric_is_of_one_call(
    seen: Observed, service: str
) -> None:
    text = seen.edge_metrics if service == "edge" else seen.agent_metrics
    assert seen.report.call_sid not in text
    for family in text_string_to_metric_families(text):
        assert len(family.samples) < 200, family.name


# docs/observability.md says the same.


def documented(seen: Observed, service: str) -> list[tuple[Metric, Any]]:
    """Return each documented metric with what the service shows of it."""
    text = seen.edge_metrics if service == "edge" else seen.agent_metrics
    shown = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(text)
        if not family.name.endswith("_created")
    }
    told = document.metrics(service)
    assert told.keys() == shown.keys()
    return [(metric, shown[name]) for name, metric in told.items()]


async def test_every_span_is_documented(seen: Observed) -> None:
    told = document.spans()
    assert told.keys() == set(SpanName)
    for span in seen.spans:
        assert span.service == f"warmline-{told[span.name]}"


async def test_every_attribute_is_documented(seen: Observed) -> None:
    told = document.attributes()
    assert told.keys() == document.attributes_in_code()
    assert frozenset().union(*told.values()) <= set(SpanName)
    for span in seen.spans:
        for name in span.attributes:
            assert span.name in told[name], name


@pytest.mark.parametrize("service", ["edge", "agent"])
async def test_every_metric_is_documented(seen: Observed, service: str) -> None:
    for metric, shown in documented(seen, service):
        assert (metric.kind, metric.text) == (shown.type, shown.documentation)
        assert metric.unit
        used = {name for sample in shown.samples for name in sample.labels} - {"le"}
        assert used in ({*metric.labels}, set()), metric.name


async def test_every_alert_is_documented() -> None:
    rules = document.rules()
    assert document.alerts() == list(rules)
    both = document.metrics("edge") | document.metrics("agent")
    for name, metric in both.items():
        about = {
            alert
            for alert, expression in rules.items()
            if re.search(rf"\b{name}(_bucket)?\b", expression)
        }
        assert about == set(metric.alerts), name
    for alert, expression in rules.items():
        names = re.findall(r"\b[a-z_0-9]+(?=[\[{ ])", expression)
        known = {name.removesuffix("_bucket") for name in names} & both.keys()
        assert known, alert


async def test_prometheus_takes_the_rules() -> None:
    promtool = installed("promtool", package="prometheus")
    judged = await asyncio.to_thread(
        subprocess.run,
        [promtool, "check", "rules", str(document.RULES)],
        capture_output=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
