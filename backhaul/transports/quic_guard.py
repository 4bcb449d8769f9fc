"""What a link's QUIC connection does not take from its peer, though aioquic would.

Like `quic_connection`, this file knows aioquic's insides.
"""

# pyright: reportPrivateUsage=false

from typing import Any, Final, NoReturn

from aioquic._buffer import Buffer
from aioquic.quic import events as quic
from aioquic.quic.connection import (
    QuicConnection,
    QuicConnectionError,
    QuicReceiveContext,
)
from aioquic.quic.packet import QuicErrorCode

__all__ = ["MAX_EARLY_BYTES", "GuardedConnection"]

MAX_EARLY_BYTES: Final = 64 * 1024
"""What may come before the handshake is complete: a hello, with room for more."""
_MAX_STREAMS: Final = 8
"""Twice what links use: aioquic raises the limit when more than half of it is used."""
_DATA: Final = (quic.StreamDataReceived, quic.DatagramFrameReceived)


class GuardedConnection(QuicConnection):
    """Holds back what may be a replay; refuses streams that no link has."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - QuicConnection's own
        super().__init__(**options)
        self._may_be_replayed = not self._is_client
        self._early: list[quic.QuicEvent] = []
        self._early_bytes = 0
        # aioquic would let a peer open ever more, and walks all of them at each turn.
        self._local_max_streams_bidi.value = self._local_max_streams_bidi.sent = 0
        self._local_max_streams_uni.value = _MAX_STREAMS
        self._local_max_streams_uni.sent = _MAX_STREAMS

    def next_event(self) -> quic.QuicEvent | None:
        """Return what happened next; early data only when its sender is proven.

        Who has recorded an edge's first flight may send it before the edge's own
        arrives. He cannot finish the handshake, so nothing comes of what he sent.
        Source: RFC 8446, section 8; RFC 9001, section 9.2.
        """
        event = super().next_event()
        while self._may_be_replayed and isinstance(event, _DATA):
            self._hold(event)
            event = super().next_event()
        if isinstance(event, quic.HandshakeCompleted):
            self._may_be_replayed = False
            self._events.extendleft(reversed(self._early))
            self._early.clear()
        return event

    def _hold(
        self, event: quic.StreamDataReceived | quic.DatagramFrameReceived
    ) -> None:
        self._early_bytes += len(event.data)
        if self._early_bytes <= MAX_EARLY_BYTES:
            self._early.append(event)
        else:
            self.close(
                error_code=QuicErrorCode.APPLICATION_ERROR,
                reason_phrase="too much early data",
            )

    def _handle_reset_stream_frame(
        self,
        context: QuicReceiveContext,  # noqa: ARG002
        frame_type: int,
        buf: Buffer,  # noqa: ARG002
    ) -> None:
        _refuse_end_of_stream(frame_type)

    def _handle_stop_sending_frame(
        self,
        context: QuicReceiveContext,  # noqa: ARG002
        frame_type: int,
        buf: Buffer,  # noqa: ARG002
    ) -> None:
        # aioquic would raise at our next write to that stream.
        _refuse_end_of_stream(frame_type)


def _refuse_end_of_stream(frame_type: int) -> NoReturn:
    raise QuicConnectionError(
        error_code=QuicErrorCode.APPLICATION_ERROR,
        frame_type=frame_type,
        reason_phrase="a stream ended before its link",
    )
