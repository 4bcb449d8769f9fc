"""One call at the edge: joins its Media Streams and its channel."""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from backhaul.channels import Channel
from backhaul.clock import monotonic_s, unix_s
from backhaul.core.messages import (
    Clear,
    CloseReason,
    Message,
    Open,
    Opened,
    Returned,
    SendDigits,
    Transfer,
)
from backhaul.driver import LoopDriver
from edge.call_facts import Caller, CallTimes
from edge.core.call_events import (
    CallAction,
    CallEnded,
    CallEvent,
    CallState,
    CallStateChanged,
    ChannelClosed,
    CloseChannel,
    CloseStream,
    OpenChannel,
    PlayGreeting,
    ReleaseLease,
    SentAway,
    StreamStarted,
    TellReturned,
)
from edge.core.call_machine import CallConfig, CallMachine
from edge.core.errand import Errand, errand_of
from edge.line import Line, StreamSink
from edge.links import Lease
from edge.metrics import EdgeMetrics

__all__ = ["Call"]

_log = structlog.get_logger()


@dataclass(slots=True)
class _Totals:
    caller_bytes: int = 0
    transfers: int = 0


@dataclass(slots=True)
class Call:
    """A call from its webhook to its end.

    Media runs through `on_media` and `on_audio`, which decide nothing; everything
    that decides is in the call machine.
    """

    call_sid: str
    profile: str
    caller: Caller
    lease: Lease
    token: str
    twiml: str
    config: CallConfig
    metrics: EdgeMetrics
    on_ended: Callable[["Call"], None]
    times: CallTimes
    started_unix_s: float = field(default_factory=unix_s)
    machine: CallMachine = field(init=False)
    line: Line = field(init=False)
    errand: Errand | None = None
    """What the caller is away for, until that is settled."""
    last_action: tuple[str, int] | None = None
    """Endpoint and stream number of the last request that `twiml` answered."""
    totals: _Totals = field(default_factory=_Totals)
    session_ids: list[str] = field(default_factory=list[str])
    _driver: LoopDriver[CallEvent, CallAction] = field(init=False)
    _channel: Channel | None = None

    def __post_init__(self) -> None:
        """Start the clock of the call."""
        self.machine = CallMachine(self.config, now=monotonic_s())
        self.line = Line(self._tell, self.metrics)
        self._driver = LoopDriver(self.machine, self._perform)
        self._driver.start()

    @property
    def state(self) -> CallState:
        """Where the call stands."""
        return self.machine.state

    def feed(self, event: CallEvent) -> None:
        """Tell the call what happened."""
        self._driver.feed(event)

    def renew(self, *, lease: Lease, token: str, twiml: str) -> None:
        """Go on with another stream, and another session after a failure."""
        self.lease, self.token, self.twiml = lease, token, twiml

    def note_answer(self, action: str, number: int, twiml: str) -> None:
        """Remember what the carrier was told, for when it asks the same again."""
        self.last_action, self.twiml = (action, number), twiml

    def settle_errand(self, outcome: str) -> None:
        """Take note of what came of the errand; does nothing without one."""
        errand, self.errand = self.errand, None
        if errand is not None and errand.is_transfer:
            self.metrics.transfers.labels(outcome=outcome).inc()

    def on_stream_started(self, sink: StreamSink) -> None:
        """A Media Stream of this call started; it plays to the caller from now on."""
        if self.times.stream_started_at is None:
            self.times.stream_started_at = monotonic_s()
        self.line.attach(sink)
        self.feed(StreamStarted())

    # The media path: a straight pump.

    def on_media(self, audio: bytes) -> None:
        """Caller audio arrived on the Media Stream."""
        if self._channel is not None:
            self.totals.caller_bytes += len(audio)
            self._channel.send_audio(audio)

    def on_audio(self, audio: bytes) -> None:
        """Model audio arrived on the channel; see ChannelHandler."""
        if self.times.first_audio_at is None:
            self.times.first_audio_at = monotonic_s()
        self.line.play(audio)

    # The rest of ChannelHandler.

    def on_message(self, message: Message) -> None:
        """A message of this call arrived; see ChannelHandler."""
        match message:
            case Clear():
                self.line.clear()
            case Opened(session_id):
                self.times.opened_at = monotonic_s()
                self.session_ids.append(session_id)
            case Transfer() | SendDigits():
                self._send_away(message)
            case _:
                pass  # a newer agent may say more than this edge understands

    def on_channel_closed(self, reason: CloseReason) -> None:
        """The agent closed the channel or its link is gone; see ChannelHandler."""
        self._leave_channel()
        self.feed(ChannelClosed(reason))

    def _tell(self, message: Message) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def _send_away(self, message: Transfer | SendDigits) -> None:
        if self.state is not CallState.BRIDGED:
            return  # one thing at a time; the agent hears of this one's end
        errand = errand_of(message, over_sip=self.caller.over_sip)
        if isinstance(message, Transfer):
            self.totals.transfers += 1
        if errand is not None:
            self.errand = errand
            self.feed(SentAway(takes_s=errand.rings_s))
            return
        if isinstance(message, Transfer):
            self.metrics.transfers.labels(outcome="malformed").inc()
        self._tell(Returned("failed"))

    def _perform(self, action: CallAction) -> None:
        match action:
            case PlayGreeting():
                self._play_greeting()
            case CloseStream():
                self.line.detach()
            case CallStateChanged(old, new, reason):
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
        self, action: OpenChannel | TellReturned | ReleaseLease | CloseChannel
    ) -> None:
        match action:
            case OpenChannel(resumed):
                self._open_channel(resumed=resumed)
            case TellReturned(outcome):
                self._tell(Returned(outcome))
            case ReleaseLease():
                self.lease.release()
            case CloseChannel(reason):
                self._close_channel(reason)

    def _play_greeting(self) -> None:
        greeting = self.lease.agent.greetings.get(self.profile)
        if greeting is not None:
            self.line.play(greeting.audio)
            self.times.first_audio_at = monotonic_s()

    def _open_channel(self, *, resumed: bool) -> None:
        played = None if resumed else self.lease.agent.greetings.get(self.profile)
        self._channel = self.lease.open_channel(
            self,
            Open(
                lease_id=self.lease.lease_id,
                call_sid=self.call_sid,
                profile=self.profile,
                greeting_text=played.text if played else "",
                greeting_bytes=len(played.audio) if played else 0,
                resumed=resumed,
                caller=self.caller.number,
                over_sip=self.caller.over_sip,
            ),
        )
        if self._channel is None:
            # The links died since the lease: the call hears it like any other loss.
            self.feed(ChannelClosed(CloseReason.LINK_LOST))
        self.line.open(afresh=resumed)

    def _close_channel(self, reason: CloseReason) -> None:
        if self._channel is not None:
            self._channel.close(reason)
            self._leave_channel()

    def _leave_channel(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            self.lease.agent.release(channel)

    def _end(self, reason: CloseReason) -> None:
        self.times.ended_at = monotonic_s()
        self._driver.close()
        if self.errand is not None:
            handed_over = reason is CloseReason.TRANSFERRED
            self.settle_errand(self.errand.success if handed_over else "abandoned")
        _log.info("call.ended", call_sid=self.call_sid, **self.summary())
        self.on_ended(self)

    def summary(self) -> dict[str, object]:
        """Return the call's whole story; nothing in it is personal."""
        end = self.machine.end_reason
        return {
            "profile": self.profile,
            "state": self.state.value,
            "agent": self.lease.agent.address,
            "region": self.lease.agent.region,
            "warm": self.lease.warm,
            "session_ids": list(self.session_ids),
            "end_reason": end.value if end else None,
            "caller_bytes": self.totals.caller_bytes,
            "model_bytes": self.line.model_bytes,
            "clears": self.line.clears,
            "transfers": self.totals.transfers,
            **self.times.since_webhook_ms(),
        }
