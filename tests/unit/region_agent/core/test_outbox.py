"""The outbox, played with literal times."""

import random

import pytest

from backhaul.core.backoff import Backoff
from region_agent.core.outbox import (
    BatchDelivered,
    BatchFailed,
    Closing,
    FailingChanged,
    Outbox,
    OutboxAction,
    OutboxConfig,
    OutboxEvent,
    OutboxState,
    Published,
    SendBatch,
)

CONFIG = OutboxConfig(
    max_batch_events=3,
    max_batch_bytes=8,
    max_events=5,
    max_bytes=20,
    backoff=Backoff(first_s=1.0, factor=2.0, max_s=4.0),
)
A, B, C, D, E, F = (
    Published(letter) for letter in (b"a", b"b", b"c", b"d", b"e", b"f")
)
SUMMARY = Published(b"s", is_summary=True)

Script = list[tuple[float, OutboxEvent | None, list[OutboxAction]]]


class LongestWait(random.Random):
    """Backs off for the whole bound."""

    def random(self) -> float:
        return 1.0


def outbox() -> Outbox:
    return Outbox(CONFIG, rng=LongestWait())


def play(box: Outbox, script: Script) -> None:
    for now, event, wanted in script:
        got = box.expire(now=now) if event is None else box.handle(event, now=now)
        assert list(got) == wanted, now


def sent(number: int, *events: bytes) -> list[OutboxAction]:
    return [SendBatch(number, events)]


def failing(reason: str = "HTTP 500") -> OutboxAction:
    return FailingChanged(failing=True, reason=reason)


RECOVERED = FailingChanged(failing=False, reason="")


def counts(box: Outbox) -> tuple[int, int, int, int]:
    return box.published, box.delivered, box.dropped, len(box)


def test_events_share_a_batch_every_250_ms() -> None:
    box = outbox()
    assert box.next_deadline() is None
    play(box, [(0.0, A, []), (0.1, B, []), (0.2, None, [])])
    assert box.next_deadline() == 0.25
    play(
        box,
        [
            (0.25, None, sent(1, b"a", b"b")),
            (0.3, C, []),
            (0.9, None, []),
            (1.0, BatchDelivered(1), sent(2, b"c")),
            (1.1, BatchDelivered(2), []),
        ],
    )
    assert box.next_deadline() is None
    assert counts(box) == (3, 3, 0, 0)
    assert box.kept_bytes == 0


def test_a_full_batch_leaves_at_once_and_the_rest_waits() -> None:
    play(
        outbox(),
        [
            (0.0, A, []),
            (0.0, B, []),
            (0.0, C, sent(1, b"a", b"b", b"c")),
            (0.1, D, []),
            (0.2, BatchDelivered(1), []),
            (0.35, None, sent(2, b"d")),
        ],
    )


def test_a_batch_is_full_by_bytes_too() -> None:
    four = Published(b"4444")
    play(
        outbox(),
        [
            (0.0, four, []),
            (0.0, A, []),
            (0.0, four, sent(1, b"4444", b"a")),
            (0.1, BatchDelivered(1), []),
            (0.25, None, sent(2, b"4444")),
        ],
    )


def test_the_record_of_a_call_takes_with_it_what_waits() -> None:
    play(
        outbox(),
        [
            (0.0, A, []),
            (0.0, SUMMARY, sent(1, b"a", b"s")),
            (0.0, B, []),
            (0.0, SUMMARY, []),
            (0.05, BatchDelivered(1), sent(2, b"b", b"s")),
        ],
    )


def test_a_failed_batch_is_sent_again_after_growing_waits_and_nothing_overtakes() -> (
    None
):
    box = outbox()
    play(
        box,
        [
            (0.0, A, []),
            (0.0, SUMMARY, sent(1, b"a", b"s")),
            (0.1, BatchFailed(1, "HTTP 500"), [failing()]),
            (0.2, SUMMARY, []),
            (1.0, None, []),
            (1.1, None, sent(1, b"a", b"s")),
            (1.2, BatchFailed(1, "HTTP 500"), []),
            (3.1, None, []),
            (3.2, None, sent(1, b"a", b"s")),
        ],
    )
    assert box.failing
    assert box.failed_batches == 2
    play(
        box,
        [
            (3.3, BatchDelivered(1), [RECOVERED, *sent(2, b"s")]),
            (3.4, BatchFailed(2, "TimeoutError"), [failing("TimeoutError")]),
        ],
    )
    assert box.next_deadline() == 4.4


def test_late_and_foreign_answers_change_nothing() -> None:
    box = outbox()
    play(box, [(0.0, BatchDelivered(0), []), (0.0, SUMMARY, sent(1, b"s"))])
    play(box, [(0.1, BatchDelivered(7), []), (0.1, BatchFailed(0, "late"), [])])
    assert box.state is OutboxState.SENDING
    play(box, [(0.2, BatchDelivered(1), []), (0.3, BatchFailed(1, "late"), [])])
    assert counts(box) == (1, 1, 0, 0)
    assert not box.failing


def test_when_too_many_wait_the_oldest_go_and_summaries_stay() -> None:
    box = outbox()
    play(
        box,
        [
            (0.0, SUMMARY, sent(1, b"s")),
            (0.0, A, []),
            (0.0, B, []),
            (0.0, SUMMARY, []),
            (0.0, C, []),
            (0.0, D, []),
            (0.0, E, []),
        ],
    )
    assert counts(box) == (7, 0, 2, 5)
    play(box, [(0.1, BatchDelivered(1), sent(2, b"s", b"c", b"d"))])
    play(box, [(0.2, BatchDelivered(2), [])])
    assert counts(box) == (7, 4, 2, 1)


def test_a_failed_batch_gives_up_its_oldest_and_is_another_batch_then() -> None:
    box = outbox()
    play(
        box,
        [
            (0.0, A, []),
            (0.0, B, []),
            (0.0, SUMMARY, sent(1, b"a", b"b", b"s")),
            (0.1, BatchFailed(1, "HTTP 500"), [failing()]),
            (0.1, C, []),
            (0.1, D, []),
            (0.1, E, []),
        ],
    )
    assert counts(box) == (6, 0, 1, 5)
    play(box, [(1.1, None, sent(2, b"b", b"s", b"c"))])
    assert box.kept_bytes == 5


def test_of_summaries_alone_the_oldest_go() -> None:
    box = outbox()
    play(box, [(0.0, SUMMARY, sent(1, b"s"))])
    for number in range(10):
        play(box, [(0.1, Published(b"%d" % number, is_summary=True), [])])
    assert counts(box) == (11, 0, 6, 5)
    play(box, [(0.2, BatchDelivered(1), sent(2, b"6", b"7", b"8"))])


def test_bytes_are_bounded_like_events() -> None:
    box = outbox()
    play(box, [(0.0, SUMMARY, sent(1, b"s"))])
    for _ in range(4):
        play(box, [(0.1, Published(b"12345678"), [])])
    assert box.kept_bytes == 17
    assert counts(box) == (5, 0, 2, 3)


def test_an_event_larger_than_a_batch_is_given_up() -> None:
    box = outbox()
    play(box, [(0.0, Published(b"123456789", is_summary=True), [])])
    assert counts(box) == (1, 0, 1, 0)
    assert box.next_deadline() is None


def test_closing_sends_what_waits_and_does_not_wait_long() -> None:
    box = outbox()
    play(box, [(0.0, A, []), (0.1, Closing(), sent(1, b"a")), (0.2, B, [])])
    for at in (0.3, 1.3, 2.3):
        box.handle(BatchFailed(1, "HTTP 500"), now=at)
        assert box.next_deadline() == at + 1.0
        play(box, [(at + 1.0, None, sent(1, b"a"))])
    play(box, [(3.4, BatchDelivered(1), [RECOVERED, *sent(2, b"b")])])


def test_closing_tries_a_failed_batch_at_once() -> None:
    play(
        outbox(),
        [
            (0.0, SUMMARY, sent(1, b"s")),
            (0.1, BatchFailed(1, "HTTP 500"), [failing()]),
            (0.2, Closing(), sent(1, b"s")),
        ],
    )


@pytest.mark.parametrize(
    "figures",
    [
        {"max_batch_events": 0},
        {"max_batch_events": 20_000},
        {"max_batch_bytes": 0},
        {"max_batch_bytes": 2**30},
    ],
)
def test_a_batch_larger_than_everything_is_refused(figures: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="max_batch"):
        OutboxConfig(**figures)  # type: ignore[arg-type]


def test_no_repr_shows_an_event() -> None:
    assert "secret" not in repr(Published(b"secret"))
    assert "secret" not in repr(SendBatch(1, (b"secret",)))
