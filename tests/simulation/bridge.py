"""One call at an agent: production's conversation between a channel and a session."""

import functools
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from backhaul.core.messages import (
    Cleared,
    CloseReason,
    Handover,
    HandoverReason,
    Kept,
    KeptCall,
    Message,
    Open,
    Opened,
    Played,
)
from backhaul.driver import Driver
from region_agent.core.caller_position import CallerPosition
from region_agent.core.conversation_events import (
    CallBegan,
    CallReserved,
    CallTaken,
    CallTool,
    ConversationAction,
    ConversationEvent,
    EdgeBack,
    EdgeLost,
    EndCall,
    LeaveWanted,
    SendAudio,
    SendEvent,
    SendMessage,
    ToolAnswered,
    TranscriptGrew,
)
from region_agent.core.heard_events import heard
from region_agent.core.realtime_events import MODEL_TEXT, ServerEvent
from tests.simulation.model import Session
from tests.simulation.tools import Execution

if TYPE_CHECKING:
    from tests.simulation.agent import Agent
    from tests.simulation.edge import Edge
    from tests.simulation.network import Channel

_ROLLOVER_LEAD_S: Final = 6.0


class Bridge:
    """One call at an agent; see `region_agent.bridge`."""

    def __init__(
        self,
        agent: "Agent",
        channel: "Channel",
        session: Session,
        message: Open,
        number: int,
    ) -> None:
        self.agent = agent
        self.session = session
        self.message = message
        self.number = number
        self.over = False
        self._channel = channel
        self._kept = message.checkpoint
        self._caller = CallerPosition(message.caller_position)
        known = () if message.checkpoint is None else message.checkpoint.items
        self._write_ahead = agent.world.machines.write_ahead(known)
        self._kept_version = 0
        self._keeping = False
        self.missed_ms = 0.0
        """How long the caller spoke to a deaf session, and over nobody's voice."""
        self.is_new = False
        """Whether its edge has taken it over, and keeps nothing of it yet."""
        world = self._world = agent.world
        self.conversation = world.machines.conversation(
            world.profile,
            phrases=world.phrase,
            now=agent.clock.now,
            call_sid=message.call_sid,
        )
        self._driver: Driver[ConversationEvent, ConversationAction] = Driver(
            self.conversation, self._perform, agent
        )

    def start(self) -> None:
        message = self.message
        self._channel.bridge = self
        script = self._world.scripts[message.call_sid]
        self.session.bind(self, script, message.caller_position)
        self._channel.tell(Opened(f"session{self.session.number}"))
        self._driver.feed(CallBegan.of(message))
        ends_at = self.session.ends_at
        begin_at = ends_at - _ROLLOVER_LEAD_S
        self.leave(LeaveWanted(HandoverReason.SESSION_EXPIRING, begin_at, ends_at))

    def leave(self, wanted: LeaveWanted) -> None:
        """Have the call go on in another session."""
        self._driver.feed(wanted)

    def close(self, reason: CloseReason) -> None:
        if not self.over:
            self._keep()
            self._channel.leave(reason)
            self._end(reason)

    # What the channel brings

    def on_audio(self, audio: bytes) -> None:
        begin = self._caller.now
        appended = self.session.append(audio)
        self._caller.received(len(audio), missing_frames=0, appended=appended)
        if not appended:
            return
        conversation, script = self.conversation, self._world.scripts[self.call_sid]
        voiced_ms = script.voiced_ms(begin, len(audio))
        silent = conversation.turns.idle and not conversation.playback.audible
        self.missed_ms += voiced_ms * (self.session.deaf and silent)
        event = conversation.hearing.listen(
            audio,
            lambda _: voiced_ms,
            in_doubt=conversation.judging,
            heard_at=self.session.heard_at,
            now=self.agent.clock.now,
        )
        if event is not None:
            self._driver.feed(event)

    def on_message(self, message: Message) -> None:
        if isinstance(message, Played | Cleared):
            self._driver.feed(message)
        elif isinstance(message, Kept):
            self.is_new = False
            self._ask(self._write_ahead.kept(message.version))

    def on_channel_closed(self, reason: CloseReason) -> None:
        self._end(reason)

    # When the edge is lost

    @property
    def call_sid(self) -> str:
        return self.message.call_sid

    @property
    def epoch(self) -> int:
        return self.message.epoch

    @property
    def edge(self) -> "Edge | None":
        return self._channel.link.edge if self._channel.bridge is self else None

    def on_edge_lost(self) -> None:
        self._driver.feed(EdgeLost())

    def on_edge_back(self) -> None:
        self._driver.feed(EdgeBack())

    def kept(self) -> KeptCall:
        message, kept = self.message, self._kept
        return KeptCall(
            message.epoch,
            message.profile,
            checkpoint=kept,
            caller_position=0 if kept is None else kept.caller_position,
            voice_position=self.conversation.playback.played,
        )

    def reserve(self) -> KeptCall:
        """Leave the edge, for another that takes the call."""
        self._channel.leave(CloseReason.STALE_EPOCH)
        playback = self.conversation.playback
        self._driver.feed(CallReserved())
        kept = self.conversation.checkpoint(now=self.agent.clock.now)
        begin = self._caller.now
        return KeptCall(
            self.message.epoch,
            self.message.profile,
            here=True,
            checkpoint=replace(kept, caller_position=begin),
            caller_position=begin,
            voice_position=playback.forwarded,
        )

    def take(self, channel: "Channel", message: Open) -> None:
        """Go on at another edge."""
        self._channel, self.message = channel, message
        self._caller.renew()
        self.is_new = True
        channel.bridge = self
        channel.tell(Opened(f"session{self.session.number}"))
        self._driver.feed(CallTaken())
        self._send_checkpoint()

    # What the session brings

    def on_model_audio(self, response_id: str, item_id: str, audio: bytes) -> None:
        if self.conversation.audio(response_id, item_id, audio):
            self._channel.tell_audio(audio)

    def on_event(self, event: ServerEvent) -> None:
        if event.type == "input_audio_buffer.speech_stopped":
            self._caller.turn_stopped(event.audio_end_ms)
        if event.type == MODEL_TEXT:
            if self.conversation.wrote(event.item_id or "", event.delta or ""):
                self._keep_soon()
            return
        meaning = heard(event, turn_end=self._caller.turn_end)
        if meaning is not None:
            self._driver.feed(meaning)

    def on_session_closed(self) -> None:
        self.close(CloseReason.SESSION_LOST)

    # What the conversation orders

    def _perform(self, action: ConversationAction) -> None:
        match action:
            case SendEvent(event):
                self.session.send(event)
            case SendMessage(message):
                if isinstance(message, Handover):
                    self._world.note("handover", self.message.call_sid, message.reason)
                    self._world.checker.on_left(self, message.reason)
                    self._send_checkpoint()
                self._channel.tell(message)
            case SendAudio(audio):
                self._channel.tell_audio(audio)
            case CallTool():
                version = self.conversation.transcript.version
                self._ask(self._write_ahead.called(action, version=version))
            case TranscriptGrew():
                self._keep_soon()
            case EndCall(reason):
                self.close(reason)
            case _:
                pass

    def _ask(self, ready: tuple[CallTool, ...]) -> None:
        for call in ready:
            self.agent.copy_soon(self)
            self._world.note("tool_called", call.key)
            execution = Execution(call.key, self.message.epoch)
            answered = functools.partial(self._on_answered, call.call_id)
            self._world.tools.ask(execution, call.arguments, answered)

    def _on_answered(self, call_id: str, output: str) -> None:
        self.agent.run(lambda: self._driver.feed(ToolAnswered(call_id, output)))

    def _keep_soon(self) -> None:
        if not self._keeping:
            self._keeping = True
            self.agent.later(0.0, self._keep)

    def _keep(self) -> None:
        self._keeping = False
        version = self.conversation.transcript.version
        if not self.over and version != self._kept_version:
            self._send_checkpoint()

    def _send_checkpoint(self) -> None:
        if not self.over:
            self._kept_version = self.conversation.transcript.version
            self._kept = kept = self.conversation.checkpoint(now=self.agent.clock.now)
            self._world.note("checkpoint", self.message.call_sid, kept.version)
            self._channel.tell(kept)

    def _end(self, reason: CloseReason) -> None:
        if self.over:
            return
        self.over = True
        if self.is_new:
            self._world.faults.between_edges.add(self.message.call_sid)
        if reason in {CloseReason.MEDIA_STREAM_LOST, CloseReason.SESSION_LOST}:
            self.agent.copy_soon(self)
        self._driver.close()
        self.conversation.end()
        self.agent.on_bridge_ended(self)
