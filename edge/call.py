"""One call at the edge: pumps media between its Media Stream and its channel."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from backhaul.channels import Channel
from backhaul.clock import monotonic_s, unix_s
from backhaul.core.messages import Clear, CloseReason, Message, Open, Opened
from backhaul.driver import LoopDriver
from edge.core.call_machine import (
    CallAction,
    CallConfig,
    CallEnded,
    CallEvent,
    CallMachine,
    CallState,
    CallStateChanged,
    ChannelClosed,
    CloseChannel,
    CloseStream,
    OpenChannel,
    PlayGreeting,
    ReleaseLease,
)
from edge.links import Lease

__all__ = ["Call", "CallTimes", "StreamSink"]

_log = structlog.get_logger()


class StreamSink(Protocol):
    """Where a call's audio for the caller goes: its Media Stream."""

    def play(self, audio: bytes) -> None:
        """Send raw mu-law to the caller."""
        ...

    def clear(self) -> None:
        """Drop what the caller has not heard yet."""
        ...

    def end(self) -> None:
        """Close the stream politely."""
        ...


@dataclass(slots=True)
class CallTimes:
    """When things happened (monotonic s), for the call's record."""

    webhook_at: float
    leased_at: float | None = None
    stream_started_at: float | None = None
    first_audio_at: float | None = None
    opened_at: float | None = None
    ended_at: float | None = None

    def since_webhook_ms(self) -> dict[str, float]:
        """Return each moment as milliseconds after the webhook."""
        moments = {
            "leased_ms": self.leased_at,
            "stream_started_ms": self.stream_started_at,
            "first_audio_ms": self.first_audio_at,
            "opened_ms": self.opened_at,
            "ended_ms": self.ended_at,
        }
        return {
            name: round((at - self.webhook_at) * 1000, 3)
            for name, at in moments.items()
            if at is not None
        }


@dataclass(slots=True)
class _Totals:
    caller_bytes: int = 0
    model_bytes: int = 0
    clears: int = 0


@dataclass(slots=True)
class Call:
    """A call from its webhook to its end.

    Media runs through `on_media` and `on_audio`, which decide nothing; everything
    that decides is in the call machine.
    """

    call_sid: str
    profile: str
    lease: Lease
    token: str
    twiml: str
    config: CallConfig
    on_ended: Callable[["Call"], None]
    times: CallTimes
    started_unix_s: float = field(default_factory=unix_s)
    machine: CallMachine = field(init=False)
    totals: _Totals = field(default_factory=_Totals)
    session_ids: list[str] = field(default_factory=list[str])
    _driver: LoopDriver[CallEvent, CallAction] = field(init=False)
    _channel: Channel | None = None
    _sink: StreamSink | None = None

    def __post_init__(self) -> None:
        """Start the clock of the call."""
        self.machine = CallMachine(self.config, now=monotonic_s())
        self._driver = LoopDriver(self.machine, self._perform)
        self._driver.start()

    @property
    def state(self) -> CallState:
        """Where the call stands."""
        return self.machine.state

    def feed(self, event: CallEvent) -> None:
        """Tell the call what happened."""
        self._driver.feed(event)

    def attach(self, sink: StreamSink) -> None:
        """Name the Media Stream that plays to the caller from now on."""
        self._sink = sink

    def owns(self, sink: StreamSink) -> bool:
        """Tell whether *sink* is the call's present Media Stream."""
        return self._sink is sink

    def renew(self, *, lease: Lease, token: str, twiml: str) -> None:
        """Go on with another session after a failure."""
        self.lease, self.token, self.twiml = lease, token, twiml

    # The media path: a straight pump.

    def on_media(self, audio: bytes) -> None:
        """Caller audio arrived on the Media Stream."""
        if self._channel is not None:
            self.totals.caller_bytes += len(audio)
            self._channel.send_audio(audio)

    def on_audio(self, audio: bytes) -> None:
        """Model audio arrived on the channel; see ChannelHandler."""
        if self._sink is None:
            return
        if self.times.first_audio_at is None:
            self.times.first_audio_at = monotonic_s()
        self.totals.model_bytes += len(audio)
        self._sink.play(audio)

    # The rest of ChannelHandler.

    def on_message(self, message: Message) -> None:
        """A message of this call arrived; see ChannelHandler."""
        match message:
            case Clear():
                self.totals.clears += 1
                if self._sink is not None:
                    self._sink.clear()
            case Opened(session_id):
                self.times.opened_at = monotonic_s()
                self.session_ids.append(session_id)
            case _:
                pass  # a newer agent may say more than this edge understands

    def on_channel_closed(self, reason: CloseReason) -> None:
        """The agent closed the channel or its link is gone; see ChannelHandler."""
        self._channel = None
        self.feed(ChannelClosed(reason))

    def _perform(self, action: CallAction) -> None:
        match action:
            case PlayGreeting():
                self._play_greeting()
            case OpenChannel(resumed):
                self._open_channel(resumed=resumed)
            case ReleaseLease():
                self.lease.release()
            case CloseChannel(reason):
                self._close_channel(reason)
            case CloseStream():
                self._close_stream()
            case CallStateChanged(old, new, reason):
                _log.info(
                    "call.state_changed",
                    call_sid=self.call_sid,
                    old=old.value,
                    new=new.value,
                    reason=reason,
                )
            case CallEnded():
                self._end()

    def _play_greeting(self) -> None:
        greeting = self.lease.agent.greetings.get(self.profile)
        if greeting is not None and self._sink is not None:
            self._sink.play(greeting.audio)
            self.times.first_audio_at = monotonic_s()
            self.totals.model_bytes += len(greeting.audio)

    def _open_channel(self, *, resumed: bool) -> None:
        greeting = self.lease.agent.greetings.get(self.profile)
        self._channel = self.lease.link.open_channel(
            self,
            Open(
                lease_id=self.lease.lease_id,
                call_sid=self.call_sid,
                profile=self.profile,
                greeting_text=greeting.text if greeting and not resumed else "",
                resumed=resumed,
            ),
        )

    def _close_channel(self, reason: CloseReason) -> None:
        if self._channel is not None:
            self._channel.close(reason)
            self._channel = None

    def _close_stream(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.end()

    def _end(self) -> None:
        self.times.ended_at = monotonic_s()
        self._driver.close()
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
            "model_bytes": self.totals.model_bytes,
            "clears": self.totals.clears,
            **self.times.since_webhook_ms(),
        }
