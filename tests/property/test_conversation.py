"""The conversation: whatever happens, what is said and kept stays true."""

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from backhaul.core.messages import Cleared, Digit, Flow, Played, Returned
from backhaul.core.profile import CallLength, Profile, Silence, TurnDetection
from backhaul.core.tools import Tool, TransferTarget
from region_agent.core.conversation import Conversation
from region_agent.core.conversation_events import (
    AudioEnded,
    CallBegan,
    CallerSaid,
    CallerVoiced,
    CallTool,
    ConversationAction,
    ConversationEvent,
    EndCall,
    ModelSaid,
    ResponseBegan,
    ResponseEnded,
    ResponseRefused,
    SendAudio,
    SendEvent,
    SpeechStarted,
    SpeechStopped,
    ToolAnswered,
    ToolCalled,
    TurnCommitted,
)
from region_agent.core.playback import BYTES_PER_MS
from region_agent.core.turns import CallerState

MAX_S, LAST_WORDS_S = 600.0, 20.0
MAX_AHEAD_BYTES = 4000
LOOKUP = Tool(
    name="lookup",
    description="Looks up.",
    url="https://example.com/lookup",
    filler="One moment.",
)
profiles = st.builds(
    Profile,
    instructions=st.just("Be kind."),
    greeting=st.sampled_from(["", "Hello there."]),
    caller_speaks_first=st.booleans(),
    min_interruption_ms=st.sampled_from([0, 300]),
    turn_detection=st.builds(
        TurnDetection, interrupt_response=st.booleans(), create_response=st.booleans()
    ),
    silence=st.just(Silence(after_s=5.0)),
    length=st.just(CallLength(max_s=MAX_S, warning_s=60.0)),
    tools=st.just((LOOKUP,)),
    may_send_dtmf=st.just(True),
    transfers=st.just({"desk": TransferTarget(to="+14155550100")}),
)
item_ids = st.sampled_from(["a", "b"])
statuses = st.sampled_from(["completed", "cancelled", "failed", "incomplete"])
ages = st.sampled_from([0, 0, 0, 0, 1, 2, 7])
"""Which of the latest responses, the youngest first."""
sizes = st.sampled_from([0, 1, 7, 8, 160, 800, 3000])
positions = st.integers(0, 20_000)
call_ids = st.sampled_from(["c1", "c2", "c3", "c4", "c5"])
tool_calls = st.sampled_from(
    [
        ("lookup", "{}"),
        ("hang_up", "{}"),
        ("transfer", '{"destination":"desk","summary":"About a cake."}'),
        ("transfer", '{"destination":"nobody"}'),
        ("send_dtmf", '{"digits":"1w2"}'),
        ("send_dtmf", "{"),
        ("unheard_of", "[]"),
    ]
)
caller_events: st.SearchStrategy[ConversationEvent] = st.one_of(
    st.just(SpeechStarted()),
    st.just(SpeechStopped()),
    st.just(TurnCommitted()),
    st.builds(CallerVoiced, st.sampled_from([20.0, 300.0])),
)
events: st.SearchStrategy[ConversationEvent] = st.one_of(
    st.just(ResponseRefused()),
    st.builds(CallerSaid, st.just("turn"), st.just("Yes.")),
    st.builds(lambda call_id, call: ToolCalled(call_id, *call), call_ids, tool_calls),
    st.builds(ToolAnswered, call_ids, st.just("42")),
    st.builds(Digit, st.sampled_from("0123#*")),
    st.builds(Returned, st.sampled_from(["sent", "busy"])),
    st.builds(Played, positions),
    st.builds(Cleared, positions, positions),
)


@dataclass
class Item:
    """What went to the caller of one item, and what the model keeps of it."""

    forwarded_bytes: int = 0
    corrected: bool = False


@dataclass
class World:
    """What was offered, what went out, and what was ordered."""

    items: dict[str, Item] = field(default_factory=dict)
    waiting: dict[bytes, tuple[str, str]] = field(default_factory=dict)
    """Audio that was offered and has not gone out: its response and item."""
    begun: set[str] = field(default_factory=set)
    interrupted: set[str] = field(default_factory=set)
    called: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    paused: bool = False
    ended: int = 0

    def item(self, item_id: str) -> Item:
        return self.items.setdefault(item_id, Item())

    def forward(self, audio: bytes) -> None:
        assert not self.paused
        if audio in PHRASES.values():
            return
        response_id, item_id = self.waiting.pop(audio)
        assert response_id not in self.interrupted
        self.item(item_id).forwarded_bytes += len(audio)

    def note(self, action: ConversationAction) -> None:
        assert not self.ended, "something was done after the end"
        match action:
            case EndCall():
                self.ended += 1
            case SendAudio(audio):
                self.forward(audio)
            case CallTool(call_id):
                assert call_id in self.called
                assert call_id not in self.asked
                self.asked.add(call_id)
            case SendEvent(event):
                self.note_event(json.loads(event))
            case _:
                pass

    def note_event(self, event: dict[str, Any]) -> None:
        match event:
            case {"type": "conversation.item.truncate"}:
                item = self.correct(event["item_id"])
                kept_bytes = event["audio_end_ms"] * BYTES_PER_MS
                assert 0 < kept_bytes <= item.forwarded_bytes
            case {"type": "conversation.item.delete"}:
                self.correct(event["item_id"])
            case {"item": {"type": "function_call_output", "call_id": call_id}}:
                assert call_id in self.called
                assert call_id not in self.answered
                self.answered.add(call_id)
            case _:
                pass

    def correct(self, item_id: str) -> Item:
        item = self.item(item_id)
        assert not item.corrected
        item.corrected = True
        return item


SILENCE, LENGTH = Silence(), CallLength()
PHRASES = {
    "Hello there.": b"\x01" * 801,
    LOOKUP.filler: b"\x02" * 802,
    SILENCE.prompt: b"\x03" * 803,
    LENGTH.warning: b"\x04" * 804,
}
"""Some are in memory and some are not."""


class AnyConversation(RuleBasedStateMachine):
    """Things happen in any order, most of which no server or edge would dare."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.chunks = self.responses = 0
        self.world = World()
        self.conversation = Conversation(
            Profile(instructions="Be kind."), phrases=PHRASES.get, now=self.now
        )

    @initialize(profile=profiles, opening=st.booleans(), resumed=st.booleans())
    def begin(self, profile: Profile, opening: bool, resumed: bool) -> None:
        self.conversation = Conversation(profile, phrases=PHRASES.get, now=self.now)
        self.conversation.playback._max_ahead_bytes = MAX_AHEAD_BYTES
        said = profile.opening if opening else ""
        self.happen(CallBegan(said, 2000 if said else 0, resumed))

    @rule(event=events)
    def happen(self, event: ConversationEvent) -> None:
        world, turns = self.world, self.conversation.turns
        if isinstance(event, ToolCalled) and not world.ended:
            world.called.add(event.call_id)
        if isinstance(event, Flow) and not world.ended:
            world.paused = event.paused
        before = turns.caller
        actions = self.conversation.handle(event, now=self.now)
        spoke = turns.caller is CallerState.SPEAKING is not before
        if spoke or isinstance(event, Digit):
            world.interrupted |= world.begun
        if isinstance(event, ResponseBegan):
            world.begun.add(event.response_id)
        self.note(actions)

    @rule(event=caller_events)
    def hear_the_caller(self, event: ConversationEvent) -> None:
        self.happen(event)

    @rule(named=st.sampled_from([True, True, True, False]))
    def begin_response(self, named: bool) -> None:
        self.responses += 1
        self.happen(ResponseBegan(self.response(0) if named else ""))

    @rule(
        spoken=st.lists(sizes, min_size=1, max_size=3),
        audio_ends=st.booleans(),
        ends=st.booleans(),
    )
    def answer(self, spoken: list[int], audio_ends: bool, ends: bool) -> None:
        self.begin_response(named=True)
        for size in spoken:
            self.speak(0, "a", size)
        if audio_ends:
            self.end_audio(0, "a", said=False)
        if ends:
            self.end_response(0, "completed")

    @rule(age=ages, status=statuses)
    def end_response(self, age: int, status: str) -> None:
        self.happen(ResponseEnded(self.response(age), status))

    @rule(age=ages, item_id=item_ids, said=st.booleans())
    def end_audio(self, age: int, item_id: str, said: bool) -> None:
        item_id = f"{self.response(age)}-{item_id}"
        self.happen(ModelSaid(item_id, "So.") if said else AudioEnded(item_id))

    def response(self, age: int) -> str:
        return f"r{self.responses - age}" if age < self.responses else ""

    @rule(unplayed=sizes)
    def play(self, unplayed: int) -> None:
        self.happen(Played(self.conversation.playback.forwarded - unplayed))

    @rule(unplayed=sizes, later=sizes)
    def clear(self, unplayed: int, later: int) -> None:
        position = self.conversation.playback.forwarded - later
        self.happen(Cleared(position, position - unplayed))

    @rule(paused=st.booleans())
    def flow(self, paused: bool) -> None:
        self.happen(Flow(paused))

    @rule(age=ages, item_id=item_ids, size=sizes)
    def speak(self, age: int, item_id: str, size: int) -> None:
        self.chunks += 1
        audio = self.chunks.to_bytes(4) + bytes(size)
        response_id = self.response(age)
        item_id = f"{response_id}-{item_id}"
        self.world.waiting[audio] = response_id, item_id
        if self.conversation.audio(response_id, item_id, audio):
            assert not self.world.ended
            self.world.forward(audio)

    @rule(wait_s=st.sampled_from([0.0, 0.3, 1.5, 5.0, 12.0]))
    def wait(self, wait_s: float) -> None:
        end = self.now + wait_s
        while (deadline := self.conversation.next_deadline()) is not None:
            if deadline > end:
                break
            assert deadline >= self.now, "a timer for the past would spin"
            self.now = deadline
            self.expire()
            after = self.conversation.next_deadline()
            assert after is None or after > deadline, "the timer fires for ever"
        self.now = end

    @rule()
    def wake_up_early(self) -> None:
        deadline = self.conversation.next_deadline()
        if deadline is None or deadline > self.now:
            assert self.conversation.expire(now=self.now) == ()
            assert self.conversation.next_deadline() == deadline

    def expire(self) -> None:
        self.note(self.conversation.expire(now=self.now))

    def note(self, actions: tuple[ConversationAction, ...]) -> None:
        for action in actions:
            self.world.note(action)

    @precondition(lambda self: self.world.ended)
    @invariant()
    def nothing_is_planned_after_the_end(self) -> None:
        assert self.conversation.next_deadline() is None
        assert self.conversation.expire(now=self.now + 1000.0) == ()

    @invariant()
    def no_more_waits_at_the_carrier_than_it_takes(self) -> None:
        playback = self.conversation.playback
        assert 0 <= playback.forwarded - playback.played <= MAX_AHEAD_BYTES

    def teardown(self) -> None:
        self.wait(MAX_S + LAST_WORDS_S + 1.0)
        if self.conversation._profile.length.max_s == MAX_S:
            assert self.world.ended == 1


AnyConversation.TestCase.settings = settings(
    deadline=None, max_examples=300, stateful_step_count=80
)
TestAnyConversation = AnyConversation.TestCase
