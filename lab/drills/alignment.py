"""Where in a caller's audio that lies which a session heard."""

from dataclasses import dataclass
from typing import Final

__all__ = ["FRAME_BYTES", "Alignment", "align", "uncovered"]

FRAME_BYTES: Final = 160
"""20 ms of mu-law: what is lost is lost by frames."""
_FAR_FRAMES: Final = 250
"""So many frames in one go may be missing (5 s)."""
_FAR_SILENT_FRAMES: Final = 25
"""Silence is the same everywhere: what is farther away proves nothing."""
_ANCHOR_FRAMES: Final = 5
_SILENCE: Final = b"\xff" * FRAME_BYTES


@dataclass(frozen=True, slots=True)
class Alignment:
    """What of the caller's audio a session heard.

    Attributes:
        spans: From where to where, in bytes, in order.
        strange_frames: How many frames it heard that do not come next anywhere.
    """

    spans: tuple[tuple[int, int], ...]
    strange_frames: int = 0

    @property
    def end(self) -> int:
        """Where the last of it ends; 0: it heard nothing."""
        return self.spans[-1][1] if self.spans else 0


def align(sent: bytes, heard: bytes, *, near: int = 0) -> Alignment:
    """Find what was *heard* in what was *sent*, in order, with holes.

    Args:
        sent: The caller's audio, in frames of 20 ms.
        heard: A session's; part of it.
        near: About where it begins (bytes), for silence is the same everywhere.
    """
    if not heard:
        return Alignment(())
    whole = _nearest(sent, heard, near)
    if whole is not None:
        return Alignment(((whole, whole + len(heard)),))
    theirs, ours = _frames(heard), _frames(sent)
    anchor = _anchor(ours, theirs, near // FRAME_BYTES)
    if anchor is None:
        return Alignment((), len(theirs))
    return _followed(ours, theirs, *anchor)


def _followed(ours: list[bytes], theirs: list[bytes], at: int, begin: int) -> Alignment:
    """Follow *theirs*, the frame *at* of which is known to be *begin* of *ours*."""
    places: list[int] = []
    place = begin
    # What came before the first sound is silence: it lies right before it.
    for index in range(at):
        earlier = begin - at + index
        if earlier >= 0:
            places.append(earlier)
    strange = at - len(places)
    for frame in theirs[at:]:
        found = _next(ours, frame, place)
        if found is not None:
            places.append(found)
            place = found + 1
        elif frame != _SILENCE:
            strange += 1
    return Alignment(_spans(places), strange)


def uncovered(spans: list[tuple[int, int]], *, until: int) -> int:
    """Return how many bytes from the beginning to *until* are in none of *spans*."""
    missing, covered = 0, 0
    for start, end in sorted(spans):
        if start > covered:
            missing += min(start, until) - covered
        covered = max(covered, end)
        if covered >= until:
            return missing
    return missing + until - covered


def _nearest(sent: bytes, heard: bytes, near: int) -> int | None:
    """Return where *heard* is found whole, as near as can be."""
    after = sent.find(heard, max(near, 0))
    before = sent.rfind(heard, 0, max(near, 0) + len(heard))
    found = [at for at in (before, after) if at >= 0]
    return min(found, key=lambda at: abs(at - near)) if found else None


def _frames(audio: bytes) -> list[bytes]:
    whole = len(audio) - len(audio) % FRAME_BYTES
    return [audio[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)]


def _anchor(
    ours: list[bytes], theirs: list[bytes], near: int
) -> tuple[int, int] | None:
    """Return which frame of *theirs* is the first that is known, and its place."""
    for at, frame in enumerate(theirs):
        if frame == _SILENCE:
            continue
        few = theirs[at : at + _ANCHOR_FRAMES]
        places = [n for n, one in enumerate(ours) if one == frame]
        exact = [n for n in places if ours[n : n + len(few)] == few] or places
        if exact:
            return at, min(exact, key=lambda n: abs(n - at - near))
    return None


def _next(ours: list[bytes], frame: bytes, place: int) -> int | None:
    far = _FAR_SILENT_FRAMES if frame == _SILENCE else _FAR_FRAMES
    for at in range(place, min(place + far, len(ours))):
        if ours[at] == frame:
            return at
    return None


def _spans(places: list[int]) -> tuple[tuple[int, int], ...]:
    spans: list[tuple[int, int]] = []
    for place in places:
        start, end = place * FRAME_BYTES, (place + 1) * FRAME_BYTES
        if spans and spans[-1][1] == start:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return tuple(spans)
