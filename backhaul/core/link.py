"""Life of one link: hello, heartbeats, drain, close.

The shell opens the transport and reports what happens; this machine says what to
send on channel 0 and when the link must be given up.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

from backhaul.core.estimators import RttEstimator
from backhaul.core.messages import (
    PROTOCOL_VERSION,
    Heartbeat,
    HeartbeatReply,
    Hello,
    Message,
    Receipt,
)

__all__ = [
    "TRANSITIONS",
    "CloseTransport",
    "LinkAction",
    "LinkConfig",
    "LinkEvent",
    "LinkInput",
    "LinkMachine",
    "LinkState",
    "LinkStateChanged",
    "MessageReceived",
    "SendHeartbeat",
    "SendMessage",
    "TransportClosed",
    "TransportOpened",
    "UseChanged",
]


_IDLE_TIMES: Final = 4


class LinkState(Enum):
    """Where a link stands."""

    CONNECTING = "connecting"
    """The transport or the peer's hello is awaited."""
    READY = "ready"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """Figures of a link."""

    hello_timeout_s: float = 5.0
    """From birth to the peer's hello (s); covers TCP, TLS and WebSocket."""
    heartbeat_interval_s: float = 0.25
    """Between two heartbeats (s); a shorter one finds a stopped peer sooner."""
    heartbeat_timeout_s: float = 2.0
    """Without any heartbeat or reply from the peer (s), the link is dead."""

    @property
    def idle_interval_s(self) -> float:
        """Between two heartbeats while there are no calls (s).

        Most links of a fabric are idle, and what they cost is their heartbeats.
        """
        most_s = max(self.heartbeat_timeout_s / 2, self.heartbeat_interval_s)
        return min(_IDLE_TIMES * self.heartbeat_interval_s, most_s)


@dataclass(frozen=True, slots=True)
class TransportOpened:
    """The transport is connected and the peer's certificate was accepted."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A link-level message arrived on channel 0."""

    message: Message


@dataclass(frozen=True, slots=True)
class UseChanged:
    """There are calls between the two processes, or none any more."""

    in_use: bool


@dataclass(frozen=True, slots=True)
class TransportClosed:
    """The transport is gone."""

    reason: str


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send *message* on channel 0."""

    message: Message


@dataclass(frozen=True, slots=True)
class SendHeartbeat:
    """Send a heartbeat, and with it how things arrive here."""

    number: int
    sent_at: float


@dataclass(frozen=True, slots=True)
class CloseTransport:
    """Close the transport; the link will not be used again."""

    reason: str


@dataclass(frozen=True, slots=True)
class LinkStateChanged:
    """The link's state changed from *old* to *new*."""

    old: LinkState
    new: LinkState
    reason: str


LinkEvent = TransportOpened | MessageReceived | UseChanged | TransportClosed
LinkAction = SendMessage | SendHeartbeat | CloseTransport | LinkStateChanged


class LinkInput(Enum):
    """What an event or the passing of time comes to."""

    HELLO_ACCEPTED = "hello_accepted"
    VIOLATION = "violation"
    TIMED_OUT = "timed_out"
    TRANSPORT_CLOSED = "transport_closed"


_CONNECTING, _READY, _CLOSED = LinkState.CONNECTING, LinkState.READY, LinkState.CLOSED

TRANSITIONS: dict[tuple[LinkState, LinkInput], LinkState] = {
    (_CONNECTING, LinkInput.HELLO_ACCEPTED): _READY,
    (_CONNECTING, LinkInput.VIOLATION): _CLOSED,
    (_CONNECTING, LinkInput.TIMED_OUT): _CLOSED,
    (_CONNECTING, LinkInput.TRANSPORT_CLOSED): _CLOSED,
    (_READY, LinkInput.HELLO_ACCEPTED): _CLOSED,
    (_READY, LinkInput.VIOLATION): _CLOSED,
    (_READY, LinkInput.TIMED_OUT): _CLOSED,
    (_READY, LinkInput.TRANSPORT_CLOSED): _CLOSED,
    (_CLOSED, LinkInput.HELLO_ACCEPTED): _CLOSED,
    (_CLOSED, LinkInput.VIOLATION): _CLOSED,
    (_CLOSED, LinkInput.TIMED_OUT): _CLOSED,
    (_CLOSED, LinkInput.TRANSPORT_CLOSED): _CLOSED,
}


class LinkMachine:
    """Decides about one link; both sides run the same machine.

    Attributes:
        state: Where the link stands.
        peer: What the peer said of itself, None before it did.
        rtt: Of this link.
        receipt: How what we send arrives, as the peer says; None before it does.
    """

    def __init__(self, *, hello: Hello, config: LinkConfig, now: float) -> None:
        self.state = LinkState.CONNECTING
        self.peer: Hello | None = None
        self.rtt = RttEstimator()
        self.receipt: Receipt | None = None
        self._unanswered: deque[SendHeartbeat] = deque(maxlen=64)
        self._hello = hello
        self._config = config
        self._heartbeats_sent = 0
        self._heartbeats_received = 0
        self._give_up_at = now + config.hello_timeout_s
        self._next_heartbeat_at = self._give_up_at
        self._in_use = False

    @property
    def unanswered_since(self) -> float | None:
        """When the oldest heartbeat was sent that has no answer; None if all have."""
        return self._unanswered[0].sent_at if self._unanswered else None

    def handle(self, event: LinkEvent, *, now: float) -> tuple[LinkAction, ...]:
        """Take note of *event*; see `backhaul.core.machine.Machine`."""
        if self.state is LinkState.CLOSED:
            return ()
        match event:
            case TransportOpened():
                return (SendMessage(self._hello),)
            case TransportClosed(reason):
                return self._enter(LinkInput.TRANSPORT_CLOSED, reason)
            case UseChanged(in_use):
                self._in_use = in_use
                soon = now + self._interval_s
                self._next_heartbeat_at = min(self._next_heartbeat_at, soon)
                return ()
            case MessageReceived(message):  # pragma: no branch - the last of all kinds
                return self._on_message(message, now=now)

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called; see Machine."""
        if self.state is LinkState.CLOSED:
            return None
        return min(self._give_up_at, self._next_heartbeat_at)

    def expire(self, *, now: float) -> tuple[LinkAction, ...]:
        """Return what is due at *now*; see Machine."""
        if self.state is LinkState.CLOSED:
            return ()
        late_s = now - self._next_heartbeat_at
        if late_s > self._interval_s:
            # Our own loop stood still: what the peer sent is waiting unread, so
            # the silence proves nothing. Listen for as long as we were deaf.
            self._give_up_at += late_s
        if now >= self._give_up_at:
            what = "heartbeat" if self.state is LinkState.READY else "hello"
            return self._fail(LinkInput.TIMED_OUT, f"no {what} in time")
        if now < self._next_heartbeat_at:
            return ()
        self._heartbeats_sent += 1
        self._next_heartbeat_at = now + self._interval_s
        heartbeat = SendHeartbeat(self._heartbeats_sent, now)
        self._unanswered.append(heartbeat)
        return (heartbeat,)

    @property
    def _interval_s(self) -> float:
        config = self._config
        return config.heartbeat_interval_s if self._in_use else config.idle_interval_s

    def _on_message(self, message: Message, *, now: float) -> tuple[LinkAction, ...]:
        if isinstance(message, Hello):
            return self._on_hello(message, now=now)
        if self.state is not LinkState.READY:
            return self._fail(LinkInput.VIOLATION, "message before hello")
        match message:
            case Heartbeat(number, receipt):
                self._heartbeats_received += 1
                self.receipt = receipt
                self._give_up_at = now + self._config.heartbeat_timeout_s
                reply = HeartbeatReply(number, self._heartbeats_received)
                return (SendMessage(reply),)
            case HeartbeatReply(number):
                self._give_up_at = now + self._config.heartbeat_timeout_s
                self._on_answered(number, now=now)
            case _:
                pass  # leases, greetings and stock concern the link's owner
        return ()

    def _on_answered(self, number: int, *, now: float) -> None:
        if number > self._heartbeats_sent:
            return  # nobody asked
        # Answers come in order, but for those that never come.
        while self._unanswered and self._unanswered[0].number <= number:
            heartbeat = self._unanswered.popleft()
            if heartbeat.number == number:
                self.rtt.add(now - heartbeat.sent_at)

    def _on_hello(self, hello: Hello, *, now: float) -> tuple[LinkAction, ...]:
        if self.state is not LinkState.CONNECTING:
            return self._fail(LinkInput.VIOLATION, "second hello")
        if hello.version != PROTOCOL_VERSION:
            reason = f"peer speaks protocol version {hello.version}"
            return self._fail(LinkInput.VIOLATION, reason)
        self.peer = hello
        self._give_up_at = now + self._config.heartbeat_timeout_s
        self._next_heartbeat_at = now
        return self._enter(LinkInput.HELLO_ACCEPTED, "hello received")

    def _fail(self, why: LinkInput, reason: str) -> tuple[LinkAction, ...]:
        return (*self._enter(why, reason), CloseTransport(reason))

    def _enter(self, why: LinkInput, reason: str) -> tuple[LinkAction, ...]:
        old, self.state = self.state, TRANSITIONS[self.state, why]
        return (LinkStateChanged(old, self.state, reason),)
