"""One call at the edge: joins its Media Streams and its channel."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from backhaul.clock import monotonic_s, unix_s
from backhaul.core.messages import (
    Checkpoint,
    Clear,
    CloseReason,
    Greeting,
    Handover,
    HandoverReason,
    Message,
    Opened,
    Returned,
    SendDigits,
    Silent,
    Transfer,
)
from backhaul.driver import LoopDriver
from edge.call_errand import CallErrand
from edge.call_facts import Caller, CallTimes
from edge.call_help import CallHelp
from edge.call_session import CallSession
from edge.core.audio_ring import AudioRing
from edge.core.call_events import (
    CallAction,
    CallEnded,
    CallEvent,
    CallState,
    CallStateChanged,
    ChannelClosed,
    CloseChannel,
    CloseStream,
    FindSession,
    HoldCaller,
    MoveWanted,
    OpenChannel,
    PlayGreeting,
    PlayScript,
    ReleaseLease,
    ScriptGiven,
    ScriptPlayed,
    SentAway,
    StreamStarted,
    TellReturned,
)
from edge.core.call_machine import ENDED_BY_AGENT, CallConfig, CallMachine
from edge.core.call_story import AudioSource, CallStory
from edge.hold import Hold
from edge.line import Line, StreamSink
from edge.metrics import EdgeMetrics

__all__ = ["Call"]

_log = structlog.get_logger()

_MODEL_PATIENCE_S: Final = 2.0
"""Silence of a session that is to speak first before the hold tone begins (s). Models
rarely take a second; less would put a blip of tone into calls that are well."""
_MOVE_PATIENCE_S: Final = 1.0
"""The same for a caller whose session was lost: a move rarely takes so long, and the
caller may be the one who talks."""


@dataclass(slots=True)
class Call:
    """A call from its webhook to its end.

    Media runs through `on_media` and `on_audio`, which decide nothing; everything
    that decides is in the call machine.
    """

    call_sid: str
    profile: str
    caller: Caller
    session: CallSession
    token: str
    twiml: str
    config: CallConfig
    help: CallHelp
    metrics: EdgeMetrics
    on_ended: Callable[["Call"], None]
    times: CallTimes
    started_unix_s: float = field(default_factory=unix_s)
    machine: CallMachine = field(init=False)
    line: Line = field(init=False)
    hold: Hold = field(init=False)
    errand: CallErrand = field(init=False)
    last_action: tuple[str, int] | None = None
    """Endpoint and stream number of the last request that `twiml` answered."""
    refuge: str = ""
    """Base URL of the edge that takes the call when its stream has ended."""
    script_heard: bool = False
    """Whether the caller has heard the profile's script."""
    session_ids: list[str] = field(default_factory=list[str])
    _driver: LoopDriver[CallEvent, CallAction] = field(init=False)
    _audio: AudioRing = field(init=False)
    _greeted: Greeting | None = None
    """What was played before the model said anything."""

    def __post_init__(self) -> None:
        """Start the clock of the call, and the search if there is no session."""
        leased = self.session.lease is not None
        self._audio = self.session.memory.audio
        self.machine = CallMachine(self.config, leased=leased, now=monotonic_s())
        over_sip = self.caller.over_sip
        self.errand = CallErrand(self.metrics.transfers, over_sip=over_sip)
        self.line = Line(self.session.tell, self.metrics, on_drained=self._on_drained)
        care = self.help.care
        self.hold = Hold(self.line, care.hold_tone, after_s=care.hold_after_s)
        self._driver = LoopDriver(self.machine, self._perform)
        self._driver.start()
        self.session.begin(
            is_awaited=lambda: self.state in _AWAITING_SESSION, feed=self.feed
        )

    @property
    def story(self) -> CallStory:
        """What happens in it, and when."""
        return self.session.trace.story

    @property
    def state(self) -> CallState:
        """Where the call stands."""
        return self.machine.state

    def feed(self, event: CallEvent) -> None:
        """Tell the call what happened."""
        self._driver.feed(event)

    def move(self) -> None:
        """Go on with another session if one can be had; the present one still works."""
        self.feed(MoveWanted())

    def renew(self, *, token: str, twiml: str) -> None:
        """Go on with another stream."""
        self.token, self.twiml = token, twiml

    def note_answer(self, action: str, number: int, twiml: str) -> None:
        """Remember what the carrier was told, for when it asks the same again."""
        self.last_action, self.twiml = (action, number), twiml

    def on_stream_started(self, sink: StreamSink) -> None:
        """A Media Stream of this call started; it plays to the caller from now on."""
        if self.times.stream_started_at is None:
            self.times.stream_started_at = monotonic_s()
        self.story.stream_started(now=monotonic_s())
        self.line.attach(sink)
        self.feed(StreamStarted())

    # The media path: a straight pump.

    def on_media(self, audio: bytes) -> None:
        """Caller audio arrived on the Media Stream."""
        self._audio.append(audio)
        channel = self.session.channel
        if channel is not None:
            channel.send_audio(audio)

    def on_audio(self, audio: bytes) -> None:
        """Model audio arrived on the channel; see ChannelHandler."""
        if not self.session.spoken:
            self._on_first_words()
        self.line.play(audio)

    # The rest of ChannelHandler.

    def on_message(self, message: Message) -> None:
        """A message of this call arrived; see ChannelHandler."""
        match message:
            case Clear():
                self.line.clear()
            case Opened(session_id):
                self._on_opened(session_id)
            case Transfer() | SendDigits():
                self._send_away(message)
            case Checkpoint():
                self.session.keep(message)
            case Silent(position):
                self.session.memory.silent(position)
            case Handover(reason):
                self.feed(MoveWanted(reason))
            case _:
                pass  # a newer agent may say more than this edge understands

    def on_channel_closed(self, reason: CloseReason) -> None:
        """The agent closed the channel or its link is gone; see ChannelHandler."""
        self.session.leave()
        if reason in ENDED_BY_AGENT:
            self.story.lost(reason.value, now=monotonic_s())
            self.feed(ChannelClosed(reason))
            return
        self.session.lost(reason)

    def _send_away(self, message: Transfer | SendDigits) -> None:
        if self.state not in _TALKING:
            return  # one thing at a time; the agent hears of this one's end
        errand = self.errand.begin(message)
        if errand is None:
            self.session.tell(Returned("failed"))
        else:
            self.feed(SentAway(takes_s=errand.rings_s))

    def _on_opened(self, session_id: str) -> None:
        self.times.opened_at = monotonic_s()
        self.story.attached(now=self.times.opened_at)
        self.session_ids.append(session_id)
        self.session.opened(session_id)
        if not self._model_opens:
            self.hold.end()  # it is the caller's turn

    def _on_first_words(self) -> None:
        self.session.spoken = self.session.was_heard = True
        self.story.audio(AudioSource.MODEL, now=monotonic_s())
        self._note_gap()
        self.hold.end()
        if self.times.first_audio_at is None:
            self._note_first_audio()

    def _note_gap(self) -> None:
        leg = self.story.leg
        if leg.gap_s is not None:
            self.metrics.news.measured("gap", leg.gap_s, leg.reason)

    # What the machine orders

    def _perform(self, action: CallAction) -> None:
        match action:
            case PlayGreeting():
                self._play_greeting()
            case PlayScript():
                self._play_script()
            case HoldCaller():
                waited = self.session.was_heard
                self.hold.begin(at_least_s=_MOVE_PATIENCE_S if waited else 0.0)
            case CloseStream():
                self.hold.end()
                self.line.detach()
            case CallStateChanged(old, new, reason):
                if old is CallState.MOVING:
                    self._count_move(found=reason == "session_found")
                _log.info(
                    "call.state_changed",
                    call_sid=self.call_sid,
                    old=old.value,
                    new=new.value,
                    reason=reason,
                )
            case CallEnded(reason):
                self._end(reason)
            case _:
                self._perform_at_agent(action)

    def _perform_at_agent(
        self,
        action: FindSession | OpenChannel | TellReturned | ReleaseLease | CloseChannel,
    ) -> None:
        match action:
            case FindSession(asked):
                self._find_session(asked)
            case OpenChannel():
                self._open_channel()
            case TellReturned(outcome):
                self.session.tell(Returned(outcome))
            case ReleaseLease():
                self.session.release()
            case CloseChannel(reason):
                self.session.close(reason)

    def _find_session(self, asked: HandoverReason | None) -> None:
        if self.state is CallState.MOVING:
            search = self.session.search_beside(asked)
        else:
            search = self.session.next_search(patient=self.session.was_heard)
        self.session.renew(search, None)

    def _count_move(self, *, found: bool) -> None:
        reason = self.session.search.leg.reason
        outcome = "moved" if found else "stayed"
        self.metrics.moves.labels(reason=reason, outcome=outcome).inc()

    def _open_channel(self) -> None:
        session = self.session
        if self.times.leased_at is None:
            self.times.leased_at = session.search.attempts[-1].answered_at
        resumed = session.was_heard or self.machine.streams > 1
        if session.was_heard and session.memory.checkpoint is None:
            self.line.clear()  # it will be said in other words
        session.open(
            self, greeted=self._greeted, resumed=resumed, voice=self.line.progress()
        )
        self.line.open()
        kept = session.memory.checkpoint
        if kept is not None and kept.errand:
            # The agent before may not have heard of it.
            session.tell(Returned(self.errand.outcome))
        if self._model_opens:
            self.hold.begin(at_least_s=_MODEL_PATIENCE_S)

    @property
    def _model_opens(self) -> bool:
        """Whether the model is to speak first on the present channel."""
        memory = self.session.memory
        if memory.checkpoint is not None and memory.checkpoint.items:
            return memory.model_is_due
        greeted = self._greeted is not None or not self.help.care.model_opens
        return self.session.was_heard or self.machine.streams > 1 or not greeted

    def _play_greeting(self) -> None:
        if self.session.was_heard:
            return  # another edge has greeted them
        lease = self.session.lease
        own = lease.agent.greetings if lease is not None else {}
        kept = self.help.phrasebook.greetings
        self._greeted = greeting = own.get(self.profile) or kept.get(self.profile)
        if greeting is not None:
            self.line.play(greeting.audio)
            self._note_first_audio()
            self.story.audio(AudioSource.GREETING, now=monotonic_s())

    def _note_first_audio(self) -> None:
        now = self.times.first_audio_at = monotonic_s()
        if self.times.stream_started_at is not None:
            self.metrics.first_audio.add(now - self.times.stream_started_at)

    def _play_script(self) -> None:
        self.hold.end()
        self.session.stop_search()
        audio = self.help.script_audio(self.profile)
        if audio:
            self.metrics.calls_placed.labels(step="script").inc()
            self.line.play(audio)
            self.story.audio(AudioSource.SCRIPT, now=monotonic_s())
            self.feed(ScriptGiven(heard_at=self.line.dry_at))
        else:
            self.feed(ScriptPlayed())  # the carrier says it, when it asks what follows

    def _on_drained(self) -> None:
        if self.state is CallState.FALLBACK:
            self.script_heard = True
            self.feed(ScriptPlayed())

    def _end(self, reason: CloseReason) -> None:
        self.times.ended_at = monotonic_s()
        self._driver.close()
        self.session.stop_search()
        self.errand.end(handed_over=reason is CloseReason.TRANSFERRED)
        if self.hold.heard_s:
            self.metrics.hold_seconds.observe(self.hold.heard_s)
        self.tell(reason)
        _log.info("call.ended", call_sid=self.call_sid, **self.summary())
        self.on_ended(self)

    def tell(self, reason: CloseReason) -> None:
        """Tell the trace of the call, which is over for this edge; once."""
        agent = self.session.agent
        self.session.trace.end(
            reason.value,
            {
                "warmline.call_sid": self.call_sid,
                "warmline.profile": self.profile,
                **self.caller.place.facts(),
                "warmline.region": agent.region if agent else "",
                "warmline.clears": self.line.clears,
                "warmline.transfers": self.errand.transfers,
                "warmline.hold_ms": round(self.hold.heard_s * 1000, 1),
            },
        )

    def summary(self) -> dict[str, object]:
        """Return the call's whole story; nothing in it is personal."""
        end = self.machine.end_reason
        return {
            "profile": self.profile,
            "state": self.state.value,
            **self.session.summary(),
            **self.caller.place.summary(),
            "session_ids": list(self.session_ids),
            "end_reason": end.value if end else None,
            "caller_bytes": self._audio.end,
            "caller_bytes_lost": self.session.memory.lost,
            "moves": self.machine.moves,
            "model_bytes": self.line.model_bytes,
            "clears": self.line.clears,
            "transfers": self.errand.transfers,
            "hold_ms": round(self.hold.heard_s * 1000, 1),
            **self.times.since_webhook_ms(),
        }


_AWAITING_SESSION = frozenset(
    {CallState.SEARCHING, CallState.HOLDING, CallState.MOVING}
)
_TALKING = frozenset({CallState.BRIDGED, CallState.MOVING})
