"""Agents are lost at any moment: the next one tells the model what was really heard."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from backhaul.core.checkpoint import Checkpoint, VoiceProgress
from backhaul.core.messages import (
    Clear,
    Cleared,
    Digit,
    Played,
    decode_message,
    encode_message,
)
from backhaul.core.profile import CallLength, Profile, Silence
from backhaul.core.tools import Tool
from lab.realtime_events import parse_client_event
from region_agent.core.call_events import Speaker
from region_agent.core.conversation import Conversation
from region_agent.core.conversation_events import (
    AudioEnded,
    CallBegan,
    CallerSaid,
    CallTool,
    ConversationAction,
    ConversationEvent,
    ModelSaid,
    ResponseBegan,
    ResponseEnded,
    SendAudio,
    SendEvent,
    SendMessage,
    SpeechStarted,
    SpeechStopped,
    Spoken,
    ToolAnswered,
    ToolCalled,
    TranscriptGrew,
    TurnCommitted,
)
from tests.property.control_messages import checkpoints, counts

WORD_BYTES = 800
"""Each word takes a tenth of a second, so that it is clear which ones were heard."""
TURN_BYTES = 8000
GREETING = "Good day to you."
PROFILE = Profile(
    instructions="Be kind.",
    greeting=GREETING,
    silence=Silence(after_s=0.0),
    length=CallLength(max_s=0.0),
    tools=(Tool(name="book", description="Books.", url="https://example.com/book"),),
)
MOST_UNKNOWN = 44
"""Text (characters) that may be lost with an agent that was still speaking."""
UNTOLD = "(The caller said something that was not written down.)"


@dataclass(eq=False)
class Turn:
    """What the caller said."""

    words: str
    end: int
    item_id: str = ""
    transcribed: bool = False

    def in_words(self) -> str:
        return self.words if self.transcribed else UNTOLD


@dataclass(eq=False)
class Speech:
    """What the voice said; the edge got `given` of its audio, from `start`."""

    item_id: str
    words: list[str] = field(default_factory=list)
    start: int = 0
    given: int = 0
    heard: int | None = None
    """What a clear left of it (bytes); None while nothing was dropped."""
    whole: bool = False
    """Whether the agent knows all of its text."""
    settled: bool = False
    """Whether the agent knows how much of it was heard."""
    cut: bool = False
    """Whether it lacks its end because an agent was lost."""

    def heard_text(self) -> str:
        size = self.given if self.heard is None else self.heard
        return " ".join(self.words[: size // WORD_BYTES])


@dataclass(eq=False)
class Call:
    """A function that the model called."""

    call_id: str
    output: str | None = None


@dataclass(eq=False)
class Keys:
    """A key that the caller pressed."""

    def in_words(self) -> str:
        return "The caller pressed these keys of the telephone: #"


Entry = Turn | Speech | Call | Keys


class LostAgents(RuleBasedStateMachine):
    """A caller, a model and an edge that are as they should be, and mortal agents."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.number = 0
        self.epoch = 1
        self.truth: list[Entry] = []
        self.caller_position = 0
        self.got = self.heard = 0
        self.cleared = Cleared(0, 0)
        self.untold: list[Cleared] = []
        self.kept: Checkpoint | None = None
        self.told: list[dict[str, Any]] = []
        self.responses_asked = 0
        self.response_id = ""
        self.speech: Speech | None = None
        self.executed: Counter[str] = Counter()
        self.made: set[str] = set()
        self.running: list[Call] = []
        greeting = Speech("", GREETING.split(), given=4 * WORD_BYTES, whole=True)
        self.got = greeting.given
        self.truth.append(greeting)
        self.conversation = self.agent()
        self.happen(CallBegan(GREETING, greeting.given))

    def agent(self) -> Conversation:
        return Conversation(
            PROFILE, phrases=lambda _: None, now=self.now, call_sid=f"CA{self.epoch}"
        )

    def new(self, kind: str) -> str:
        self.number += 1
        return f"{kind}{self.number}"

    # What the agent does

    def happen(self, event: ConversationEvent) -> None:
        self.now += 0.001
        for action in self.conversation.handle(event, now=self.now):
            self.do(action)

    def do(self, action: ConversationAction) -> None:
        match action:
            case SendEvent(event):
                self.tell(json.loads(event))
            case SendMessage(Clear()):
                self.clear()
            case SendAudio():
                raise AssertionError("there is nothing in memory to be played")
            case CallTool(call_id, _, _, key):
                self.execute(call_id, key)
            case TranscriptGrew():
                self.keep()
            case Spoken(Speaker.MODEL, item_id):
                for speech in self.speeches():
                    speech.settled |= speech.item_id == item_id != ""
            case _:
                pass

    def tell(self, event: dict[str, Any]) -> None:
        match event:
            case {"type": "response.create"}:
                self.responses_asked += 1
            case {"type": "conversation.item.delete", "item_id": item_id}:
                self.told = [i for i in self.told if i.get("id") != item_id]
            case {"previous_item_id": before, "item": item}:
                ids = [item.get("id") for item in self.told]
                self.told.insert(ids.index(before) + 1, item)
            case {"type": "conversation.item.create", "item": item}:
                self.told.append(item)
            case _:
                pass

    def keep(self) -> None:
        version = self.conversation.transcript.version
        if self.kept is not None and self.kept.version == version:
            return
        kept = decode_message(
            encode_message(self.conversation.checkpoint(now=self.now))
        )
        assert isinstance(kept, Checkpoint)
        assert self.kept is None or kept.version > self.kept.version
        assert kept.caller_position <= self.caller_position
        self.kept = kept

    def execute(self, call_id: str, key: str) -> None:
        self.executed[key] += 1
        calls = (entry for entry in self.truth if isinstance(entry, Call))
        self.running += (call for call in calls if call.call_id == call_id)

    # The edge

    def clear(self) -> None:
        self.untold.append(Cleared(self.got, self.heard))
        if self.heard == self.got:
            return
        self.cleared = self.untold[-1]
        for speech in self.speeches():
            if speech.start + speech.given > self.heard:
                speech.heard = max(self.heard - speech.start, 0)
        self.heard = self.got

    @rule(words=st.integers(1, 8))
    def play(self, words: int) -> None:
        self.heard = min(self.heard + words * WORD_BYTES, self.got)
        self.tell_cleared()
        self.happen(Played(self.heard))

    @rule()
    def tell_cleared(self) -> None:
        for cleared in self.untold:
            self.happen(cleared)
        self.untold.clear()

    # The caller

    @rule()
    def speak(self) -> None:
        self.caller_position += TURN_BYTES
        self.hear(Turn(self.new("turn "), self.caller_position))

    def hear(self, turn: Turn) -> None:
        self.happen(SpeechStarted())
        self.end_response("cancelled")
        self.happen(SpeechStopped())
        turn.item_id = self.new("u")
        self.truth.append(turn)
        self.happen(TurnCommitted(turn.item_id, turn.end))

    @rule(which=st.integers(0, 2))
    def transcribe(self, which: int) -> None:
        waiting = [t for t in self.turns() if t.item_id and not t.transcribed]
        if waiting:
            turn = waiting[min(which, len(waiting) - 1)]
            turn.transcribed = True
            self.happen(CallerSaid(turn.item_id, turn.words))

    @rule()
    def press(self) -> None:
        self.truth.append(Keys())
        self.happen(Digit("#"))
        self.end_response("cancelled")

    # The model

    @precondition(lambda self: not self.response_id)
    @rule()
    def begin(self) -> None:
        self.tell_cleared()  # no model answers faster than an edge
        self.response_id = self.new("r")
        self.happen(ResponseBegan(self.response_id))

    @precondition(lambda self: self.response_id)
    @rule(words=st.integers(1, 12))
    def say(self, words: int) -> None:
        if not self.conversation.turns.forwarding:
            return
        if self.speech is None:
            self.speech = Speech(self.new("i"), start=self.got)
            self.truth.append(self.speech)
        speech = self.speech
        for _ in range(words):
            word = self.new("w")
            speech.words.append(word)
            audio = bytes(WORD_BYTES)
            assert self.conversation.audio(self.response_id, speech.item_id, audio)
            speech.given += WORD_BYTES
            self.got += WORD_BYTES
            if self.conversation.wrote(speech.item_id, f"{word} "):
                self.keep()

    @precondition(lambda self: self.response_id)
    @rule(then=st.sampled_from(["ends", "goes on"]))
    def call(self, then: str) -> None:
        if not self.conversation.turns.forwarding:
            return
        self.end_speech()
        call = Call(self.new("c"))
        self.truth.append(call)
        self.made.add(call.call_id)
        self.happen(ToolCalled(call.call_id, "book", "{}"))
        if then == "ends":
            self.end_response("completed")

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 2))
    def answer(self, which: int) -> None:
        call = self.running.pop(min(which, len(self.running) - 1))
        call.output = f"done {call.call_id}"
        self.happen(ToolAnswered(call.call_id, call.output))

    @precondition(lambda self: self.response_id)
    @rule()
    def end(self) -> None:
        self.end_response("completed")

    def end_speech(self) -> None:
        speech, self.speech = self.speech, None
        if speech is not None:
            speech.whole = True
            self.happen(AudioEnded(speech.item_id))
            self.happen(ModelSaid(speech.item_id, " ".join(speech.words)))

    def end_response(self, status: str) -> None:
        self.end_speech()
        response_id, self.response_id = self.response_id, ""
        if response_id:
            self.happen(ResponseEnded(response_id, status))

    # Death

    @rule()
    def lose_the_agent(self) -> None:
        kept = self.kept
        assert kept is not None
        self.told, self.responses_asked, self.running = [], 0, []
        self.response_id, self.speech = "", None
        voice = VoiceProgress(
            self.got, self.heard, self.cleared.position, self.cleared.heard
        )
        self.untold.clear()
        self.epoch += 1
        self.conversation = self.agent()
        covered = self.covered(kept)
        again = [turn for turn in self.turns() if turn not in covered]
        self.truth = self.without_what_waits(again)
        self.happen(CallBegan(checkpoint=kept, voice=voice))
        self.tell_cleared()
        self.compare()
        self.check_whose_turn_it_is()
        for turn in covered:
            turn.item_id = ""  # no session will tell its words any more
        for turn in again:
            turn.transcribed = False
            self.hear(turn)

    def check_whose_turn_it_is(self) -> None:
        last = self.truth[-1] if self.truth else None
        if isinstance(last, Speech):
            # A caller who cut it, or what followed, wants to hear something else.
            wanted = last.start >= self.cleared.position
            assert self.responses_asked == (last.cut and wanted)
        elif last is not None:
            unanswered = isinstance(last, Call) and last.output is None
            assert self.responses_asked == (not unanswered)

    def covered(self, kept: Checkpoint) -> list[Turn]:
        """Return the turns whose audio is not sent again; nobody waits for more."""
        covered = [turn for turn in self.turns() if turn.end <= kept.caller_position]
        first = next((t for t in self.turns() if t not in covered), None)
        assert first is None or not first.transcribed
        return covered

    def without_what_waits(self, again: list[Turn]) -> list[Entry]:
        """Return the truth without what waits for turns that are heard again."""
        if not again:
            return self.truth
        index = self.truth.index(again[0])
        for lost in self.truth[index:]:
            assert not isinstance(lost, Call | Keys)
            if isinstance(lost, Speech):
                assert not (lost.settled and lost.heard_text())
        return self.truth[:index]

    def compare(self) -> None:
        """Check that the session knows what was heard, all of it and in order."""
        told = iter(self.told)
        kept: list[Entry] = []
        for entry in self.truth:
            if isinstance(entry, Speech):
                if not self.has_told(entry, told):
                    continue
            elif isinstance(entry, Call):
                item = next(told)
                assert item["type"] == "function_call"
                assert item["call_id"] == entry.call_id
                if entry.output is not None:
                    assert next(told)["output"] == entry.output
            else:
                assert self.text(next(told)) == ("user", entry.in_words())
            kept.append(entry)
        assert next(told, None) is None
        self.check_wordless(kept)
        self.truth = kept

    @staticmethod
    def check_wordless(kept: list[Entry]) -> None:
        """Check that a turn went without words only if it was too late for them."""
        for index, entry in enumerate(kept):
            if isinstance(entry, Turn) and entry.item_id and not entry.transcribed:
                assert not all(isinstance(later, Turn) for later in kept[index:])

    def has_told(self, speech: Speech, told: Any) -> bool:
        """Check what the session was told of *speech*, if anything."""
        heard = speech.heard_text()
        if not heard:
            return False
        if speech.whole or speech.settled:
            role, text = self.text(next(told))
            assert (role, text) == ("assistant", heard)
        else:
            # Cut while it was being said: what had been written may be less.
            item = self.told[-1] if self.told else {}
            role, text = self.text(item) if item.get("content") else ("", "")
            if role != "assistant" or not heard.startswith(text):
                assert len(heard) < MOST_UNKNOWN
                return False
            next(told)
            assert len(heard) - len(text) < MOST_UNKNOWN
            speech.cut = True
        speech.words, speech.whole = text.split(), True
        speech.given = len(speech.words) * WORD_BYTES
        speech.heard = speech.given if speech.heard is not None else None
        return True

    @staticmethod
    def text(item: dict[str, Any]) -> tuple[str, str]:
        return item["role"], item["content"][0]["text"].strip()

    # Always

    @invariant()
    def every_function_is_executed_under_one_key(self) -> None:
        """An endpoint that has seen a key does nothing again."""
        assert len(self.executed) == len(self.made)

    def teardown(self) -> None:
        self.lose_the_agent()
        for call in list(self.running):
            self.running.remove(call)
            self.happen(ToolAnswered(call.call_id, "at last"))
        outputs = Counter(
            item["call_id"]
            for item in self.told
            if item["type"] == "function_call_output"
        )
        assert outputs == Counter(self.made)

    def turns(self) -> list[Turn]:
        return [entry for entry in self.truth if isinstance(entry, Turn)]

    def speeches(self) -> list[Speech]:
        return [entry for entry in self.truth if isinstance(entry, Speech)]


progress = st.builds(VoiceProgress, counts, counts, counts, counts)


@settings(deadline=None)
@given(checkpoints, progress, st.sampled_from(["continue", "repeat"]))
def test_any_checkpoint_can_be_gone_on_from(
    checkpoint: Checkpoint, voice: VoiceProgress, manner: Literal["continue", "repeat"]
) -> None:
    """Not even a wrong one breaks a call, or makes events that a server refuses."""
    conversation = Conversation(
        replace(PROFILE, after_failover=manner), phrases=lambda _: b"\xff", now=0.0
    )
    events: tuple[ConversationEvent, ...] = (
        CallBegan(checkpoint=checkpoint, voice=voice),
        SpeechStarted(),
        Cleared(voice.position, voice.heard),
        SpeechStopped(),
        TurnCommitted("u1", 8000),
        CallerSaid("u1", "Hello?"),
    )
    for event in events:
        for action in conversation.handle(event, now=1.0):
            if isinstance(action, SendEvent):
                parse_client_event(action.event.decode())
    kept = conversation.checkpoint(now=2.0)
    assert decode_message(encode_message(kept)) == kept
    assert kept.version > checkpoint.version


LostAgents.TestCase.settings = settings(
    deadline=None, max_examples=200, stateful_step_count=50, report_multiple_bugs=False
)
TestLostAgents = LostAgents.TestCase
