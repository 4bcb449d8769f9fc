"""The end of a caller's audio, by position."""

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
    assert ring.after(0) == (0, (b"abc", b"def", b"ghi"))
    assert ring.after(3) == (3, (b"def", b"ghi"))
    assert ring.after(4) == (4, (b"ef", b"ghi"))
    assert ring.after(9) == (9, ())
    assert ring.after(100) == (9, ())


def test_what_is_covered_is_forgotten_frame_by_frame() -> None:
    ring = ring_of(b"abc", b"def", b"ghi")
    ring.release(5)
    assert ring.size == 6
    assert ring.after(0) == (3, (b"def", b"ghi"))
    ring.release(100)
    assert ring.size == ring.dropped == 0
    ring.append(b"jk")
    assert ring.after(9) == (9, (b"jk",))
    assert ring.end == 11


def test_the_oldest_gives_way_and_is_counted() -> None:
    ring = ring_of(b"abc", b"def", b"ghi", max_bytes=7)
    assert ring.after(0) == (3, (b"def", b"ghi"))
    assert ring.dropped == 3


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
