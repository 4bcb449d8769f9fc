"""What arrives on a QUIC connection, as frames."""

from collections.abc import Callable, Sequence
from typing import Final

from backhaul.core.frames import Frame, FrameKind, FrameReader, decode_batch
from backhaul.errors import RemoteProtocolError
from backhaul.transports.quic_outgoing import MAX_STREAMS

__all__ = ["Incoming"]

_LOSSY: Final = (FrameKind.AUDIO, FrameKind.STAMP)


class Incoming:
    """Reads streams and datagrams, and hands frames up as they come."""

    def __init__(
        self, on_frames: Callable[[Sequence[Frame]], None], *, is_client: bool
    ) -> None:
        self._on_frames = on_frames
        self._is_client = is_client
        self._readers: dict[int, FrameReader] = {}

    def on_stream(self, stream: int, data: bytes) -> None:
        """Take the next bytes of a stream.

        Raises:
            RemoteProtocolError: If they are not frames.
        """
        reader = self._readers.get(stream)
        if reader is None:
            if len(self._readers) >= MAX_STREAMS:
                raise RemoteProtocolError("too many streams")
            reader = self._readers[stream] = FrameReader()
        self._hand_up(reader.read(data))

    def on_datagram(self, data: bytes) -> None:
        """Take a datagram of speech.

        Raises:
            RemoteProtocolError: If it is something else, or we are an edge: agents
                send no datagrams.
        """
        frames = decode_batch(data)
        if self._is_client or any(frame.kind not in _LOSSY for frame in frames):
            raise RemoteProtocolError("a datagram of something else than speech")
        self._hand_up(frames)

    def _hand_up(self, frames: list[Frame]) -> None:
        if frames:
            self._on_frames(frames)
