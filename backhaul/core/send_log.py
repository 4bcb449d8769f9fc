"""What was sent on a channel and may have to be sent again on another link."""

from collections import deque
from typing import Final

from backhaul.core.frames import SEQUENCE_MODULUS, Frame, FrameKind

__all__ = ["MAX_LOG_BYTES", "SendLog"]

MAX_LOG_BYTES: Final = 1024 * 1024
"""Most that is remembered of one channel (bytes); 131 s of speech."""
_CONTROL: Final = FrameKind.CONTROL
_AUDIO: Final = FrameKind.AUDIO
_OVERHEAD_BYTES: Final = 64
"""What an entry costs besides its payload: empty ones are bounded too."""


class SendLog:
    """Numbers the frames of one direction of a channel, and keeps the unacknowledged.

    Attributes:
        forgotten: Frames that had to go unacknowledged, for want of room.
    """

    __slots__ = ("_acknowledged", "_bytes", "_channel", "_frames", "_next", "forgotten")

    def __init__(self, channel: int) -> None:
        self.forgotten = 0
        self._channel = channel
        self._next = dict.fromkeys(FrameKind, 0)
        self._acknowledged = dict.fromkeys(FrameKind, 0)
        self._frames: deque[Frame] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def next_audio(self) -> int:
        """Sequence number of the next audio frame."""
        return self._next[_AUDIO]

    def append(self, kind: FrameKind, payload: bytes) -> Frame:
        """Return the next frame, which is about to be sent; remember it."""
        sequence = self._next[kind]
        self._next[kind] = (sequence + 1) % SEQUENCE_MODULUS
        frame = Frame(kind, self._channel, sequence, payload)
        self._frames.append(frame)
        self._bytes += len(payload) + _OVERHEAD_BYTES
        if self._bytes > MAX_LOG_BYTES:
            self._make_room()
        return frame

    def acknowledge(self, *, control: int, audio: int) -> None:
        """Forget what has arrived: everything before these sequence numbers."""
        acknowledged = self._acknowledged
        if _before(acknowledged[_CONTROL], control):
            acknowledged[_CONTROL] = control
        if _before(acknowledged[_AUDIO], audio):
            acknowledged[_AUDIO] = audio
        frames = self._frames
        while frames:
            first = frames[0]
            ahead = (acknowledged[first.kind] - first.sequence) % SEQUENCE_MODULUS
            if not 0 < ahead <= SEQUENCE_MODULUS // 2:
                break
            frames.popleft()
            self._bytes -= len(first.payload) + _OVERHEAD_BYTES

    def unacknowledged(self) -> list[Frame]:
        """Return what may not have arrived, in the order in which it was sent."""
        acknowledged = self._acknowledged
        return [
            frame
            for frame in self._frames
            if not _before(frame.sequence, acknowledged[frame.kind])
        ]

    def _make_room(self) -> None:
        while self._bytes > MAX_LOG_BYTES:
            self.forgotten += 1
            self._bytes -= len(self._frames.popleft().payload) + _OVERHEAD_BYTES


def _before(one: int, other: int) -> bool:
    ahead = (other - one) % SEQUENCE_MODULUS
    return 0 < ahead <= SEQUENCE_MODULUS // 2
