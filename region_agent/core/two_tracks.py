"""Brings caller and voice onto one time line: the two tracks of a recording."""

from collections import deque

from backhaul.core.g711 import MULAW_RATE_HZ

__all__ = ["MULAW_SILENCE", "TwoTracks"]

MULAW_SILENCE = b"\xff"
"""The mu-law code of zero."""

_MAX_PAUSE_S = 1.0
"""Frames come late by less than this on any line worth talking on; a pause longer than
that is a caller who was not streamed."""


class TwoTracks:
    """Interleaves what the caller says (left) and hears (right), as mu-law.

    The caller's frames are the clock: they come in real time, whereas the voice comes
    faster and waits here for its turn. Before every frame, ask `gap` what was missed.

    Args:
        now: When the recording begins (monotonic s).
    """

    def __init__(self, *, now: float) -> None:
        self._started = now
        self._last_frame = now
        self._samples = 0
        """Length of the recording so far."""
        self._queued = 0
        """Position (bytes) behind the last voice; nothing that is dropped counts back,
        as in `backhaul.core.messages.Cleared`."""
        self._voice: deque[tuple[int, memoryview]] = deque()
        """Positions and audio of the voice that is not recorded yet."""

    def voice(self, audio: bytes) -> None:
        """Queue what the caller is going to hear."""
        if audio:
            # Frames are cut off its front; a view makes that no copy of the rest.
            self._voice.append((self._queued, memoryview(audio)))
            self._queued += len(audio)

    def cleared(self, *, position: int, heard: int) -> None:
        """Forget the voice from *heard* up to *position*: it was dropped unheard.

        What is recorded already stays recorded.
        """
        voice, self._voice = self._voice, deque()
        for start, audio in voice:
            before = audio[: max(min(heard, position) - start, 0)]
            resumes = max(position, start)
            behind = audio[resumes - start :]
            if before:
                self._voice.append((start, before))
            if behind:
                self._voice.append((resumes, behind))

    def caller(self, audio: bytes) -> bytes:
        """Return both tracks for as long as the caller's frame *audio* lasts."""
        self._samples += len(audio)
        return _interleaved(audio, self._take(len(audio)))

    def gap(self, *, now: float) -> tuple[bytes, int]:
        """Return what a caller who was not streamed left out, up to *now*.

        Returns:
            Both tracks for as long as voice was left, the caller silent; then how many
            samples both are silent. Nothing, unless the pause was over a second.
        """
        paused_s = now - self._last_frame
        self._last_frame = now
        if paused_s <= _MAX_PAUSE_S:
            return b"", 0
        missed = round((now - self._started) * MULAW_RATE_HZ) - self._samples
        if missed <= 0:
            return b"", 0
        self._samples += missed
        voice = self._take(min(missed, sum(len(audio) for _, audio in self._voice)))
        silence = MULAW_SILENCE * len(voice)
        return _interleaved(silence, voice), missed - len(voice)

    def _take(self, size: int) -> bytes:
        """Take *size* bytes of voice off the queue; silence when it runs dry."""
        taken = bytearray()
        while self._voice and len(taken) < size:
            start, audio = self._voice.popleft()
            wanted = size - len(taken)
            taken += audio[:wanted]
            if len(audio) > wanted:
                self._voice.appendleft((start + wanted, audio[wanted:]))
        return bytes(taken.ljust(size, MULAW_SILENCE))


def _interleaved(left: bytes, right: bytes) -> bytes:
    both = bytearray(2 * len(left))
    both[0::2] = left
    both[1::2] = right
    return bytes(both)
