"""What a link asks of a transport, and what it tells the link."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

__all__ = ["Connect", "LinkTransport", "Transport", "TransportEvents"]

LinkTransport = Literal["websocket", "http2"]
"""The transports an edge may be told to dial with."""


class Transport(Protocol):
    """Carries batches of frames to one peer, in order.

    Methods never block and never raise for a peer's fault; after the transport
    closed they do nothing.
    """

    @property
    def name(self) -> str:
        """The transport's label in logs and metrics, for example ``websocket``."""
        ...

    def send_batch(self, batch: bytearray) -> None:
        """Send *batch* as a whole; the caller does not use it again."""
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

    def on_closed(self, reason: str) -> None:
        """The transport is gone; called exactly once, also after `close`."""
        ...


class Connect(Protocol):
    """Opens a link over one transport."""

    async def __call__(
        self, events: TransportEvents, address: str, *, timeout_s: float
    ) -> None:
        """Open a link to *address* (host:port); *events* hears of it.

        Raises:
            LinkConnectError: If there is no link within *timeout_s*.
        """
        ...
