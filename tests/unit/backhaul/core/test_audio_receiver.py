"""Speech from datagrams: in order, once, and never late."""

import pytest

from backhaul.core.audio_receiver import MAX_WAITING, AudioReceiver
from backhaul.core.frames import SEQUENCE_MODULUS, Frame, FrameKind


def speech(sequence: int, channel: int = 1) -> Frame:
    return Frame(FrameKind.AUDIO, channel, sequence, bytes([sequence % 256]))


def heard(frames: list[Frame]) -> list[int]:
    return [frame.sequence for frame in frames]


def test_copies_fill_a_hole_before_anybody_waits() -> None:
    receiver = AudioReceiver()
    assert heard(receiver.receive([speech(0)], now=0.0)) == [0]
    late = receiver.receive([speech(1), speech(2), speech(3)], now=0.06)
    assert heard(late) == [1, 2, 3]
    assert heard(receiver.receive([speech(2), speech(3), speech(4)], now=0.08)) == [4]
    assert receiver.frames_doubled == 2
    assert receiver.next_deadline() is None


def test_a_frame_waits_40_ms_for_those_before_it() -> None:
    receiver = AudioReceiver()
    receiver.receive([speech(0)], now=0.0)
    assert receiver.receive([speech(3)], now=1.0) == []
    assert receiver.receive([speech(2), speech(3)], now=1.01) == []
    assert receiver.next_deadline() == pytest.approx(1.04)
    assert receiver.expire(now=1.03) == []
    # The one that waited longest takes along what stands before it.
    assert heard(receiver.expire(now=1.04)) == [2, 3]
    assert receiver.next_deadline() is None
    assert receiver.receive([speech(1)], now=1.05) == []
    assert receiver.frames_doubled == 2


def test_what_comes_out_of_order_is_put_in_order() -> None:
    receiver = AudioReceiver()
    assert receiver.receive([speech(1), speech(3)], now=0.0) == []
    assert heard(receiver.receive([speech(0)], now=0.01)) == [0, 1]
    assert receiver.next_deadline() == pytest.approx(0.04)
    assert heard(receiver.receive([speech(2)], now=0.02)) == [2, 3]
    assert receiver.next_deadline() is None


def test_calls_do_not_wait_for_each_other() -> None:
    receiver = AudioReceiver()
    out = receiver.receive([speech(1, 7), speech(0, 8), speech(2, 9)], now=0.0)
    assert [(frame.channel, frame.sequence) for frame in out] == [(8, 0)]
    receiver.receive([speech(5, 9)], now=0.03)
    assert [(frame.channel, frame.sequence) for frame in receiver.expire(now=0.04)] == [
        (7, 1),
        (9, 2),
    ]
    assert heard(receiver.expire(now=0.07)) == [5]


def test_only_so_many_frames_wait() -> None:
    receiver = AudioReceiver()
    waiting = [speech(number) for number in range(1, MAX_WAITING + 1)]
    assert receiver.receive(waiting, now=0.0) == []
    out = receiver.receive([speech(MAX_WAITING + 1)], now=0.0)
    assert heard(out) == list(range(1, MAX_WAITING + 2))


def test_numbers_wrap() -> None:
    receiver = AudioReceiver()
    last = SEQUENCE_MODULUS // 2 - 1
    receiver.receive([speech(last)], now=0.0)
    receiver.expire(now=1.0)
    receiver.receive([speech(2 * last)], now=1.0)
    receiver.expire(now=2.0)
    end = [speech(0), speech(SEQUENCE_MODULUS - 1), speech(1)]
    assert heard(receiver.receive(end, now=2.0)) == [SEQUENCE_MODULUS - 1, 0, 1]


def test_calls_that_ended_are_forgotten() -> None:
    receiver = AudioReceiver()
    receiver.receive([speech(0, 1)], now=50.0)
    receiver.receive([speech(0, 2)], now=60.0)
    assert heard(receiver.receive([speech(0, 2), speech(1, 2)], now=81.0)) == [1]
    # A forgotten call starts anew, and what it says then waits once.
    assert heard(receiver.receive([speech(0, 1)], now=81.0)) == [0]
