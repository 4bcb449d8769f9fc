"""Whatever happens to it, an outbox keeps order, bounds and count."""

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from region_agent.core.outbox import (
    TRANSITIONS,
    BatchDelivered,
    BatchFailed,
    Closing,
    Outbox,
    OutboxAction,
    OutboxConfig,
    OutboxEvent,
    OutboxMove,
    OutboxState,
    Published,
    SendBatch,
)

CONFIG = OutboxConfig(
    max_batch_events=4, max_batch_bytes=40, max_events=10, max_bytes=80
)

steps = st.lists(
    st.tuples(
        st.floats(min_value=0.0, max_value=2.0),
        st.sampled_from(["event", "event", "event", "summary", "ok", "failed", "time"]),
        st.integers(min_value=0, max_value=38),
    ),
    max_size=80,
)


class Destination:
    """What a sink sees, and what has become of the events."""

    def __init__(self) -> None:
        self.batches: dict[int, tuple[bytes, ...]] = {}
        self.acknowledged: list[bytes] = []
        self.under_way: SendBatch | None = None
        self.published = 0

    def event(self, step: str, size: int) -> OutboxEvent | None:
        batch = self.under_way
        if step in {"event", "summary"}:
            self.published += 1
            data = b"%03d" % self.published + b"." * size
            return Published(data, is_summary=step == "summary")
        if batch is None or step == "time":
            return None
        self.under_way = None
        if step == "failed":
            return BatchFailed(batch.number, "HTTP 500")
        self.acknowledged += batch.events
        return BatchDelivered(batch.number)

    def take(self, actions: tuple[OutboxAction, ...]) -> None:
        for action in actions:
            if not isinstance(action, SendBatch):
                continue
            assert self.under_way is None
            assert 0 < len(action.events) <= CONFIG.max_batch_events
            assert sum(map(len, action.events)) <= CONFIG.max_batch_bytes
            # One number, one content: a destination may forget what it has seen.
            assert self.batches.setdefault(action.number, action.events) == (
                action.events
            )
            self.under_way = action


def check(box: Outbox, seen: Destination, now: float) -> None:
    assert len(box) <= CONFIG.max_events
    assert 0 <= box.kept_bytes <= CONFIG.max_bytes
    assert box.published == box.delivered + box.dropped + len(box)
    assert box.delivered == len(seen.acknowledged)
    numbers = [data[:3] for data in seen.acknowledged]
    assert numbers == sorted(set(numbers))
    deadline = box.next_deadline()
    assert (deadline is None) == (seen.under_way is not None or len(box) == 0)
    assert deadline is None or deadline > now


@given(steps, st.integers())
def test_order_bounds_and_count_hold_for_any_history(
    history: list[tuple[float, str, int]], seed: int
) -> None:
    box, seen, now = Outbox(CONFIG, rng=random.Random(seed)), Destination(), 0.0
    for wait_s, step, size in history:
        now += wait_s
        event = seen.event(step, size)
        actions = box.expire(now=now) if event is None else box.handle(event, now=now)
        seen.take(actions)
        if event is not None:
            seen.take(box.expire(now=now))
        check(box, seen, now)
    seen.take(box.handle(Closing(), now=now))
    while (batch := seen.under_way) is not None:
        answer = seen.event("ok", 0)
        assert answer == BatchDelivered(batch.number)
        seen.take(box.handle(BatchDelivered(batch.number), now=now))
    assert box.delivered + box.dropped == box.published


def test_every_state_knows_every_move() -> None:
    assert set(TRANSITIONS) == set(itertools.product(OutboxState, OutboxMove))
