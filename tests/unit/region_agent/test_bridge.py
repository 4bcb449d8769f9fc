import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from backhaul.channels import Channel
from backhaul.clock import monotonic_s
from backhaul.core.checkpoint import Called, CallerSaid, ModelSaid, VoiceProgress
from backhaul.core.g711 import SILENCE
from backhaul.core.messages import (
    Checkpoint,
    Clear,
    Cleared,
    CloseReason,
    Handover,
    HandoverReason,
    Kept,
    Message,
    Open,
    Opened,
    Played,
    Silent,
    Stock,
)
from backhaul.core.profile import Profile
from backhaul.tracing import Tracer
from lab.speech_files import load_line
from region_agent.bridge import Bridge
from region_agent.bridge_counters import BridgeCounters
from region_agent.call_services import CallServices
from region_agent.call_trace import CallMetrics
from region_agent.core.call_events import CallEvent
from region_agent.core.conversation_events import LeaveWanted
from region_agent.core.realtime_events import ServerEvent, decode_event
from region_agent.core.realtime_protocol import create_response, function_output
from region_agent.realtime import RealtimeSession
from region_agent.tools import ToolOutcome, ToolRequest, ToolResult


@dataclass
class FakeChannel:
    sent: list[Message | bytes] = field(default_factory=list)
    closed: CloseReason | None = None
    audio_missing: int = 0

    def bind(self, handler: object) -> None:
        pass

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def send_audio(self, audio: bytes) -> None:
        self.sent.append(audio)

    def close(self, reason: CloseReason) -> None:
        self.closed = reason


@dataclass
class FakeSession:
    session_id: str = "sess_1"
    expires_at: float = 1e12
    sent: list[bytes] = field(default_factory=list)

    @property
    def heard_at(self) -> float:
        return monotonic_s()

    def bind(self, handler: object) -> None:
        pass

    def send(self, event: bytes) -> None:
        self.sent.append(event)

    def append_audio(self, audio: bytes) -> bool:
        self.sent.append(audio)
        return True


@dataclass
class FakeServices:
    """All services of a call in one; nothing is fixed."""

    events: list[CallEvent] = field(default_factory=list)
    requests: list[ToolRequest] = field(default_factory=list)
    recorded: list[tuple[str, Any]] = field(default_factory=list)
    prices: dict[str, Any] = field(default_factory=dict)
    model: str = "gpt-realtime-2.1"
    rollover_lead_s: float = 120.0
    told: list[Callable[[ToolResult], None]] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.phrases = self.feeds = self.recordings = self.copies = self
        self.tracer = Tracer(None, {}, ratio=1.0)
        self.metrics = CallMetrics()

    def audio(self, profile: str, text: str) -> bytes | None:
        return b"\x05" * 6 if (profile, text) == ("patient", "Hello.") else None

    def hasten(self, call_sid: str) -> None:
        self.copied.append(call_sid)

    def publish(self, event: CallEvent) -> None:
        self.events.append(event)

    @property
    def tools(self) -> "FakeTools":
        return FakeTools(self)

    def begin(self, profile: str, call_sid: str) -> "FakeServices":
        self.recorded.append(("begin", (profile, call_sid)))
        return self

    def caller(self, audio: bytes) -> None:
        self.recorded.append(("caller", audio))

    def voice(self, audio: bytes) -> None:
        self.recorded.append(("voice", audio))

    def cleared(self, position: int, heard: int) -> None:
        self.recorded.append(("cleared", (position, heard)))

    def close(self) -> None:
        self.recorded.append(("close", None))


@dataclass
class FakeTools:
    services: FakeServices

    def begin(self, request: ToolRequest, told: Callable[[ToolResult], None]) -> None:
        self.services.requests.append(request)
        self.services.told.append(told)


ANSWER = ToolResult("42", ToolOutcome.OK, 0.1, 1)
PATIENT = Open("1", "CA1", "patient")
PROFILE = Profile(instructions="Listen.", caller_speaks_first=True)


@dataclass
class Stage:
    message: Open = PATIENT
    profile: Profile = PROFILE
    channel: FakeChannel = field(default_factory=FakeChannel)
    session: FakeSession = field(default_factory=FakeSession)
    services: FakeServices = field(default_factory=FakeServices)
    counters: BridgeCounters = field(default_factory=BridgeCounters)
    ended: list[CloseReason] = field(default_factory=list)
    bridge: Bridge = field(init=False)

    def __post_init__(self) -> None:
        self.bridge = Bridge(
            cast("Channel", self.channel),
            cast("RealtimeSession", self.session),
            self.message,
            profile=self.profile,
            services=cast("CallServices", self.services),
            counters=self.counters,
            on_ended=lambda _, reason: self.ended.append(reason),
        )
        self.bridge.start()
        assert self.channel.sent.pop(0) == Opened("sess_1")

    def hears(self, *events: str) -> None:
        for event in events:
            self.bridge.on_event(decode_event(event.encode()))

    async def keep(self) -> None:
        """Keep the latest checkpoint, as an edge does."""
        await asyncio.sleep(0)
        self.bridge.on_message(Kept(self.kept[-1].version))

    @property
    def kept(self) -> list[Checkpoint]:
        return [one for one in self.channel.sent if isinstance(one, Checkpoint)]

    def told(self, kind: str) -> list[Any]:
        return [one for one in self.services.events if type(one).__name__ == kind]


MakeStage = Callable[..., Stage]
CREATED = '{"type":"response.created","response":{"id":"r1"}}'
DONE = '{"type":"response.done","response":{"id":"r1","status":"completed"}}'
SPEECH = '{"type":"input_audio_buffer.speech_started"}'
CALL = (
    '{"type":"response.output_item.done","item":{"type":"function_call",'
    '"status":"%s","call_id":"call_1","name":"look_up","arguments":"{}"}}'
)


@pytest.fixture
async def stage() -> Stage:
    return Stage()


@pytest.fixture
async def make_stage() -> MakeStage:
    return Stage


async def test_audio_goes_through_both_ways(stage: Stage) -> None:
    stage.bridge.on_audio(b"\x01")
    stage.hears(CREATED)
    stage.bridge.on_model_audio("r1", "item_1", b"\x02\x03")
    assert stage.session.sent == [b"\x01"]
    assert stage.channel.sent == [b"\x02\x03"]
    counters = stage.counters
    assert (counters.audio_frames_in, counters.audio_bytes_in) == (1, 1)
    assert (counters.audio_frames_out, counters.audio_bytes_out) == (1, 2)


async def test_an_interrupted_response_stays_silent(stage: Stage) -> None:
    stage.hears(CREATED)
    stage.bridge.on_model_audio("r1", "item_1", b"\x01")
    stage.hears(SPEECH)
    stage.bridge.on_model_audio("r1", "item_1", b"\x02")
    assert stage.channel.sent == [b"\x01", Clear()]
    assert stage.counters.stale_deltas == 1
    stage.bridge.on_message(Cleared(position=1, heard=0))
    assert stage.counters.interruptions == 1
    assert [event.heard_ms for event in stage.told("Interrupted")] == [0]


async def test_audio_of_no_response_is_dropped(stage: Stage) -> None:
    stage.bridge.on_model_audio("", "item_1", b"\x01")
    stage.bridge.on_model_audio("r1", "item_1", b"\x02")
    stage.hears(CREATED, DONE)
    stage.bridge.on_model_audio("r1", "item_1", b"\x03")
    assert stage.channel.sent == []
    assert stage.counters.stale_deltas == 3


async def test_a_function_is_called_and_its_result_given(stage: Stage) -> None:
    stage.hears(CREATED, CALL % "completed", DONE)
    assert stage.services.requests == []  # nobody else would know of it
    assert stage.services.copied == []
    await stage.keep()
    assert stage.services.copied == ["CA1"]
    stage.services.told[0](ANSWER)
    (request,) = stage.services.requests
    assert (request.name, request.call_id, request.call_sid) == (
        "look_up",
        "call_1",
        "CA1",
    )
    assert stage.session.sent == [function_output("call_1", "42"), create_response()]
    assert [event.outcome for event in stage.told("ToolCalled")] == ["ok"]


async def test_a_function_that_no_edge_knows_of_is_not_asked(stage: Stage) -> None:
    stage.hears(CREATED, CALL % "completed", DONE)
    await asyncio.sleep(0)
    stage.bridge.on_message(Kept(stage.kept[-1].version - 1))
    stage.bridge.on_channel_closed(CloseReason.LINK_LOST)
    assert stage.services.requests == []


async def test_a_call_that_was_cut_off_is_not_made(stage: Stage) -> None:
    stage.hears(CREATED, CALL % "incomplete", DONE)
    assert stage.services.requests == []


async def test_a_call_that_cannot_be_answered_is_not_made(stage: Stage) -> None:
    nameless = (CALL % "completed").replace("call_1", "")
    stage.hears(CREATED, nameless, DONE)
    assert stage.services.requests == []


async def test_a_function_that_outlasts_the_call_is_told_all_the_same(
    stage: Stage,
) -> None:
    stage.hears(CREATED, CALL % "completed", DONE)
    await stage.keep()
    stage.bridge.on_channel_closed(CloseReason.CALLER_HUNG_UP)
    stage.services.told[0](ANSWER)
    assert stage.session.sent == []
    assert [event.outcome for event in stage.told("ToolCalled")] == ["ok"]


async def test_messages_that_are_not_a_conversation_s_are_passed_over(
    stage: Stage,
) -> None:
    stage.bridge.on_message(Stock())
    stage.bridge.on_event(ServerEvent("rate_limits.updated"))
    assert stage.channel.sent == stage.session.sent == []


async def test_a_call_is_recorded_as_it_is_heard(make_stage: MakeStage) -> None:
    greeted = Open("1", "CA1", "patient", greeting_text="Hello.", greeting_bytes=8)
    stage = make_stage(message=greeted)
    stage.bridge.on_audio(b"\x01")
    stage.hears(CREATED)
    stage.bridge.on_model_audio("r1", "item_1", b"\x02")
    stage.bridge.on_message(Cleared(position=9, heard=4))
    stage.bridge.on_channel_closed(CloseReason.CALLER_HUNG_UP)
    assert stage.services.recorded == [
        ("begin", ("patient", "CA1")),
        # As long as the edge says, whatever is known of it here.
        ("voice", b"\x05" * 6 + b"\xff" * 2),
        ("caller", b"\x01"),
        ("voice", b"\x02"),
        ("cleared", (9, 4)),
        ("close", None),
    ]


async def test_a_lost_session_ends_the_call(stage: Stage) -> None:
    stage.bridge.on_session_closed("closed by the server (1011)")
    assert stage.channel.closed is CloseReason.SESSION_LOST
    assert stage.ended == [CloseReason.SESSION_LOST]


async def test_a_hang_up_ends_the_call_once_and_is_told(stage: Stage) -> None:
    stage.bridge.on_channel_closed(CloseReason.CALLER_HUNG_UP)
    stage.bridge.close(CloseReason.DRAINED)
    assert stage.ended == [CloseReason.CALLER_HUNG_UP]
    assert [event.reason for event in stage.told("CallEnded")] == [
        CloseReason.CALLER_HUNG_UP
    ]


# What outlives the agent

STOPPED = '{"type":"input_audio_buffer.speech_stopped","audio_end_ms":20}'
COMMITTED = '{"type":"input_audio_buffer.committed","item_id":"u1"}'
SAID = (
    '{"type":"conversation.item.input_audio_transcription.completed",'
    '"item_id":"u1","transcript":"Hello?"}'
)
WORDS = (
    '{"type":"response.output_audio_transcript.delta","item_id":"item_1",'
    '"delta":"A reply of %s more than forty characters."}'
)


async def test_all_that_happens_in_one_turn_of_the_loop_is_one_checkpoint(
    stage: Stage,
) -> None:
    stage.bridge.on_audio(bytes(160))
    stage.bridge.on_audio(bytes(160))
    stage.hears(SPEECH, STOPPED, COMMITTED, SAID)
    assert stage.kept == []
    await asyncio.sleep(0)
    (checkpoint,) = stage.kept
    assert checkpoint.items == (CallerSaid("Hello?"),)
    assert checkpoint.caller_position == 160
    assert 0 <= checkpoint.elapsed_s < 10
    await asyncio.sleep(0)
    assert len(stage.kept) == 1


@pytest.mark.parametrize(
    ("audio", "told"),
    [(SILENCE * 160, [Silent(800)]), (load_line("caller-1").audio[8000:8160], [])],
)
async def test_silence_is_told_to_the_edge_and_voice_is_not(
    make_stage: MakeStage, audio: bytes, told: list[Message]
) -> None:
    stage = make_stage(Open("1", "CA1", "patient", caller_position=800))
    then = monotonic_s() - 10
    stage.bridge._caller.silent_until(now=then, heard_at=then)
    for _ in range(160):
        stage.bridge.on_audio(audio)
    assert stage.channel.sent == told


async def test_a_reply_is_kept_while_it_is_said(stage: Stage) -> None:
    stage.hears(CREATED)
    stage.bridge.on_model_audio("r1", "item_1", bytes(8))
    await asyncio.sleep(0)
    stage.hears(WORDS % "much")
    await asyncio.sleep(0)
    stage.hears(WORDS.replace("A reply", "") % "so")
    assert [len(checkpoint.items) for checkpoint in stage.kept] == [1]


async def test_a_lost_session_leaves_a_last_checkpoint(stage: Stage) -> None:
    stage.hears(CREATED)
    stage.bridge.on_model_audio("r1", "item_1", bytes(8))
    stage.hears(WORDS % "much")
    stage.bridge.on_session_closed("closed by the server (1011)")
    assert len(stage.kept) == 1
    await asyncio.sleep(0)
    assert len(stage.kept) == 1


async def test_a_call_goes_on_from_a_checkpoint(make_stage: MakeStage) -> None:
    checkpoint = Checkpoint(
        7,
        (ModelSaid("Hi."), Called("call_1", "look_up", "{}", key="CA0-call_1")),
        caller_position=800,
    )
    stage = make_stage(
        message=Open(
            "1",
            "CA1",
            "patient",
            epoch=2,
            checkpoint=checkpoint,
            caller_position=960,
            voice=VoiceProgress(1600, 1600),
        )
    )
    (request,) = stage.services.requests
    assert (request.name, request.key) == ("look_up", "CA0-call_1")
    stage.services.told[0](ANSWER)
    assert stage.session.sent[-2:] == [
        function_output("call_1", "42"),
        create_response(),
    ]
    stage.channel.audio_missing = 2
    stage.bridge.on_audio(bytes(160))
    stage.hears(COMMITTED, SAID)
    await asyncio.sleep(0)
    (latest,) = stage.kept
    assert latest.version > 7
    assert latest.caller_position == 960 + 3 * 160
    assert latest.items[1:] == (
        Called("call_1", "look_up", "{}", "42", "CA0-call_1"),
        CallerSaid("Hello?"),
    )
    # A recording holds what came over this channel.
    stage.bridge.on_message(Cleared(position=1700, heard=1500))
    assert stage.services.recorded[-1] == ("cleared", (100, 0))
    (started,) = stage.told("CallStarted")
    assert (started.resumed, started.epoch) == (True, 2)
    stage.bridge.on_channel_closed(CloseReason.CALLER_HUNG_UP)
    assert [event.epoch for event in stage.told("CallEnded")] == [2]


async def test_a_recording_goes_on_at_another_edge(stage: Stage) -> None:
    stage.hears(CREATED)
    stage.bridge.on_model_audio("r1", "item_1", bytes(100))
    stage.bridge.on_message(Played(40))
    kept = stage.bridge.reserve()
    assert stage.channel.closed is CloseReason.STALE_EPOCH
    assert (kept.here, kept.voice_position) == (True, 100)
    assert stage.services.recorded[-1] == ("cleared", (100, 40))
    channel, voice = FakeChannel(), VoiceProgress(100, 100)
    opened = Open("2", "CA1", "patient", 2, voice=voice)
    stage.bridge.take(cast("Channel", channel), opened)
    assert channel.sent[0] == Opened("sess_1")
    stage.bridge.on_message(Cleared(position=150, heard=120))
    assert stage.services.recorded[-1] == ("cleared", (150, 120))


async def test_who_takes_the_call_gets_the_latest_checkpoint(stage: Stage) -> None:
    stage.hears(CREATED)
    stage.bridge.on_model_audio("r1", "item_1", bytes(8))
    stage.hears(WORDS % "much")
    stage.bridge.leave(LeaveWanted(HandoverReason.DRAINING, 0.0, 0.0))
    kinds = [type(one) for one in stage.channel.sent[1:]]
    assert kinds == [Checkpoint, Handover]
    assert stage.counters.handovers_asked == {HandoverReason.DRAINING: 1}


async def test_a_session_that_ends_soon_is_left(make_stage: MakeStage) -> None:
    stage = make_stage(session=FakeSession(expires_at=monotonic_s() + 60.0))
    checkpoint, asked = stage.channel.sent
    assert isinstance(checkpoint, Checkpoint)
    assert asked == Handover(HandoverReason.SESSION_EXPIRING)
