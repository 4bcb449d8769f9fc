"""Which way each frame leaves on a QUIC connection.

Every channel's frames leave on one of a few streams, in order; channel 0 has its own.
The caller's speech, which edges send, leaves in datagrams instead once the agent has
acknowledged the beginning of its channel.
"""

from collections.abc import Sequence
from typing import Final

from backhaul.core.frames import LINK_CHANNEL, Frame, FrameKind, encode_frame
from backhaul.core.redundancy import AudioPacker, RedundancyDepth, fits_datagram
from backhaul.transports.quic_connection import LinkConnection

__all__ = ["MAX_STREAMS", "Outgoing"]

_STAMP: Final = FrameKind.STAMP
_AUDIO: Final = FrameKind.AUDIO
_CALL_STREAMS: Final = 3
"""aioquic walks all streams at every transmit; these are enough to part calls."""
MAX_STREAMS: Final = 1 + _CALL_STREAMS
"""What one side opens."""
_MAX_SPEAKING: Final = 4096
_SPEECH_RATE_BYTES_PER_S: Final = 6_000_000
"""Our own limit of one link's datagrams: 200 calls, each frame sent three times."""
_SPEECH_BURST_BYTES: Final = 512 * 1024
_KNOWN: Final = 0


class Outgoing:
    """Sends the frames of one side."""

    def __init__(
        self, connection: LinkConnection, *, is_client: bool, now: float
    ) -> None:
        self._connection = connection
        self._is_client = is_client
        self._streams = tuple(
            (2 if is_client else 3) + 4 * number for number in range(MAX_STREAMS)
        )
        self._written = dict.fromkeys(self._streams, 0)
        self._speaking: dict[int, int] = {}
        """By channel, what the peer must have of its stream before speech overtakes."""
        self._begun: set[int] = set()
        """Channels that begin with this batch."""
        self._packer = AudioPacker(
            rate_bytes_per_s=_SPEECH_RATE_BYTES_PER_S,
            burst_bytes=_SPEECH_BURST_BYTES,
            now=now,
        )
        self._depth = RedundancyDepth(now=now)

    def open(self) -> None:
        """Open the streams."""
        for stream in self._streams:
            self._connection.send_stream_data(stream, b"")

    def send(self, frames: Sequence[Frame], *, now: float) -> None:
        """Send one batch; a stamp in front goes where the speech goes, if any does."""
        stamp = frames[0] if frames[0].kind is _STAMP else None
        rest = frames if stamp is None else frames[1:]
        speech, streams = self._part(rest)
        if stamp is not None and not speech:
            streams.setdefault(self._streams[0], []).insert(0, encode_frame(stamp))
        self._connection.acknowledge_along(now)
        offered_bytes = self._write(streams)
        if speech:
            offered_bytes += self._send_speech(speech, stamp, now)
        if offered_bytes:
            self._connection.voice.offered(offered_bytes, now=now)

    def _part(
        self, frames: Sequence[Frame]
    ) -> tuple[list[Frame], dict[int, list[bytes]]]:
        speech: list[Frame] = []
        streams: dict[int, list[bytes]] = {}
        for frame in frames:
            if self._is_client and self._may_be_lost(frame):
                speech.append(frame)
            else:
                stream = self._stream_of(frame.channel)
                streams.setdefault(stream, []).append(encode_frame(frame))
        return speech, streams

    def _write(self, streams: dict[int, list[bytes]]) -> int:
        """Write to *streams*; return how much of it was on calls (bytes)."""
        on_calls = 0
        for stream, parts in streams.items():
            data = b"".join(parts)
            self._written[stream] += len(data)
            self._connection.send_stream_data(stream, data)
            if stream != self._streams[0]:
                on_calls += len(data)
        for channel in self._begun:
            self._speaking[channel] = self._written[self._stream_of(channel)]
        self._begun.clear()
        while len(self._speaking) > _MAX_SPEAKING:
            del self._speaking[next(iter(self._speaking))]
        return on_calls

    def _stream_of(self, channel: int) -> int:
        if channel == LINK_CHANNEL:
            return self._streams[0]
        return self._streams[1 + channel % _CALL_STREAMS]

    def _may_be_lost(self, frame: Frame) -> bool:
        channel = frame.channel
        if channel == LINK_CHANNEL:
            return False
        needed = self._speaking.get(channel)
        if needed is None:
            # The agent must know a channel before speech of it may overtake.
            self._begun.add(channel)
            return False
        if frame.kind is not _AUDIO or not fits_datagram(len(frame.payload)):
            return False
        if needed != _KNOWN:
            if self._connection.arrived_bytes(self._stream_of(channel)) < needed:
                return False
            self._speaking[channel] = _KNOWN
        return True

    def _send_speech(self, speech: list[Frame], stamp: Frame | None, now: float) -> int:
        voice = self._connection.voice
        arrived, lost = voice.take_delivery()
        self._depth.measured(arrived=arrived, lost=lost, now=now)
        # Repeating would feed a queue that grows already.
        depth = 0 if voice.window.queue_grows else self._depth.depth
        # The stamp shares the fate of what it stands for.
        head = b"" if stamp is None else encode_frame(stamp)
        datagrams = self._packer.pack(speech, depth=depth, now=now, head=head)
        self._connection.queue_datagrams([bytes(one) for one in datagrams])
        return sum(map(len, datagrams))
