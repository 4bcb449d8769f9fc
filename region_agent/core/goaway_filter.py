"""Takes polite farewells out of what an HTTP/2 server sends, and notes them.

A server that wants a connection to end sends GOAWAY and still answers the requests it
has (RFC 9113, 6.8). httpcore2 gives all of them up at that frame, answered or not, so
that they would be sent again. With the frame taken out they are finished; it is for the
owner of the connection to begin no new ones.
"""

from typing import Final

__all__ = ["GoawayFilter"]

_HEADER_BYTES: Final = 9
_GOAWAY: Final = 7
_GOAWAY_BYTES: Final = 8
"""Last stream and error code; debug data may follow."""


class GoawayFilter:
    """Passes on the frames of one connection, as they come and in any pieces.

    Attributes:
        going_away: Whether the server has said GOAWAY, for whatever reason.
    """

    def __init__(self) -> None:
        self.going_away = False
        self._pending = bytearray()
        self._left_bytes = 0
        """Of the frame that is passing or being dropped."""
        self._dropping = False

    def feed(self, data: bytes) -> bytes:
        """Return what of *data*, and of what was held back before, is to be read."""
        self._pending += data
        passed = bytearray()
        while self._pending and (self._left_bytes or self._begin_frame()):
            piece = self._pending[: self._left_bytes]
            del self._pending[: self._left_bytes]
            self._left_bytes -= len(piece)
            if not self._dropping:
                passed += piece
        return bytes(passed)

    def _begin_frame(self) -> bool:
        """Look at the next frame; tell whether enough of it is there."""
        head = self._pending
        if len(head) < _HEADER_BYTES:
            return False
        length = int.from_bytes(head[:3], "big")
        self._dropping = False
        # One that is too short is an error, which is httpcore2's to find.
        if head[3] == _GOAWAY and length >= _GOAWAY_BYTES:
            if len(head) < _HEADER_BYTES + _GOAWAY_BYTES:
                return False
            self.going_away = True
            self._dropping = not any(head[13:17])  # the error code: none
        self._left_bytes = _HEADER_BYTES + length
        return True
