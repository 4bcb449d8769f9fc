"""What a caller said lately, for an agent that has to take over."""

from typing import Final

__all__ = ["MAX_RING_BYTES", "AudioRing"]

MAX_RING_BYTES: Final = 112 * 1024
"""Fourteen seconds of mu-law; longer turns lose their beginning. A byte array takes up
to an eighth more memory than it holds, so this is 128 KB at most."""
_FRAME_BYTES: Final = 1600
"""200 ms: ten times as many messages would be no faster."""


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
        self._audio = bytearray()

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return len(self._audio)

    def resume(self, position: int) -> None:
        """Begin at *position*: another edge had what came before."""
        self.end = position

    def append(self, audio: bytes) -> None:
        """Keep one frame."""
        kept = self._audio
        kept += audio
        self.end += len(audio)
        if len(kept) > self._max_bytes:
            excess = len(kept) - self._max_bytes
            del kept[:excess]
            self.dropped += excess

    def release(self, position: int) -> None:
        """Forget what comes before *position*: an agent's checkpoint covers it."""
        covered = position - (self.end - len(self._audio))
        if covered > 0:
            del self._audio[:covered]

    def after(self, position: int) -> tuple[int, tuple[bytes, ...]]:
        """Return what is kept from *position* on.

        Returns:
            The position at which the first frame begins, beyond *position* when audio
            gave way, and the audio in frames.
        """
        start = min(max(position, self.end - len(self._audio)), self.end)
        audio = bytes(self._audio[len(self._audio) - (self.end - start) :])
        size = _FRAME_BYTES
        frames = (audio[at : at + size] for at in range(0, len(audio), size))
        return start, tuple(frames)
