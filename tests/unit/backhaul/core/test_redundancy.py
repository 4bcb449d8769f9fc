"""How often speech is repeated, and how it is packed."""

from backhaul.core.frames import Frame, FrameKind, decode_batch
from backhaul.core.redundancy import (
    MAX_DATAGRAM_BYTES,
    AudioPacker,
    RedundancyDepth,
    fits_datagram,
)


def speech(channel: int, sequence: int, size: int = 160) -> Frame:
    return Frame(FrameKind.AUDIO, channel, sequence, bytes([sequence % 256]) * size)


def packer(*, rate: float = 1e6, burst: float = 1e6) -> AudioPacker:
    return AudioPacker(rate_bytes_per_s=rate, burst_bytes=burst, now=0.0)


def numbers(datagrams: list[bytearray]) -> list[list[tuple[int, int]]]:
    return [
        [(frame.channel, frame.sequence) for frame in decode_batch(bytes(datagram))]
        for datagram in datagrams
    ]


def test_a_frame_is_repeated_before_the_next_ones_of_its_call() -> None:
    packs = packer()
    sent = [packs.pack([speech(1, n)], depth=2, now=n * 0.02) for n in range(4)]
    assert [numbers(datagrams) for datagrams in sent] == [
        [[(1, 0)]],
        [[(1, 0), (1, 1)]],
        [[(1, 0), (1, 1), (1, 2)]],
        [[(1, 1), (1, 2), (1, 3)]],
    ]
    assert packs.frames_repeated == 5


def test_where_much_is_lost_a_first_copy_leaves_with_what_other_calls_send() -> None:
    packs = packer()
    turns = [(0.0, 1), (0.001, 2), (0.003, 3), (0.020, 1), (0.040, 1)]
    sent = [packs.pack([speech(call, 0)], depth=2, now=at) for at, call in turns]
    assert [numbers(datagrams) for datagrams in sent] == [
        [[(1, 0)]],
        [[(2, 0)]],  # too soon: the same burst might take both
        [[(3, 0), (1, 0), (2, 0)]],
        [[(1, 0), (1, 0), (3, 0)]],
        [[(1, 0), (1, 0)]],
    ]
    late = packer()
    late.pack([speech(1, 0)], depth=2, now=0.0)
    assert numbers(late.pack([speech(2, 0)], depth=2, now=1.0)) == [[(2, 0)]]
    once = packer()
    once.pack([speech(1, 0)], depth=1, now=0.0)
    assert numbers(once.pack([speech(2, 0)], depth=1, now=0.003)) == [[(2, 0)]]


def test_without_depth_nothing_is_repeated() -> None:
    packs = packer()
    packs.pack([speech(1, 0)], depth=0, now=0.0)
    assert numbers(packs.pack([speech(1, 1)], depth=0, now=0.02)) == [[(1, 1)]]
    packs.pack([speech(1, 2)], depth=1, now=0.04)
    owed = packs.pack([speech(1, 3)], depth=0, now=0.06)
    assert numbers(owed) == [[(1, 2), (1, 3)]]
    assert numbers(packs.pack([speech(1, 4)], depth=0, now=0.08)) == [[(1, 4)]]


def test_two_frames_of_one_turn_are_both_repeated_in_the_next() -> None:
    packs = packer()
    packs.pack([speech(1, 0), speech(1, 1)], depth=1, now=0.0)
    assert numbers(packs.pack([speech(1, 2)], depth=1, now=0.02)) == [
        [(1, 0), (1, 1), (1, 2)]
    ]


def test_many_calls_share_datagrams_that_every_path_carries() -> None:
    packs = packer()
    packs.pack([speech(call, 0) for call in range(10)], depth=1, now=0.0)
    datagrams = packs.pack([speech(call, 1) for call in range(10)], depth=1, now=0.02)
    assert all(len(datagram) <= MAX_DATAGRAM_BYTES for datagram in datagrams)
    assert len(datagrams) == 4  # three calls of two frames each fit in one
    together = [number for datagram in numbers(datagrams) for number in datagram]
    assert together == [(call, n) for call in range(10) for n in (0, 1)]


def test_a_call_that_needs_more_than_a_datagram_gets_several() -> None:
    packs = packer()
    packs.pack([speech(1, 0, 900)], depth=1, now=0.0)
    datagrams = packs.pack([speech(1, 1, 900)], depth=1, now=0.1)
    assert numbers(datagrams) == [[(1, 0)], [(1, 1)]]
    assert fits_datagram(900)
    assert not fits_datagram(MAX_DATAGRAM_BYTES)


def test_beyond_the_rate_repeats_are_left_out_first_and_frames_then() -> None:
    packs = packer(rate=1000.0, burst=400.0)
    packs.pack([speech(1, 0)], depth=1, now=0.0)
    assert numbers(packs.pack([speech(1, 1)], depth=1, now=0.0)) == [[(1, 1)]]
    assert packs.pack([speech(1, 2)], depth=1, now=0.0) == []
    assert packs.frames_dropped == 1
    assert numbers(packs.pack([speech(1, 3)], depth=1, now=10.0)) == [[(1, 3)]]


def test_beyond_the_rate_early_copies_and_frames_without_copies_are_left_out() -> None:
    packs = packer(rate=1.0, burst=400.0)
    packs.pack([speech(1, 0)], depth=2, now=0.0)
    assert numbers(packs.pack([speech(2, 0)], depth=2, now=0.003)) == [[(2, 0)]]
    assert packs.frames_repeated == 0
    plain = packer(rate=1.0, burst=400.0)
    frames = [speech(call, 0) for call in range(3)]
    assert numbers(plain.pack(frames, depth=0, now=0.0)) == [[(0, 0), (1, 0)]]
    assert plain.frames_dropped == 1


def test_calls_that_ended_are_forgotten() -> None:
    packs = packer()
    packs.pack([speech(1, 0)], depth=1, now=0.0)
    packs.pack([speech(2, 0)], depth=1, now=20.0)
    packs.pack([], depth=1, now=31.0)
    assert numbers(packs.pack([speech(1, 1)], depth=1, now=31.0)) == [[(1, 1)]]
    assert numbers(packs.pack([speech(2, 1)], depth=1, now=31.0)) == [[(2, 0), (2, 1)]]


def seconds(depth: RedundancyDepth, count: int, *, lost: int, start: float) -> float:
    now = start
    for _ in range(count):
        now += 1.0
        depth.measured(arrived=1000 - lost, lost=lost, now=now)
    return now


def test_the_depth_rises_at_once_and_falls_slowly() -> None:
    depth = RedundancyDepth(now=0.0)
    assert depth.depth == 1
    now = seconds(depth, 1, lost=30, start=0.0)
    assert depth.depth == 2
    assert depth.loss == 0.03
    now = seconds(depth, 9, lost=5, start=now)
    assert depth.depth == 2  # 0.75 % is still too much to go back to one
    now = seconds(depth, 10, lost=3, start=now)
    assert depth.depth == 1
    now = seconds(depth, 10, lost=0, start=now)
    assert depth.depth == 0
    now = seconds(depth, 11, lost=0, start=now)
    assert depth.depth == 0
    seconds(depth, 1, lost=5, start=now)
    assert depth.depth == 1


def test_many_packets_without_a_loss_say_enough() -> None:
    depth = RedundancyDepth(now=0.0)
    seconds(depth, 2, lost=0, start=0.0)
    assert depth.depth == 1
    seconds(depth, 1, lost=0, start=2.0)
    assert depth.depth == 0


def test_one_lost_packet_of_few_says_nothing() -> None:
    depth = RedundancyDepth(now=0.0)
    depth.measured(arrived=1000, lost=0, now=1.0)
    depth.measured(arrived=9, lost=1, now=1.5)
    depth.measured(arrived=0, lost=0, now=2.0)
    assert depth.depth == 1
