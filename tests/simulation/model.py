"""The model's server: sessions that hear turns, answer, call a function, and end.

A session knows what it was told and what it heard, and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from backhaul.driver import Driver
from region_agent.core.realtime_events import (
    CALLER_TRANSCRIPT,
    MODEL_TEXT,
    MODEL_TRANSCRIPT,
    NO_CALLER_TRANSCRIPT,
    ErrorDetail,
    ItemDetail,
    ResponseDetail,
    ServerEvent,
)
from region_agent.core.session_pulse import (
    AskForAnything,
    GiveUp,
    HeardLast,
    PulseAction,
    PulseConfig,
    TellHeardLast,
)
from tests.simulation.script import BYTES_PER_S, Script, Turn

if TYPE_CHECKING:
    from tests.simulation.agent import Agent
    from tests.simulation.bridge import Bridge
    from tests.simulation.world import World

WORD_BYTES: Final = 2000
"""Each word takes a quarter of a second."""
_CHUNK_WORDS: Final = 2
_CHUNK_S: Final = 0.08
_WAY_S: Final = 0.02
"""From the agent to the server and back: only the way back takes time here."""
_HEARS_AFTER: Final = BYTES_PER_S // 5
_ENDS_AFTER: Final = BYTES_PER_S // 2
_EXACTLY: Final = "Say exactly the following text"

_decode = msgspec.json.Decoder().decode


@dataclass(slots=True)
class Region:
    """How the model does in one region."""

    up: bool = True
    """Whether sessions can be opened."""
    limits_rate: bool = False
    """Whether opens are answered with 429."""
    slow: float = 1.0
    """By what everything takes longer."""
    session_s: float = 3600.0
    """How long sessions live."""
    sessions: "list[Session]" = field(default_factory=list["Session"])


@dataclass(slots=True)
class Item:
    """One item of a conversation, as a session has it."""

    item_id: str
    role: str
    text: str


@dataclass(slots=True)
class _Response:
    response_id: str
    words: list[str]
    books: Turn | None
    item_id: str = ""
    said: int = 0


class Session:
    """One session."""

    def __init__(
        self,
        world: "World",
        agent: "Agent",
        region: Region,
        on_lost: Callable[[], None],
    ) -> None:
        self.number = world.new_number("session")
        self.region = region
        self.bridge: Bridge | None = None
        self.items: list[Item] = []
        self.closed = False
        self.mute = False
        """Whether it is open and answers nothing any more."""
        self.wordless = False
        """Whether it begins no responses, and answers all else."""
        self.deaf = False
        """Whether it notices neither beginning nor end of a turn, and does all else."""
        self.begin = self.position = 0
        self.turns_heard: list[Turn] = []
        self._world = world
        self._agent = agent
        self._on_lost = on_lost
        self._pulse: Driver[HeardLast, PulseAction] | None = None
        self.heard_at = 0.0
        self._script: Script | None = None
        self._next_turn = 0
        self.speaking = False
        """Whether a turn has begun for it that has not ended."""
        self._response: _Response | None = None
        region.sessions.append(self)
        self.ends_at = world.clock.now + region.session_s
        world.clock.later(region.session_s, self.lose)

    # The agent's side

    def bind(self, bridge: "Bridge", script: Script, begin: int) -> None:
        """A call begins on it; its caller's audio will begin at *begin*."""
        self.bridge, self._script = bridge, script
        self.begin = self.position = begin
        pulse = self._world.machines.session_pulse(
            PulseConfig(), now=self._agent.clock.now
        )
        self._pulse = Driver(pulse, self._perform, self._agent)
        self._pulse.start()
        ends = [turn.end > begin for turn in script.turns]
        self._next_turn = ends.index(True) if True in ends else len(ends)

    def prove(self, on_proven: Callable[[], None]) -> None:
        if not (self.closed or self.mute):
            self._agent.later(_WAY_S * self.region.slow, on_proven)

    def append(self, audio: bytes) -> bool:
        """Take the caller's audio; every byte must be the one that comes next."""
        script = self._script
        if self.closed or script is None:
            return False
        if not script.is_audio(audio, self.position):
            self._world.violated("audio out of order", script.call_sid, self.position)
        self.position += len(audio)
        if not self.mute:
            self._listen(script)
        return True

    def send(self, event: bytes) -> None:
        """Take a client event."""
        if not (self.closed or self.mute):
            self._obey(_decode(event))

    def _perform(self, action: PulseAction) -> None:
        match action:
            case TellHeardLast():
                assert self._pulse is not None
                self._pulse.feed(HeardLast(self.heard_at))
            case AskForAnything():
                self._later(_WAY_S, lambda: self._arrive(lambda: None))
            case GiveUp():
                self.lose()

    def close(self) -> None:
        """The agent closes it; nobody hears of it."""
        if not self.closed:
            self.closed = True
            if self._pulse is not None:
                self._pulse.close()
            self.region.sessions.remove(self)

    def lose(self) -> None:
        """The server, or the network, closes it."""
        if self.closed:
            return
        if self.bridge is not None:
            lost = {self.bridge.call_sid} & self._agent.orphans.reserved()
            self._agent.world.faults.between_edges |= lost
        self.close()
        self._agent.later(_WAY_S, self._on_lost)

    # Hearing

    def _listen(self, script: Script) -> None:
        while self._next_turn < len(script.turns):
            turn = script.turns[self._next_turn]
            start = max(turn.start, self.begin)
            if self.deaf:
                return
            if not self.speaking and self.position < start + _HEARS_AFTER:
                return
            if not self.speaking:
                self.speaking = True
                self._tell(ServerEvent("input_audio_buffer.speech_started"))
                if self._world.profile_interrupts:
                    self._end_response("cancelled")
            if self.position < turn.end + _ENDS_AFTER:
                return
            self.speaking = False
            self._next_turn += 1
            self._commit(turn)

    def _commit(self, turn: Turn) -> None:
        item_id = f"u{self._world.new_number('item')}"
        ended_ms = (turn.end - self.begin) * 1000 / BYTES_PER_S
        stopped = "input_audio_buffer.speech_stopped"
        self._tell(ServerEvent(stopped, audio_end_ms=ended_ms))
        self._tell(ServerEvent("input_audio_buffer.committed", item_id=item_id))
        self.items.append(Item(item_id, "user", turn.text))
        self.turns_heard.append(turn)
        self._world.note("committed", turn.text, self.number)
        self._transcribe(turn, item_id)
        if self._world.profile_answers:
            self._respond("", by_itself=True)

    def _transcribe(self, turn: Turn, item_id: str) -> None:
        event = ServerEvent(CALLER_TRANSCRIPT, item_id=item_id, transcript=turn.text)
        if self._world.rng.random() < 0.05:
            event = ServerEvent(NO_CALLER_TRANSCRIPT, item_id=item_id)
        self._later(self._world.rng.uniform(0.2, 0.8), lambda: self._tell(event))

    # Speaking

    def _respond(self, instructions: str, *, by_itself: bool = False) -> None:
        if self.wordless:
            return
        if self._response is not None and by_itself:
            self._end_response("cancelled")
        elif self._response is not None:
            code = "conversation_already_has_active_response"
            self._tell(ServerEvent("error", error=ErrorDetail(code)))
            return
        number = self._world.new_number("response")
        response = _Response(f"r{number}", [], None)
        if instructions.startswith(_EXACTLY):
            response.words = instructions.partition("\n\n")[2].split()
        else:
            response.books = self._wish()
            count = self._world.rng.randrange(2, 14)
            response.words = [f"w{number}.{n}" for n in range(count)]
        self._response = response
        self._tell_response("response.created", response, "in_progress")
        think_s = self._world.rng.uniform(0.15, 0.6)
        self._later(think_s, lambda: self._begin(response))

    def _wish(self) -> Turn | None:
        """Return the turn that asks for the tool, if the last words do."""
        last = self.items[-1] if self.items else None
        if last is None or last.role != "user" or self._script is None:
            return None
        turns = (turn for turn in self._script.turns if turn.text == last.text)
        turn = next(turns, None)
        return turn if turn is not None and turn.books else None

    def _begin(self, response: _Response) -> None:
        if self._response is not response:
            return
        if response.books is not None:
            self._call(response.books)
        else:
            response.item_id = f"i{self._world.new_number('item')}"
            self.items.append(Item(response.item_id, "assistant", ""))
            self._speak(response)

    def _call(self, turn: Turn) -> None:
        call_id = f"c{self._world.new_number('tool')}"
        self.items.append(Item(call_id, "call", turn.text))
        arguments = f'{{"turn":"{turn.text}"}}'
        item = ItemDetail("function_call", "completed", call_id, "book", arguments)
        self._tell(ServerEvent("response.output_item.done", item=item))
        self._end_response("completed")

    def _speak(self, response: _Response) -> None:
        if self._response is not response:
            return
        words = response.words[response.said : response.said + _CHUNK_WORDS]
        if not words:
            self._end_response("completed")
            return
        response.said += len(words)
        text = "".join(f"{word} " for word in words)
        self._tell(ServerEvent(MODEL_TEXT, item_id=response.item_id, delta=text))
        audio = self.number.to_bytes(2) * (len(words) * WORD_BYTES // 2)
        self._tell_audio(response, audio)
        self._later(_CHUNK_S, lambda: self._speak(response))

    def _end_response(self, status: str) -> None:
        response, self._response = self._response, None
        if response is None:
            return
        if response.item_id:
            text = " ".join(response.words[: response.said])
            for item in self.items:
                if item.item_id == response.item_id:
                    item.text = text
            done = "response.output_audio.done"
            self._tell(ServerEvent(done, item_id=response.item_id))
            said = MODEL_TRANSCRIPT
            self._tell(ServerEvent(said, item_id=response.item_id, transcript=text))
        self._tell_response("response.done", response, status)

    # Client events

    def _obey(self, event: dict[str, Any]) -> None:
        match event:
            case {"type": "response.create"}:
                instructions = event.get("response", {}).get("instructions", "")
                self._respond(instructions)
            case {"type": "response.cancel"}:
                self._end_response("cancelled")
            case {"type": "conversation.item.create", "item": item}:
                self._add(item, event.get("previous_item_id", ""))
            case {"type": "conversation.item.delete", "item_id": item_id}:
                self.items = [one for one in self.items if one.item_id != item_id]
            case _:
                pass  # what is truncated here is no matter to the simulation

    def _add(self, item: dict[str, Any], after: str) -> None:
        match item:
            case {"type": "message", "role": role, "content": [{"text": text}]}:
                added = Item(item.get("id", ""), role, text)
            case {"type": "function_call", "call_id": call_id, "arguments": given}:
                added = Item(call_id, "call", _decode(given)["turn"])
            case {"type": "function_call_output", "call_id": call_id, "output": text}:
                added = Item(call_id, "output", text)
            case _:
                raise AssertionError(f"unknown item: {item}")
        ids = [one.item_id for one in self.items]
        at = ids.index(after) + 1 if after else len(ids)
        self.items.insert(at, added)

    # What the agent hears

    def _later(self, delay_s: float, act: Callable[[], None]) -> None:
        self._world.clock.later(delay_s * self.region.slow, lambda: self._if_open(act))

    def _if_open(self, act: Callable[[], None]) -> None:
        if not (self.closed or self.mute):
            act()

    def _tell(self, event: ServerEvent) -> None:
        self._arrive(lambda: self._deliver(event))

    def _arrive(self, act: Callable[[], None]) -> None:
        """Have the agent hear of something."""

        def hear() -> None:
            self.heard_at = self._agent.clock.now
            act()

        self._agent.later(_WAY_S, hear)

    def _deliver(self, event: ServerEvent) -> None:
        if self.bridge is not None and not self.closed:
            self.bridge.on_event(event)

    def _tell_audio(self, response: _Response, audio: bytes) -> None:
        def deliver() -> None:
            if self.bridge is not None and not self.closed:
                ids = response.response_id, response.item_id
                self.bridge.on_model_audio(*ids, audio)

        self._arrive(deliver)

    def _tell_response(self, kind: str, response: _Response, status: str) -> None:
        detail = ResponseDetail(response.response_id, status)
        self._tell(ServerEvent(kind, response=detail))
