"""Puts fragmented WebSocket messages together, within bounds."""

from backhaul.errors import RemoteProtocolError

__all__ = ["MessageAssembler"]


class MessageAssembler:
    """Joins the fragments of one WebSocket at a time.

    Args:
        max_bytes: Largest whole message (bytes).
        max_fragments: Most fragments of one message; bounds the work that a peer
            can cause with one-byte fragments.
    """

    __slots__ = ("_max_bytes", "_max_fragments", "_parts", "_size")

    def __init__(self, *, max_bytes: int, max_fragments: int = 64) -> None:
        self._max_bytes = max_bytes
        self._max_fragments = max_fragments
        self._parts: list[bytes] | None = None
        self._size = 0

    def add(self, payload: bytes, *, first: bool, final: bool) -> bytes | None:
        """Take a data frame; return the message that it completes, if any.

        Args:
            payload: The frame's payload.
            first: Whether the frame starts a message (it is no continuation).
            final: Whether the frame has its FIN bit set.

        Raises:
            RemoteProtocolError: If the message is too large or has too many
                fragments, or a frame does not fit the one before.
        """
        if first and final and self._parts is None and len(payload) <= self._max_bytes:
            return payload  # as good as always
        if first == (self._parts is not None):
            raise RemoteProtocolError("fragments of two messages are mixed")
        self._size = (0 if first else self._size) + len(payload)
        if self._size > self._max_bytes:
            raise RemoteProtocolError("message is too large")
        parts = self._parts if self._parts is not None else []
        parts.append(payload)
        if len(parts) > self._max_fragments:
            raise RemoteProtocolError("message has too many fragments")
        self._parts = None if final else parts
        return b"".join(parts) if final else None
