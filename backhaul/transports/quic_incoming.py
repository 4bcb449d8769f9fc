"""What arrives on a QUIC connection, as frames."""

from collections.abc import Callable, Sequence
from typing import Final

from backhaul.core.frames import (
    LINK_CHANNEL,
    Frame,
    FrameKind,
    FrameReader,
    decode_batch,
)
from backhaul.errors import RemoteProtocolError
from backhaul.transports.quic_outgoing import MAX_STREAMS

__all__ = ["Incoming"]

_MAX_EARLY_FRAMES: Final = 1024
"""What may come before the handshake is complete; a few calls may begin."""


class Incoming:
    """Reads streams and datagrams, and hands frames up as they come.

    Until the handshake is complete only the peer's hello is handed up. Early data can
    be a recording that someone else plays again, and must not lease a session.
    """

    def __init__(
        self, on_frames: Callable[[Sequence[Frame]], None], *, is_client: bool
    ) -> None:
        self._on_frames = on_frames
        self._is_client = is_client
        self._readers: dict[int, FrameReader] = {}
        self._proven = False
        self._early: list[Frame] = []

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
        if self._is_client or any(f.kind is FrameKind.CONTROL for f in frames):
            raise RemoteProtocolError("a datagram of something else than speech")
        self._hand_up(frames)

    def on_proven(self) -> None:
        """The peer has completed the handshake: what came early counts now."""
        self._proven = True
        early, self._early = self._early, []
        self._hand_up(early)

    def _hand_up(self, frames: list[Frame]) -> None:
        if not self._proven:
            self._early += [
                frame
                for frame in frames
                if frame.kind is not FrameKind.STAMP and not _is_hello(frame)
            ]
            if len(self._early) > _MAX_EARLY_FRAMES:
                raise RemoteProtocolError("too much early data")
            frames = [frame for frame in frames if _is_hello(frame)]
        if frames:
            self._on_frames(frames)


def _is_hello(frame: Frame) -> bool:
    # The first message of a link can be nothing else: links refuse it otherwise.
    return frame[:3] == (FrameKind.CONTROL, LINK_CHANNEL, 0)
