"""The end of a caller's audio, by position."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from edge.core.audio_ring import MAX_RING_BYTES, AudioRing


def ring_of(*frames: bytes, max_bytes: int = MAX_RING_BYTES) -> AudioRing:
    ring = AudioRing(max_bytes)
    for frame in frames:
        ring.append(frame)
    return ring


def test_what_was_said_is_found_by_position() -> None:
    ring = ring_of(b"abc", b"def", b"ghi")
    assert ring.after(0) == (0, (b"abcdefghi",))
    assert ring.after(4) == (4, (b"efghi",))
    assert ring.after(9) == (9, ())
    assert ring.after(100) == (9, ())


def test_it_comes_back_in_frames() -> None:
    ring = ring_of(*[bytes(160)] * 21)
    assert [len(frame) for frame in ring.after(0)[1]] == [1600, 1600, 160]


def test_what_is_covered_is_forgotten() -> None:
    ring = ring_of(b"abc", b"def", b"ghi")
    ring.release(5)
    assert ring.size == 4
    assert ring.after(0) == (5, (b"fghi",))
    ring.release(2)
    assert ring.size == 4
    ring.release(100)
    assert ring.size == ring.dropped == 0
    ring.append(b"jk")
    assert ring.after(9) == (9, (b"jk",))
    assert ring.end == 11


def test_the_oldest_gives_way_and_is_counted() -> None:
    ring = ring_of(b"abc", b"def", b"ghi", max_bytes=7)
    assert ring.after(0) == (2, (b"cdefghi",))
    assert ring.dropped == 2


def test_a_ring_takes_no_more_than_128_kb() -> None:
    ring = AudioRing()
    for _ in range(3 * MAX_RING_BYTES // 160):
        ring.append(bytes(160))
    assert sys.getsizeof(ring._audio) <= 128 * 1024


@given(
    frames=st.lists(st.binary(min_size=1, max_size=9), max_size=40),
    covered=st.integers(0, 400),
    wanted=st.integers(0, 400),
    most=st.integers(9, 100),
)
def test_whatever_is_kept_is_the_end_of_what_was_said(
    frames: list[bytes], covered: int, wanted: int, most: int
) -> None:
    said = b"".join(frames)
    ring = ring_of(*frames, max_bytes=most)
    ring.release(covered)
    assert ring.end == len(said)
    assert ring.size <= most
    start, kept = ring.after(wanted)
    assert b"".join(kept) == said[start:]
    assert start >= min(wanted, len(said))
    if not ring.dropped and covered <= wanted <= len(said):
        assert start == wanted


def test_a_ring_may_begin_where_another_edge_was_lost() -> None:
    ring = AudioRing()
    ring.resume(8000)
    assert ring.after(0) == (8000, ())
    ring.append(b"abc")
    assert ring.after(8001) == (8001, (b"bc",))
