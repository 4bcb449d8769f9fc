"""A region agent in this process, between a real link and the Realtime stand-in."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from backhaul.channels import Channel
from backhaul.clock import monotonic_s
from backhaul.core.link import LinkConfig
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    Clear,
    CloseReason,
    Greeting,
    Hello,
    LeaseGranted,
    LeaseRefused,
    LeaseRelease,
    LeaseRequest,
    Message,
    Open,
    Opened,
    Stock,
)
from backhaul.links import MAX_BACKLOG_BYTES, Link
from backhaul.pki import Role, TlsFiles, client_context, create_authority, issue
from backhaul.settings import read_deployment
from backhaul.store import open_store
from backhaul.transports.websocket import connect_websocket
from lab.realtime import RealtimeLatency, RealtimeServer, RealtimeServerSettings
from lab.realtime_faults import Fault
from lab.realtime_record import SessionRecord
from lab.speech_files import greeting_line, load_line
from region_agent.metrics import AgentCollector
from region_agent.service import RegionAgent
from region_agent.settings import load_settings

GREETING = greeting_line()
QUESTION = load_line("caller-2").audio
SILENCE = b"\xff" * 8000
PACED = replace(RealtimeLatency.none(), first_audio_s=(0.02, 0.02), audio_speed=10.0)

CONFIG = f"""
[regions.home]
agents = []
[profiles.greeted]
instructions = "Be kind."
greeting = "{GREETING.text}"
[profiles.plain]
instructions = "Be brief."
warm_sessions = 1
[profiles.patient]
instructions = "Listen."
caller_speaks_first = true
"""


async def eventually(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait until *condition* holds; fail when it never does."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Call:
    """The edge's end of one call."""

    audio: bytearray = field(default_factory=bytearray)
    messages: list[Message] = field(default_factory=list)
    audio_at_clear: list[int] = field(default_factory=list)
    closed: CloseReason | None = None
    channel: Channel | None = None

    @property
    def session_id(self) -> str:
        return next((m.session_id for m in self.messages if isinstance(m, Opened)), "")

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.audio).hexdigest()

    def speak(self, audio: bytes) -> None:
        assert self.channel is not None
        for start in range(0, len(audio), 160):
            self.channel.send_audio(audio[start : start + 160])

    def on_audio(self, audio: bytes) -> None:
        self.audio += audio

    def on_message(self, message: Message) -> None:
        self.messages.append(message)
        if isinstance(message, Clear):
            self.audio_at_clear.append(len(self.audio))

    def on_channel_closed(self, reason: CloseReason) -> None:
        self.closed = reason


@dataclass
class EdgeEnd:
    """The edge's end of one link."""

    name: str
    greetings: dict[str, Greeting] = field(default_factory=dict)
    stock: list[Stock] = field(default_factory=list)
    answers: dict[str, LeaseGranted | LeaseRefused] = field(default_factory=dict)
    ready: bool = False
    closed: str | None = None
    link: Link | None = None

    @property
    def open_link(self) -> Link:
        assert self.link is not None
        return self.link

    async def lease(
        self, lease_id: str, profile: str = "patient"
    ) -> LeaseGranted | LeaseRefused:
        self.open_link.send(LeaseRequest(lease_id, f"CA{lease_id}", profile))
        await eventually(lambda: lease_id in self.answers)
        return self.answers[lease_id]

    async def call(self, lease_id: str, profile: str = "patient", **given: Any) -> Call:
        await self.lease(lease_id, profile)
        call = Call()
        call.channel = self.open_link.open_channel(
            call, Open(lease_id, f"CA{lease_id}", profile, **given)
        )
        await eventually(lambda: bool(call.session_id))
        return call

    async def refused(self, lease_id: str) -> CloseReason | None:
        call = Call()
        self.open_link.open_channel(call, Open(lease_id, "CA1", "patient"))
        await eventually(lambda: call.closed is not None)
        return call.closed

    def on_link_ready(self, link: Link) -> None:  # noqa: ARG002
        self.ready = True

    def on_link_message(self, link: Link, message: Message) -> None:  # noqa: ARG002
        match message:
            case Greeting(profile):
                self.greetings[profile] = message
            case Stock():
                self.stock.append(message)
            case LeaseGranted(lease_id) | LeaseRefused(lease_id):
                self.answers[lease_id] = message
            case _:
                pass

    def on_channel_opened(
        self,
        channel: Channel,  # noqa: ARG002
        message: Open,  # noqa: ARG002
    ) -> Call:
        raise AssertionError("agents open no channels")

    def on_link_closed(self, link: Link, reason: str) -> None:  # noqa: ARG002
        self.closed = reason


@dataclass
class Bench:
    """The agent, the stand-in behind it, and ways to link to it."""

    agent: RegionAgent
    model: RealtimeServer
    pki: Path
    edges: list[EdgeEnd] = field(default_factory=list)

    async def connect(self, name: str = "edge-1", role: Role = Role.EDGE) -> EdgeEnd:
        edge = EdgeEnd(name)
        issue(self.pki, role, name)
        edge.link = Link(
            hello=Hello(PROTOCOL_VERSION, name),
            config=LinkConfig(heartbeat_timeout_s=20.0),
            owner=edge,
            check_peer=lambda _certificate, _hello: None,
        )
        self.edges.append(edge)
        await connect_websocket(
            edge.link,
            f"127.0.0.1:{self.agent.link_port}",
            context=client_context(TlsFiles.of(self.pki, role, name)),
            timeout_s=10,
        )
        await eventually(lambda: edge.ready or edge.closed is not None)
        return edge

    def record(self, call: Call) -> SessionRecord:
        record = self.model.ledger.get(call.session_id)
        assert record is not None
        return record

    async def wait_warm(self) -> None:
        await eventually(lambda: self.agent.sessions.warm() == WARM)


WARM = {"greeted": 2, "plain": 1, "patient": 2}
StartBench = Callable[..., Awaitable[Bench]]


@contextlib.asynccontextmanager
async def running(
    directory: Path, latency: RealtimeLatency, environ: dict[str, str], config: str
) -> AsyncIterator[Bench]:
    create_authority(directory / "pki")
    issue(directory / "pki", Role.REGION_AGENT, "home")
    path = directory / "warmline.toml"
    path.write_text(config)
    async with RealtimeServer(RealtimeServerSettings(latency=latency)) as model:
        given = {
            "REGION_AGENT_REGION": "home",
            "REGION_AGENT_LISTEN_HOST": "127.0.0.1",
            "REGION_AGENT_LISTEN_PORT": "0",
            "REGION_AGENT_ADMIN_PORT": "0",
            "REGION_AGENT_ADMIN_TOKEN": "letmein",
            "REGION_AGENT_REALTIME_URL": model.url,
            "REGION_AGENT_HEARTBEAT_TIMEOUT_S": "20",
            "OPENAI_API_KEY": "sk-lab",
            # Nothing listens there: calls must not care.
            "REDIS_URL": "redis://127.0.0.1:1/0",
        }
        deployment = read_deployment(path)
        settings = load_settings(deployment, environ=given | environ)
        bench = Bench(RegionAgent(settings, deployment), model, directory / "pki")
        await bench.agent.start()
        try:
            yield bench
        finally:
            for edge in bench.edges:
                edge.open_link.close("test ends")
            await bench.agent.stop()


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[StartBench]:
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            latency: RealtimeLatency = PACED, config: str = CONFIG, **environ: str
        ) -> Bench:
            started: AbstractAsyncContextManager[Bench]
            started = running(tmp_path, latency, environ, config)
            return await stack.enter_async_context(started)

        yield start


@pytest.fixture
async def bench(start: StartBench) -> Bench:
    bench = await start()
    await bench.wait_warm()
    return bench


async def test_renders_the_greeting_and_pushes_it_to_every_edge(bench: Bench) -> None:
    early = await bench.connect("edge-1")
    await eventually(lambda: "greeted" in early.greetings)
    late = await bench.connect("edge-2")
    await eventually(lambda: "greeted" in late.greetings)
    for edge in (early, late):
        greeting = edge.greetings["greeted"]
        assert greeting.text == GREETING.text
        assert greeting.audio == GREETING.audio


async def test_any_number_of_long_greetings_reaches_an_edge(
    start: StartBench, tmp_path: Path
) -> None:
    names = [f"profile-{number}" for number in range(60)]
    config = "[regions.home]\nagents = []\n"
    for name in names:
        (tmp_path / f"{name}.ulaw").write_bytes(name.encode().ljust(240_000, b"\xff"))
        config += (
            f'[profiles.{name}]\ninstructions = "Be kind."\nwarm_sessions = 1\n'
            f'greeting = "Hello."\ngreeting_file = "{name}.ulaw"\n'
        )
    bench = await start(config=config)
    edge = await bench.connect()
    await eventually(
        lambda: len(edge.greetings) == len(names) or edge.closed is not None
    )
    assert edge.closed is None
    assert sorted(edge.greetings) == sorted(names)
    assert sum(len(g.audio) for g in edge.greetings.values()) > MAX_BACKLOG_BYTES
    for name, greeting in edge.greetings.items():
        assert greeting.audio.startswith(name.encode())


async def test_stock_is_told_at_once_and_upon_change(bench: Bench) -> None:
    edge = await bench.connect()
    await eventually(lambda: bool(edge.stock))
    assert edge.stock[0] == Stock(warm=WARM, active_calls=0)
    await edge.call("1")
    await eventually(lambda: edge.stock[-1].active_calls == 1)


async def test_a_warm_lease_is_granted_and_stock_refilled(bench: Bench) -> None:
    edge = await bench.connect()
    assert await edge.lease("1") == LeaseGranted("1", warm=True)
    await bench.wait_warm()
    assert len(bench.model.sessions) >= sum(WARM.values()) + 1


async def test_a_cold_lease_waits_for_a_session(start: StartBench) -> None:
    slow = replace(RealtimeLatency.none(), connect_s=(0.3, 0.3))
    bench = await start(slow)
    edge = await bench.connect()
    assert await edge.lease("1", "plain") == LeaseGranted("1", warm=False)


async def test_a_call_is_byte_exact_both_ways(bench: Bench) -> None:
    edge = await bench.connect()
    call = await edge.call("1")
    call.speak(QUESTION + SILENCE)
    record = bench.record(call)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    await eventually(lambda: len(call.audio) == record.said.byte_count)
    assert (
        record.heard.wire()["sha256"] == hashlib.sha256(QUESTION + SILENCE).hexdigest()
    )
    assert call.sha256 == record.said.wire()["sha256"]
    assert record.errors == []


async def test_a_call_is_written_down(start: StartBench) -> None:
    bench = await start(config=CONFIG + 'transcription_model = "gpt-transcribe"\n')
    edge = await bench.connect()
    call = await edge.call("1")
    call.speak(QUESTION + SILENCE)
    seen = bench.agent.listener.counters
    await eventually(lambda: seen.transcripts_caller == seen.transcripts_model == 1)
    registry = CollectorRegistry()
    registry.register(AgentCollector(bench.agent.sessions, bench.agent.listener))
    metrics = generate_latest(registry).decode()
    assert 'transcript_items_total{speaker="caller"} 1.0' in metrics
    assert 'transcript_items_total{speaker="model"} 1.0' in metrics


async def test_what_the_edge_plays_is_seeded_into_the_session(bench: Bench) -> None:
    edge = await bench.connect()
    call = await edge.call("1", "greeted", greeting_text=GREETING.text)
    record = bench.record(call)
    await eventually(lambda: len(record.conversation.items) == 1)
    (item,) = record.conversation.items
    assert item.wire["role"] == "assistant"
    assert item.wire["content"] == [{"type": "output_text", "text": GREETING.text}]
    assert record.responses == []


@pytest.mark.parametrize(
    ("profile", "given", "line"),
    [
        ("greeted", {}, GREETING.name),
        ("greeted", {"resumed": True}, "reply-1"),
        ("plain", {}, "reply-1"),
    ],
)
async def test_the_model_begins_when_the_edge_plays_nothing(
    bench: Bench, profile: str, given: dict[str, Any], line: str
) -> None:
    edge = await bench.connect()
    call = await edge.call("1", profile, **given)
    record = bench.record(call)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    assert record.responses[0].line == line
    assert record.errors == []


async def test_the_caller_interrupts(start: StartBench) -> None:
    # In real time, so that the caller's question comes in the middle of the answer.
    bench = await start(replace(PACED, audio_speed=1.0))
    await bench.wait_warm()
    edge = await bench.connect()
    call = await edge.call("1", "plain")
    await eventually(lambda: len(call.audio) > 0)
    call.speak(QUESTION)
    record = bench.record(call)
    await eventually(lambda: record.responses[0].status == "cancelled")
    await eventually(lambda: bool(call.audio_at_clear))
    call.speak(SILENCE)
    await eventually(lambda: len(record.responses) > 1)
    await eventually(lambda: record.responses[1].first_audio_at is not None)
    first = record.responses[0].audio.byte_count
    second = record.responses[1]
    await eventually(lambda: second.status == "completed")
    await eventually(
        lambda: len(call.audio) == call.audio_at_clear[-1] + second.audio.byte_count
    )
    assert call.audio_at_clear[-1] <= first


async def test_a_lost_session_ends_only_its_own_call(bench: Bench) -> None:
    edge = await bench.connect()
    other = await edge.call("1")
    bench.model.faults.plan(Fault.CLOSE_1011, count=1, seconds=0)
    lost = await edge.call("2", "plain")
    await eventually(lambda: lost.closed is CloseReason.SESSION_LOST)
    other.speak(QUESTION + SILENCE)
    record = bench.record(other)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    await eventually(lambda: other.sha256 == record.said.wire()["sha256"])
    assert other.closed is None
    await bench.wait_warm()


async def test_an_expired_session_is_replaced_in_stock(bench: Bench) -> None:
    bench.model.expire_sessions(3)
    pools = bench.agent.sessions.by_profile.values()
    await eventually(lambda: sum(s.pool.counters.closed for s in pools) == 3)
    await bench.wait_warm()


async def test_a_failed_response_is_asked_for_again_once(bench: Bench) -> None:
    edge = await bench.connect()
    bench.model.faults.plan(Fault.FAILED_RESPONSE, count=1, seconds=0)
    call = await edge.call("1", "plain")
    record = bench.record(call)
    await eventually(
        lambda: [r.status for r in record.responses] == ["failed", "completed"]
    )
    bench.model.faults.plan(Fault.FAILED_RESPONSE, count=9, seconds=0)
    again = await edge.call("2", "plain")
    record = bench.record(again)
    await eventually(
        lambda: [r.status for r in record.responses] == ["failed", "failed"]
    )
    counters = bench.agent.listener.counters
    await eventually(lambda: counters.responses_failed == 3)
    assert counters.responses_retried == 2
    assert again.closed is None


@pytest.mark.parametrize(
    ("fault", "counter"),
    [
        (Fault.UNKNOWN_EVENT, "events_unknown"),
        (Fault.MALFORMED, "events_malformed"),
    ],
)
async def test_odd_events_are_counted_and_the_turn_goes_on(
    bench: Bench, fault: Fault, counter: str
) -> None:
    edge = await bench.connect()
    await eventually(lambda: "greeted" in edge.greetings)
    bench.model.faults.plan(fault, count=1, seconds=0)
    call = await edge.call("1", "plain")
    record = bench.record(call)
    await eventually(lambda: [r.status for r in record.responses] == ["completed"])
    await eventually(lambda: call.sha256 == record.said.wire()["sha256"])
    assert getattr(bench.agent.sessions.counters, counter) > 0


async def test_audio_after_the_end_of_its_response_is_dropped(bench: Bench) -> None:
    edge = await bench.connect()
    await eventually(lambda: "greeted" in edge.greetings)
    bench.model.faults.plan(Fault.DELTA_AFTER_DONE, count=1, seconds=0)
    call = await edge.call("1", "plain")
    await eventually(lambda: bench.agent.listener.counters.stale_deltas > 0)
    said = bench.record(call).said
    await eventually(lambda: len(call.audio) >= said.byte_count)
    assert call.sha256 == said.wire()["sha256"]


async def test_a_rate_limit_is_waited_out(bench: Bench) -> None:
    bench.model.faults.plan(Fault.RATE_LIMITED, count=1, seconds=2)
    edge = await bench.connect()
    await edge.lease("1", "plain")
    pool = bench.agent.sessions.by_profile["plain"].pool
    await eventually(lambda: pool.counters.failed == 1)
    failed_at = monotonic_s()
    await bench.wait_warm()
    assert monotonic_s() - failed_at > 1.9
    assert bench.model.ledger.refused == {429: 1}


async def test_an_unreachable_endpoint_refuses_leases(start: StartBench) -> None:
    bench = await start(
        config=CONFIG.replace(f'greeting = "{GREETING.text}"', ""),
        REGION_AGENT_LEASE_WAIT_S="0.2",
        REGION_AGENT_REALTIME_URL="ws://127.0.0.1:1/v1/realtime",
    )
    edge = await bench.connect()
    answer = await edge.lease("1", "plain")
    assert answer == LeaseRefused("1", CloseReason.MODEL_UNAVAILABLE)


async def test_an_endpoint_that_says_nothing_is_given_up(start: StartBench) -> None:
    bench = await start(REGION_AGENT_REALTIME_OPEN_TIMEOUT_S="0.2")
    await bench.wait_warm()
    bench.model.faults.plan(Fault.SILENT, count=1, seconds=0)
    edge = await bench.connect()
    await edge.lease("1", "plain")
    pool = bench.agent.sessions.by_profile["plain"].pool
    await eventually(lambda: pool.counters.failed == 1)
    await bench.wait_warm()


async def test_a_hang_up_ends_the_session(bench: Bench) -> None:
    edge = await bench.connect()
    call = await edge.call("1")
    assert call.channel is not None
    call.channel.close(CloseReason.CALLER_HUNG_UP)
    record = bench.record(call)
    await eventually(lambda: record.state == "closed")
    assert record.close_code == 1000
    assert bench.agent.sessions.capacity.in_use == 0
    assert bench.agent.listener.calls_ended == {CloseReason.CALLER_HUNG_UP: 1}


async def test_a_lost_link_frees_its_calls_and_leases(bench: Bench) -> None:
    edge = await bench.connect()
    call = await edge.call("1")
    await edge.lease("2")
    assert bench.agent.sessions.capacity.in_use == 2
    edge.open_link.close("edge dies")
    await eventually(lambda: bench.agent.sessions.capacity.in_use == 0)
    await eventually(lambda: bench.record(call).state == "closed")
    await bench.wait_warm()


async def test_a_released_lease_returns_its_session(bench: Bench) -> None:
    edge = await bench.connect()
    await edge.lease("1")
    edge.open_link.send(LeaseRelease("1"))
    await eventually(lambda: bench.agent.sessions.capacity.in_use == 0)


async def test_refusals_say_why(start: StartBench) -> None:
    bench = await start(REGION_AGENT_MAX_CALLS="1")
    await bench.wait_warm()
    edge = await bench.connect()
    stranger = await bench.connect("edge-2")
    unknown = await edge.lease("1", "nobody")
    assert unknown == LeaseRefused("1", CloseReason.UNKNOWN_PROFILE)
    assert await edge.lease("2") == LeaseGranted("2", warm=True)
    assert await edge.lease("3") == LeaseRefused("3", CloseReason.AT_CAPACITY)
    for who, lease_id in ((edge, "99"), (stranger, "2")):
        assert await who.refused(lease_id) is CloseReason.LEASE_UNKNOWN


async def test_a_certificate_of_another_role_is_refused(bench: Bench) -> None:
    impostor = await bench.connect("home", Role.REGION_AGENT)
    await eventually(lambda: impostor.closed is not None)
    assert not impostor.greetings
    liar = await bench.connect("edge-1")
    assert liar.closed is None
    assert bench.agent.listener.link_count == 1


async def test_drain_lets_calls_end_and_takes_no_new_ones(bench: Bench) -> None:
    edge = await bench.connect()
    await edge.lease("0")
    edge.open_link.send(LeaseRelease("0"))
    call = await edge.call("1")
    draining = asyncio.create_task(bench.agent.drain())  # noqa: TID251
    await eventually(lambda: edge.stock[-1].draining)
    assert await edge.lease("2") == LeaseRefused("2", CloseReason.DRAINED)
    assert call.closed is None
    assert not draining.done()
    assert call.channel is not None
    call.channel.close(CloseReason.CALLER_HUNG_UP)
    async with asyncio.timeout(20):
        await draining


async def test_drain_gives_up_on_calls_that_never_end(start: StartBench) -> None:
    bench = await start(REGION_AGENT_DRAIN_TIMEOUT_S="0.05")
    await bench.wait_warm()
    edge = await bench.connect()
    call = await edge.call("1")
    await bench.agent.drain()
    await eventually(lambda: call.closed is CloseReason.DRAINED)


async def test_registers_itself_in_the_region(start: StartBench) -> None:
    store = await open_store(None)
    try:
        bench = await start(REDIS_URL=store.url, REGION_AGENT_AGENT_ID="home-1")
        await eventually(lambda: bench.agent.registration.registered)
        (record,) = await store.agents("home")
        assert record.agent_id == "home-1"
        assert record.address == f"127.0.0.1:{bench.agent.link_port}"
    finally:
        await store.aclose()
