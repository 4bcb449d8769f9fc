"""Events on their way to one destination: what is sent when, and what is given up."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from backhaul.core.backoff import Backoff

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "TRANSITIONS",
    "BatchDelivered",
    "BatchFailed",
    "Closing",
    "FailingChanged",
    "Outbox",
    "OutboxAction",
    "OutboxConfig",
    "OutboxEvent",
    "OutboxMove",
    "OutboxState",
    "Published",
    "SendBatch",
]


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """Figures of an outbox.

    Raises:
        ValueError: If a batch may be larger than all that is kept.
    """

    interval_s: float = 0.25
    """Longest wait of an event for others to share its batch (s)."""
    max_batch_events: int = 500
    """So many events are sent at once."""
    max_batch_bytes: int = 512 * 1024
    """Most bytes of one batch, hence of one event; HTTP servers often refuse 1 MB."""
    max_events: int = 10_000
    """Most events kept."""
    max_bytes: int = 16 * 1024 * 1024
    """Most bytes kept."""
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=0.25, max_s=5.0))
    """Between two tries of a batch."""

    def __post_init__(self) -> None:
        if not 0 < self.max_batch_events <= self.max_events:
            raise ValueError("max_batch_events is not in 1 .. max_events")
        if not 0 < self.max_batch_bytes <= self.max_bytes:
            raise ValueError("max_batch_bytes is not in 1 .. max_bytes")


class OutboxState(Enum):
    """What an outbox is doing."""

    GATHERING = "gathering"
    """Events wait for others, or there are none."""
    SENDING = "sending"
    """One batch is under way."""
    BACKING_OFF = "backing_off"
    """The last batch failed; its next try is due later."""


class OutboxMove(Enum):
    """What moves an outbox from state to state."""

    DUE = "due"
    DELIVERED = "delivered"
    FAILED = "failed"


_State, _Move = OutboxState, OutboxMove

TRANSITIONS: dict[tuple[OutboxState, OutboxMove], OutboxState] = {
    (_State.GATHERING, _Move.DUE): _State.SENDING,
    (_State.GATHERING, _Move.DELIVERED): _State.GATHERING,
    (_State.GATHERING, _Move.FAILED): _State.GATHERING,
    # One batch at a time: this is what keeps events in order.
    (_State.SENDING, _Move.DUE): _State.SENDING,
    (_State.SENDING, _Move.DELIVERED): _State.GATHERING,
    (_State.SENDING, _Move.FAILED): _State.BACKING_OFF,
    (_State.BACKING_OFF, _Move.DUE): _State.SENDING,
    (_State.BACKING_OFF, _Move.DELIVERED): _State.BACKING_OFF,
    (_State.BACKING_OFF, _Move.FAILED): _State.BACKING_OFF,
}


@dataclass(frozen=True, slots=True)
class Published:
    """There is one more event."""

    data: bytes = field(repr=False)
    is_summary: bool = False
    """Whether it is the record of a call: sent at once, and given up last."""


@dataclass(frozen=True, slots=True)
class BatchDelivered:
    """The destination has acknowledged batch *number*."""

    number: int


@dataclass(frozen=True, slots=True)
class BatchFailed:
    """Batch *number* was not acknowledged; whether it arrived is not known."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Closing:
    """This process is about to end: whatever waits is sent now."""


OutboxEvent = Published | BatchDelivered | BatchFailed | Closing


@dataclass(frozen=True, slots=True)
class SendBatch:
    """Send these events; the same number always means the same events."""

    number: int
    events: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class FailingChanged:
    """The destination began or ceased to fail."""

    failing: bool
    reason: str


OutboxAction = SendBatch | FailingChanged


@dataclass(frozen=True, slots=True)
class _Entry:
    number: int
    data: bytes
    is_summary: bool
    at: float


class Outbox:
    """Keeps events until their destination has acknowledged them: at least once.

    Both what waits and what is under way is bounded; when it is too much the oldest
    event goes that is not under way, and of the summaries only when all else is gone.
    """

    def __init__(self, config: OutboxConfig, *, rng: "Random") -> None:
        self.state = OutboxState.GATHERING
        self.published = 0
        """Events taken note of; each is delivered, dropped or kept."""
        self.delivered = 0
        self.dropped = 0
        """Events given up: too large, or too many."""
        self.failed_batches = 0
        """Tries that failed."""
        self.kept_bytes = 0
        self._config = config
        self._rng = rng
        self._events: deque[_Entry] = deque()
        self._summaries: deque[_Entry] = deque()
        self._batch: tuple[_Entry, ...] = ()
        """Under way, or tried and failed."""
        self._batch_number = 0
        self._failures = 0
        self._retry_at = 0.0
        self._closing = False

    def __len__(self) -> int:
        """Count the events that are kept."""
        return len(self._events) + len(self._summaries) + len(self._batch)

    @property
    def failing(self) -> bool:
        """Whether the last try failed."""
        return self._failures > 0

    def handle(self, event: OutboxEvent, *, now: float) -> tuple[OutboxAction, ...]:
        """Take note of *event* and return what must be done."""
        changes: tuple[OutboxAction, ...] = ()
        match event:
            case Published():
                self._keep(event, now=now)
            case BatchDelivered(number) if self._is_under_way(number):
                changes = self._delivered()
            case BatchFailed(number, reason) if self._is_under_way(number):
                changes = self._failed(reason, now=now)
            case Closing():
                self._closing = True
                self._retry_at = now
            case _:
                pass
        return (*changes, *self.expire(now=now))

    def next_deadline(self) -> float | None:
        """Return when the next batch is due, None while there is nothing to send."""
        if self.state is OutboxState.SENDING or not len(self):
            return None
        if self.state is OutboxState.BACKING_OFF:
            return self._retry_at
        wait_s = 0.0 if self._in_a_hurry() else self._config.interval_s
        return self._oldest()[0].at + wait_s

    def expire(self, *, now: float) -> tuple[OutboxAction, ...]:
        """Return the batch that is due at *now*."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return ()
        self._move(OutboxMove.DUE)
        if not self._batch:
            self._batch = self._take_batch()
            self._batch_number += 1
        data = tuple(entry.data for entry in self._batch)
        return (SendBatch(self._batch_number, data),)

    def _is_under_way(self, number: int) -> bool:
        return self.state is OutboxState.SENDING and number == self._batch_number

    def _in_a_hurry(self) -> bool:
        return (
            self._closing
            or bool(self._summaries)
            or len(self._events) >= self._config.max_batch_events
            or self.kept_bytes >= self._config.max_batch_bytes
        )

    def _keep(self, event: Published, *, now: float) -> None:
        self.published += 1
        if len(event.data) > self._config.max_batch_bytes:
            self.dropped += 1
            return
        queue = self._summaries if event.is_summary else self._events
        queue.append(_Entry(self.published, event.data, event.is_summary, now))
        self.kept_bytes += len(event.data)
        config = self._config
        while len(self) > config.max_events or self.kept_bytes > config.max_bytes:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        if self._batch and self.state is not OutboxState.SENDING:
            self._dissolve_batch()
        entry = (self._events or self._summaries).popleft()
        self.kept_bytes -= len(entry.data)
        self.dropped += 1

    def _dissolve_batch(self) -> None:
        """Put a failed batch back; the next one is another, with another number."""
        for entry in reversed(self._batch):
            queue = self._summaries if entry.is_summary else self._events
            queue.appendleft(entry)
        self._batch = ()

    def _oldest(self) -> deque[_Entry]:
        """Return the queue that holds the oldest event; one of them must."""
        if not (self._events and self._summaries):
            return self._events or self._summaries
        return min(self._events, self._summaries, key=lambda queue: queue[0].number)

    def _take_batch(self) -> tuple[_Entry, ...]:
        taken: list[_Entry] = []
        room = self._config.max_batch_bytes
        while len(taken) < self._config.max_batch_events and (queue := self._oldest()):
            room -= len(queue[0].data)
            if room < 0:
                break
            taken.append(queue.popleft())
        return tuple(taken)

    def _delivered(self) -> tuple[OutboxAction, ...]:
        self._move(OutboxMove.DELIVERED)
        self.delivered += len(self._batch)
        self.kept_bytes -= sum(len(entry.data) for entry in self._batch)
        self._batch = ()
        recovered, self._failures = self.failing, 0
        return (FailingChanged(failing=False, reason=""),) if recovered else ()

    def _failed(self, reason: str, *, now: float) -> tuple[OutboxAction, ...]:
        self._move(OutboxMove.FAILED)
        self.failed_batches += 1
        self._failures += 1
        # A process that ends has no time for long waits.
        counted = 1 if self._closing else self._failures
        self._retry_at = now + self._config.backoff.wait_s(counted, rng=self._rng)
        first = self._failures == 1
        return (FailingChanged(failing=True, reason=reason),) if first else ()

    def _move(self, move: OutboxMove) -> None:
        self.state = TRANSITIONS[self.state, move]
