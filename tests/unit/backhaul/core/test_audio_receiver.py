"""Speech from datagrams: in order, once, and never late."""

from collections.abc import Iterable

import pytest

from backhaul.core.audio_receiver import MAX_WAITING, AudioReceiver, ChannelCounters
from backhaul.core.frames import SEQUENCE_MODULUS, Frame, FrameKind


class Listener:
    """A receiver, and the numbers it lets through."""

    def __init__(self) -> None:
        self.counters = ChannelCounters()
        self.receiver = AudioReceiver(self.counters)

    def hear(self, *numbers: int, now: float) -> list[int]:
        """Return what is heard when frames with these *numbers* arrive."""
        return [
            heard
            for number in numbers
            for heard in sequences(self.receiver.receive(speech(number), now=now))
        ]

    def expire(self, now: float) -> list[int]:
        """Return what is heard when the time is *now*."""
        return sequences(self.receiver.expire(now=now))


def speech(number: int) -> Frame:
    return Frame(FrameKind.AUDIO, 1, number, b"speech")


def sequences(frames: Iterable[Frame]) -> list[int]:
    return [frame.sequence for frame in frames]


@pytest.fixture
def listener() -> Listener:
    return Listener()


def test_copies_fill_a_hole_before_anybody_waits(listener: Listener) -> None:
    assert listener.hear(0, now=0.0) == [0]
    assert listener.hear(1, 2, 3, now=0.06) == [1, 2, 3]
    assert listener.hear(2, 3, 4, now=0.08) == [4]
    assert listener.counters == ChannelCounters(frames_doubled=2)
    assert listener.receiver.next_deadline() is None


def test_a_frame_waits_40_ms_for_those_before_it(listener: Listener) -> None:
    listener.hear(0, now=0.0)
    assert listener.hear(3, now=1.0) == []
    assert listener.hear(2, 3, now=1.01) == []
    assert listener.receiver.next_deadline() == pytest.approx(1.04)
    assert listener.expire(1.03) == []
    # The one that waited longest takes along what stands before it.
    assert listener.expire(1.04) == [2, 3]
    assert listener.receiver.next_deadline() is None
    assert listener.hear(1, now=1.05) == []
    assert listener.counters == ChannelCounters(frames_doubled=2, frames_missing=1)


def test_what_comes_out_of_order_is_put_in_order(listener: Listener) -> None:
    assert listener.hear(1, 3, now=0.0) == []
    assert listener.hear(0, now=0.01) == [0, 1]
    assert listener.receiver.next_deadline() == pytest.approx(0.04)
    assert listener.hear(2, now=0.02) == [2, 3]
    assert listener.receiver.next_deadline() is None
    assert listener.counters == ChannelCounters()


def test_what_has_not_waited_long_enough_waits_on(listener: Listener) -> None:
    listener.hear(1, now=0.0)
    listener.hear(5, now=0.03)
    assert listener.expire(0.04) == [1]
    assert listener.expire(0.07) == [5]
    assert listener.counters.frames_missing == 4
    assert listener.receiver.missing == 4


def test_what_waits_can_be_had_at_once(listener: Listener) -> None:
    listener.hear(4, 2, now=0.0)
    assert sequences(listener.receiver.flush()) == [2, 4]
    assert sequences(listener.receiver.flush()) == []


def test_only_so_many_frames_wait(listener: Listener) -> None:
    assert listener.hear(*range(1, MAX_WAITING + 1), now=0.0) == []
    heard = listener.hear(MAX_WAITING + 1, now=0.0)
    assert heard == list(range(1, MAX_WAITING + 2))


def test_numbers_wrap(listener: Listener) -> None:
    last = SEQUENCE_MODULUS // 2 - 1
    for number in (last, 2 * last):
        listener.hear(number, now=0.0)
        listener.expire(1.0)
    heard = listener.hear(0, SEQUENCE_MODULUS - 1, 1, now=2.0)
    assert heard == [SEQUENCE_MODULUS - 1, 0, 1]


def test_it_knows_what_is_missing_before_the_end(listener: Listener) -> None:
    listener.hear(0, 2, now=0.0)
    assert listener.receiver.has_all_before(0)
    assert listener.receiver.has_all_before(1)
    assert not listener.receiver.has_all_before(3)
    listener.hear(1, now=0.01)
    assert listener.receiver.has_all_before(3)


def test_a_frame_is_taken_at_once_only_if_nothing_waits(listener: Listener) -> None:
    receiver = listener.receiver
    assert receiver.take_next(speech(0))
    assert not receiver.take_next(speech(0))
    assert not receiver.take_next(speech(2))
    assert listener.hear(2, now=0.0) == []
    assert not receiver.take_next(speech(1))
    assert listener.hear(1, now=0.0) == [1, 2]
    assert receiver.take_next(speech(3))
