"""One call: binds the channel of a link to a Realtime session."""

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from backhaul.channels import Channel
from backhaul.clock import monotonic_s
from backhaul.core.checkpoint import Checkpoint
from backhaul.core.g711 import SILENCE
from backhaul.core.messages import (
    Cleared,
    CloseReason,
    Digit,
    Flow,
    Handover,
    HandoverReason,
    Hello,
    Kept,
    KeptCall,
    Message,
    Open,
    Opened,
    Played,
    Returned,
    Silent,
)
from backhaul.core.profile import Profile
from backhaul.driver import LoopDriver
from region_agent.bridge_counters import BridgeCounters
from region_agent.call_log import CallLog
from region_agent.call_services import CallServices
from region_agent.caller_voice import CallerVoice
from region_agent.core.caller_position import CallerPosition
from region_agent.core.conversation import Conversation
from region_agent.core.conversation_events import (
    CallBegan,
    CallerSaid,
    CallerTurnEnded,
    CallReserved,
    CallTaken,
    CallTool,
    ConversationAction,
    ConversationEvent,
    EdgeBack,
    EdgeLost,
    EndCall,
    FalselyStarted,
    Interrupted,
    LeaveWanted,
    ModelSaid,
    ResponseRetried,
    SendAudio,
    SendEvent,
    SendMessage,
    ToolAnswered,
    TranscriptGrew,
)
from region_agent.core.heard_events import heard
from region_agent.core.pool_events import SessionReport
from region_agent.core.realtime_events import MODEL_TEXT, ServerEvent
from region_agent.realtime import RealtimeSession
from region_agent.tool_caller import ToolCaller
from region_agent.tools import ToolResult

__all__ = ["Bridge"]


class Bridge:
    """Moves audio between a caller and the model; one per call.

    It hears the channel (`ChannelHandler`) and the session (`SessionHandler`), and
    does what the conversation orders.
    """

    def __init__(
        self,
        channel: Channel,
        session: RealtimeSession,
        message: Open,
        *,
        profile: Profile,
        services: CallServices,
        counters: BridgeCounters,
        on_ended: Callable[["Bridge", CloseReason], None],
        report: SessionReport | None = None,
    ) -> None:
        self._channel = channel
        self._session = session
        self._message = message
        self._services = services
        self._counters = counters
        self._on_ended = on_ended
        self._voice = CallerVoice()
        self._caller = CallerPosition(message.caller_position)
        self._loop = asyncio.get_running_loop()
        self._voice_before = message.voice.position
        """What other agents sent of it, in a session that is lost."""
        self._kept: Checkpoint | None = message.checkpoint
        """The last one."""
        self._kept_version = 0
        self._keeping = False
        self._tools = ToolCaller(
            message,
            services.tools,
            on_asked=services.copies.hasten,
            on_answered=self._on_tool_answered,
        )
        self._over = False
        self._log = CallLog(
            message,
            profile,
            services,
            session_id=session.session_id,
            report=report,
        )
        self._recorder = services.recordings.begin(message.profile, message.call_sid)
        self.conversation = Conversation(
            profile,
            phrases=lambda text: services.phrases.audio(message.profile, text),
            now=monotonic_s(),
            call_sid=message.call_sid,
        )
        self._driver: LoopDriver[ConversationEvent, ConversationAction] = LoopDriver(
            self.conversation, self._perform
        )

    def start(self) -> None:
        """Tell the edge that the call stands, and let the model begin if it should."""
        message = self._message
        self._channel.bind(self)
        self._session.bind(self)
        self._channel.send(Opened(self._session.session_id))
        if self._recorder is not None:
            self._recorder.voice(self._greeting())
        self._driver.feed(CallBegan.of(message))
        ends_at = self._session.expires_at
        begin_at = ends_at - self._services.rollover_lead_s
        self.leave(LeaveWanted(HandoverReason.SESSION_EXPIRING, begin_at, ends_at))

    def _greeting(self) -> bytes:
        """Return what the edge plays; unknown audio is silence of the same length."""
        message = self._message
        known = self._services.phrases.audio(message.profile, message.greeting_text)
        length = message.greeting_bytes
        return (known or b"")[:length].ljust(length, SILENCE)

    def leave(self, wanted: LeaveWanted) -> None:
        """Have the call go on in another session."""
        self._driver.feed(wanted)

    def close(self, reason: CloseReason) -> None:
        """End the call from our side, or leave it to another agent."""
        self._keep()
        self._channel.close(reason)
        self._end(reason)

    # ChannelHandler

    def on_audio(self, audio: bytes) -> None:
        """Audio of the caller arrived; see ChannelHandler."""
        self._counters.audio_frames_in += 1
        self._counters.audio_bytes_in += len(audio)
        appended = self._session.append_audio(audio)
        missing = self._channel.audio_missing
        if self._caller.received(len(audio), missing_frames=missing, appended=appended):
            self._look_for_silence()
        if self._recorder is not None:
            self._recorder.caller(audio)
        if appended:  # what the session did not get it cannot have heard
            self._listen(audio)

    def on_message(self, message: Message) -> None:
        """A message of the edge arrived; see ChannelHandler."""
        if isinstance(message, Kept):
            self._tools.kept(message.version)
        if isinstance(message, Played | Cleared | Digit | Flow | Returned):
            if isinstance(message, Cleared) and self._recorder is not None:
                self._recorder.cleared(*self._on_this_channel(message))
            self._driver.feed(message)

    def on_channel_closed(self, reason: CloseReason) -> None:
        """The call is over; see ChannelHandler."""
        self._end(reason)

    # When the edge is lost

    @property
    def call_sid(self) -> str:
        """Whose call it is."""
        return self._message.call_sid

    @property
    def epoch(self) -> int:
        """How often it was placed when its present edge got it."""
        return self._message.epoch

    @property
    def edge(self) -> Hello | None:
        """The process of the edge that has the caller; None between two edges."""
        return None if self._channel.closed else self._channel.peer

    def on_edge_lost(self) -> None:
        """No link leads to the edge; another one may come, or the call be taken."""
        self._driver.feed(EdgeLost())

    def on_edge_back(self) -> None:
        """A link leads to it again."""
        self._driver.feed(EdgeBack())

    def kept(self) -> KeptCall:
        """Return what is known of the call, for an agent that has to take it over."""
        message, kept = self._message, self._kept
        return KeptCall(
            message.epoch,
            message.profile,
            checkpoint=kept,
            caller_position=0 if kept is None else kept.caller_position,
            voice_position=self.conversation.playback.played,
        )

    def reserve(self) -> KeptCall:
        """Leave the edge, for another that takes the call; return where it goes on."""
        self._channel.close(CloseReason.STALE_EPOCH)
        playback = self.conversation.playback
        if self._recorder is not None:
            lost = Cleared(playback.forwarded, playback.played)
            self._recorder.cleared(*self._on_this_channel(lost))
        self._driver.feed(CallReserved())
        kept = self.conversation.checkpoint(now=monotonic_s())
        # The session has heard all that came: nothing need be sent to it again.
        begin = self._caller.now
        return KeptCall(
            self._message.epoch,
            self._message.profile,
            here=True,
            checkpoint=replace(kept, caller_position=begin),
            caller_position=begin,
            voice_position=playback.forwarded,
        )

    def take(self, channel: Channel, message: Open) -> None:
        """Go on at the edge that has opened *channel*."""
        self._channel, self._message = channel, message
        self._caller.renew()
        channel.bind(self)
        channel.send(Opened(self._session.session_id))
        self._driver.feed(CallTaken())
        self._send_checkpoint()

    # SessionHandler

    def on_model_audio(self, response_id: str, item_id: str, audio: bytes) -> None:
        """Audio of the model arrived; see SessionHandler."""
        if self.conversation.audio(response_id, item_id, audio):
            self._forward(audio)
        elif response_id != self.conversation.turns.forwarding or not response_id:
            self._counters.stale_deltas += 1

    def on_event(self, event: ServerEvent) -> None:
        """The model's server tells something; see SessionHandler."""
        response = event.response
        if event.type == "response.done" and response is not None:
            self._log.response_done(response)
            self._counters.responses_failed += response.status == "failed"
        elif event.type == "input_audio_buffer.speech_started":
            self._caller.turn_began()
        elif event.type == "input_audio_buffer.committed":
            self._caller.turn_committed()
        elif event.type == "input_audio_buffer.speech_stopped":
            self._caller.turn_stopped(event.audio_end_ms)
        elif event.type == MODEL_TEXT:
            if self.conversation.wrote(event.item_id or "", event.delta or ""):
                self._keep_soon()
            return
        meaning = heard(event, turn_end=self._caller.turn_end)
        if meaning is not None:
            self._count(meaning)
            self._driver.feed(meaning)

    def on_session_closed(self, reason: str) -> None:  # noqa: ARG002
        """The session is gone; see SessionHandler."""
        self.close(CloseReason.SESSION_LOST)

    def _forward(self, audio: bytes) -> None:
        self._counters.audio_frames_out += 1
        self._counters.audio_bytes_out += len(audio)
        self._log.audio()
        self._channel.send_audio(audio)
        if self._recorder is not None:
            self._recorder.voice(audio)

    def _perform(self, action: ConversationAction) -> None:
        match action:
            case SendEvent(event):
                self._session.send(event)
            case SendMessage(message):
                if isinstance(message, Handover):
                    self._on_leaving(message.reason)
                self._channel.send(message)
            case SendAudio(audio):
                self._forward(audio)
            case CallTool():
                version = self.conversation.transcript.version
                self._tools.called(action, version=version)
            case TranscriptGrew():
                self._keep_soon()
            case EndCall(reason):
                self.close(reason)
            case _:
                self._note(action)

    def _on_leaving(self, reason: HandoverReason) -> None:
        self._counters.handovers_asked[reason] += 1
        self._send_checkpoint()  # from here on the next agent goes on

    def _on_tool_answered(self, called: CallTool, result: ToolResult) -> None:
        self._log.tool_called(called, result)
        self._driver.feed(ToolAnswered(called.call_id, result.output))

    def _keep_soon(self) -> None:
        """Send a checkpoint, one for all that happens in this turn of the loop."""
        if not self._keeping:
            self._keeping = True
            self._loop.call_soon(self._keep)

    def _keep(self) -> None:
        self._keeping = False
        version = self.conversation.transcript.version
        if not self._over and version != self._kept_version:
            self._send_checkpoint()

    def _send_checkpoint(self) -> None:
        self._kept_version = self.conversation.transcript.version
        self._kept = self.conversation.checkpoint(now=monotonic_s())
        self._channel.send(self._kept)

    def _listen(self, audio: bytes) -> None:
        event = self.conversation.hearing.listen(
            audio,
            self._voice.voiced_ms,
            in_doubt=self.conversation.judging,
            heard_at=self._session.heard_at,
            now=monotonic_s(),
        )
        if event is not None:
            self._driver.feed(event)

    def _look_for_silence(self) -> None:
        """Tell the edge what of the caller's audio nobody will want to hear again."""
        heard_at = self._session.heard_at
        position = self._caller.silent_until(now=monotonic_s(), heard_at=heard_at)
        known = not self.conversation.hearing.unanswered
        if position and known and self.conversation.transcript.silent(position):
            self._channel.send(Silent(position))

    def _on_this_channel(self, cleared: Cleared) -> tuple[int, int]:
        """Return position and heard of *cleared* without what other agents sent."""
        before = self._voice_before
        return max(cleared.position - before, 0), max(cleared.heard - before, 0)

    def _count(self, event: ConversationEvent) -> None:
        self._counters.transcripts_caller += isinstance(event, CallerSaid)
        self._counters.transcripts_model += isinstance(event, ModelSaid)

    def _note(self, report: ConversationAction) -> None:
        match report:
            case Interrupted():
                self._counters.interruptions += 1
            case FalselyStarted():
                self._counters.false_starts += 1
            case CallerTurnEnded():
                self._log.caller_turn()
            case ResponseRetried():
                self._counters.responses_retried += 1
            case _:
                pass
        self._log.note(report)

    def _end(self, reason: CloseReason) -> None:
        if self._over:
            return
        self._over = True
        self._driver.close()
        for report in self.conversation.end():
            self._note(report)
        self._log.ended(reason)
        if self._recorder is not None:
            self._recorder.close()
        self._add_up()
        self._on_ended(self, reason)

    def _add_up(self) -> None:
        conversation, counters = self.conversation, self._counters
        counters.overlapping_responses += conversation.turns.overlapping
        counters.tool_calls_repeated += conversation.tools.repeated
        counters.digits_dropped += conversation.keys.dropped
        counters.audio_overflowed_bytes += conversation.playback.overflowed_bytes
