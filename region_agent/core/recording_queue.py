"""What waits to be written to a recording: bounded, and never out of step."""

__all__ = ["RecordingQueue"]


class RecordingQueue:
    """Audio and silence of one recording, in order.

    Audio that finds it full is lost, but its time is not: silence takes its place.

    Args:
        max_bytes: Audio that may wait; silence takes no room.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self.lost_bytes = 0
        """Audio lost so far."""
        self._max_bytes = max_bytes
        self._waiting_bytes = 0
        self._pieces: list[bytearray | int] = []

    def add(self, audio: bytes) -> None:
        """Queue *audio*."""
        if not audio:
            return
        if self._waiting_bytes + len(audio) > self._max_bytes:
            self.lost_bytes += len(audio)
            self.add_silence(len(audio))
            return
        self._waiting_bytes += len(audio)
        match self._pieces:
            case [*_, bytearray() as last]:
                last += audio
            case _:
                self._pieces.append(bytearray(audio))

    def add_silence(self, size: int) -> None:
        """Queue silence as long as *size* bytes of audio."""
        if not size:
            return
        match self._pieces:
            case [*_, int() as last]:
                self._pieces[-1] = last + size
            case _:
                self._pieces.append(size)

    def take(self) -> list[bytearray | int]:
        """Return all that waits, silence as its size, and forget it."""
        pieces, self._pieces = self._pieces, []
        self._waiting_bytes = 0
        return pieces
