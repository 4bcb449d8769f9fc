"""What a link asks of a transport, and what it tells the link."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from backhaul.core.frames import Frame

__all__ = ["Connector", "LinkTransport", "Transport", "TransportEvents"]

LinkTransport = Literal["websocket", "http2", "quic"]
"""The transports an edge may be told to dial with."""


class Transport(Protocol):
    """Carries batches of frames to one peer.

    All frames of a channel arrive, in order; but a transport may send speech of the
    caller on a faster way that loses and overtakes, which its sequence numbers show.
    Methods never block and never raise for a peer's fault; after the transport
    closed they do nothing.
    """

    @property
    def name(self) -> str:
        """The transport's label in logs and metrics, for example ``websocket``."""
        ...

    def send_frames(self, frames: Sequence[Frame]) -> None:
        """Send *frames* as one batch; all of them fit MAX_BATCH_BYTES."""
        ...

    def backlog_bytes(self) -> int:
        """Return how many bytes wait in this process to be written."""
        ...

    def close(self, reason: str) -> None:
        """Close; what was sent before still goes out if the peer reads."""
        ...


class TransportEvents(Protocol):
    """Receives what happens on a transport; called on the event loop."""

    def on_open(
        self, transport: Transport, peer_certificate: Mapping[str, Any]
    ) -> None:
        """The transport is connected; the certificate is already verified."""
        ...

    def on_batch(self, batch: bytes) -> None:
        """A batch arrived."""
        ...

    def on_frames(self, frames: Sequence[Frame]) -> None:
        """Frames arrived on a transport that has to read them itself."""
        ...

    def on_closed(self, reason: str) -> None:
        """The transport is gone; called exactly once, also after `close`."""
        ...


class Connector(Protocol):
    """Opens links over one transport."""

    async def connect(
        self, events: TransportEvents, address: str, *, timeout_s: float
    ) -> None:
        """Open a link to *address* (host:port); *events* hears of it.

        Raises:
            LinkConnectError: If there is no link within *timeout_s*.
        """
        ...

    async def aclose(self) -> None:
        """Close what is still open, and wait until it is."""
        ...
