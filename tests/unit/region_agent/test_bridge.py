from dataclasses import dataclass, field
from typing import cast

import pytest

from backhaul.channels import Channel
from backhaul.core.messages import Clear, CloseReason, Message, Open, Opened
from backhaul.core.profile import Profile
from region_agent.bridge import Bridge, BridgeCounters
from region_agent.core.realtime_protocol import create_response
from region_agent.core.transcript import Said, Speaker
from region_agent.realtime import RealtimeSession


@dataclass
class FakeChannel:
    sent: list[Message | bytes] = field(default_factory=list)
    closed: CloseReason | None = None

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
    sent: list[bytes] = field(default_factory=list)

    def bind(self, handler: object) -> None:
        pass

    def send(self, event: bytes) -> None:
        self.sent.append(event)

    def append_audio(self, audio: bytes) -> None:
        self.sent.append(audio)


@dataclass
class Stage:
    channel: FakeChannel = field(default_factory=FakeChannel)
    session: FakeSession = field(default_factory=FakeSession)
    counters: BridgeCounters = field(default_factory=BridgeCounters)
    ended: list[CloseReason] = field(default_factory=list)
    bridge: Bridge = field(init=False)

    def __post_init__(self) -> None:
        self.bridge = Bridge(
            cast("Channel", self.channel),
            cast("RealtimeSession", self.session),
            self.counters,
            on_ended=lambda _, reason: self.ended.append(reason),
        )
        profile = Profile(instructions="Listen.", caller_speaks_first=True)
        self.bridge.start(Open("1", "CA1", "patient"), profile)
        assert self.channel.sent == [Opened("sess_1")]
        assert self.session.sent == []
        self.channel.sent.clear()


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_audio_goes_through_both_ways(stage: Stage) -> None:
    stage.bridge.on_audio(b"\x01")
    stage.bridge.on_response_created("r1")
    stage.bridge.on_model_audio("r1", b"\x02\x03")
    assert stage.session.sent == [b"\x01"]
    assert stage.channel.sent == [b"\x02\x03"]
    counters = stage.counters
    assert (counters.audio_frames_in, counters.audio_bytes_in) == (1, 1)
    assert (counters.audio_frames_out, counters.audio_bytes_out) == (1, 2)


def test_an_interrupted_response_stays_silent(stage: Stage) -> None:
    stage.bridge.on_response_created("r1")
    stage.bridge.on_model_audio("r1", b"\x01")
    stage.bridge.on_speech_started()
    stage.bridge.on_model_audio("r1", b"\x02")
    stage.bridge.on_response_done("r1", "cancelled")
    stage.bridge.on_response_created("r2")
    stage.bridge.on_model_audio("r1", b"\x03")
    stage.bridge.on_model_audio("r2", b"\x04")
    assert stage.channel.sent == [b"\x01", Clear(), b"\x04"]
    assert stage.counters.stale_deltas == 2
    assert stage.session.sent == []


def test_clear_is_sent_even_when_the_model_is_done(stage: Stage) -> None:
    stage.bridge.on_response_created("r1")
    stage.bridge.on_model_audio("r1", b"\x01")
    stage.bridge.on_response_done("r1", "completed")
    stage.bridge.on_speech_started()
    assert stage.channel.sent == [b"\x01", Clear()]


def test_of_two_active_responses_the_first_is_heard(stage: Stage) -> None:
    stage.bridge.on_response_created("r1")
    stage.bridge.on_response_created("r2")
    stage.bridge.on_model_audio("r1", b"\x01")
    stage.bridge.on_model_audio("r2", b"\x02")
    stage.bridge.on_response_done("r2", "completed")
    stage.bridge.on_model_audio("r1", b"\x03")
    assert stage.channel.sent == [b"\x01", b"\x03"]
    assert stage.counters.overlapping_responses == 1


def test_audio_of_no_response_is_dropped(stage: Stage) -> None:
    stage.bridge.on_model_audio("", b"\x01")
    stage.bridge.on_model_audio("r1", b"\x02")
    stage.bridge.on_response_created("r1")
    stage.bridge.on_response_done("r1", "completed")
    stage.bridge.on_response_done("", "failed")
    stage.bridge.on_model_audio("r1", b"\x03")
    assert stage.channel.sent == []
    assert stage.counters.stale_deltas == 3


def test_a_silent_failure_is_retried_once_per_turn(stage: Stage) -> None:
    for response_id in ("r1", "r2"):
        stage.bridge.on_response_created(response_id)
        stage.bridge.on_response_done(response_id, "failed")
    assert stage.session.sent == [create_response()]
    stage.bridge.on_response_created("r3")
    stage.bridge.on_model_audio("r3", b"\x01")
    stage.bridge.on_response_done("r3", "failed")
    assert stage.session.sent == [create_response()]
    stage.bridge.on_response_created("r4")
    stage.bridge.on_response_done("r4", "failed")
    assert stage.session.sent == [create_response()] * 2
    assert stage.counters.responses_failed == 4


def test_both_sides_are_written_down(stage: Stage) -> None:
    stage.bridge.on_caller_transcript("item_1", "Good morning.")
    stage.bridge.on_model_transcript("item_2", "Hello.")
    assert list(stage.bridge.transcript) == [
        Said(Speaker.CALLER, "item_1", "Good morning."),
        Said(Speaker.MODEL, "item_2", "Hello."),
    ]
    counters = stage.counters
    assert (counters.transcripts_caller, counters.transcripts_model) == (1, 1)


def test_a_greeting_that_the_edge_plays_is_written_down(stage: Stage) -> None:
    message = Open("1", "CA1", "patient", greeting_text="Hello.")
    stage.bridge.start(message, Profile(instructions="Listen."))
    assert list(stage.bridge.transcript) == [Said(Speaker.MODEL, "", "Hello.")]


def test_a_lost_session_ends_the_call(stage: Stage) -> None:
    stage.bridge.on_session_closed("closed by the server (1011)")
    assert stage.channel.closed is CloseReason.SESSION_LOST
    assert stage.ended == [CloseReason.SESSION_LOST]


def test_a_hang_up_ends_the_call(stage: Stage) -> None:
    stage.bridge.on_channel_closed(CloseReason.CALLER_HUNG_UP)
    assert stage.channel.closed is None
    assert stage.ended == [CloseReason.CALLER_HUNG_UP]
