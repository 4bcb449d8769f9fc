"""What a caller said lately, for an agent that has to take over."""

from collections import deque
from typing import Final

__all__ = ["MAX_RING_BYTES", "AudioRing"]

MAX_RING_BYTES: Final = 128 * 1024
"""Sixteen seconds of mu-law; longer turns lose their beginning."""


class AudioRing:
    """The end of a caller's audio, by position.

    Positions count the bytes of mu-law that the caller has sent in the whole call,
    whichever stream brought them and whichever agent got them.
    """

    def __init__(self, max_bytes: int = MAX_RING_BYTES) -> None:
        self.end = 0
        """Position behind the last byte."""
        self.dropped = 0
        """Bytes that gave way to newer ones before anybody had covered them."""
        self._max_bytes = max_bytes
        self._pieces: deque[bytes] = deque()
        self._start = 0

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self.end - self._start

    def append(self, audio: bytes) -> None:
        """Keep one frame."""
        self._pieces.append(audio)
        self.end += len(audio)
        while self.size > self._max_bytes:
            oldest = self._pieces.popleft()
            self._start += len(oldest)
            self.dropped += len(oldest)

    def release(self, position: int) -> None:
        """Forget what ends at or before *position*: an agent's checkpoint covers it."""
        pieces = self._pieces
        while pieces and self._start + len(pieces[0]) <= position:
            self._start += len(pieces.popleft())

    def after(self, position: int) -> tuple[int, tuple[bytes, ...]]:
        """Return what is kept from *position* on.

        Returns:
            The position at which the first frame begins, beyond *position* when frames
            gave way, and the frames. A frame that *position* divides is cut.
        """
        start, frames = self._start, list(self._pieces)
        while frames and start + len(frames[0]) <= position:
            start += len(frames.pop(0))
        if frames and start < position:
            frames[0] = frames[0][position - start :]
            start = position
        return start, tuple(frames)
