"""What was said in one call, as text, within bounds; for the process's memory only."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

__all__ = ["MAX_ITEMS", "MAX_TEXT_BYTES", "Said", "Speaker", "Transcript"]

MAX_ITEMS: Final = 200
MAX_TEXT_BYTES: Final = 64 * 1024
"""Bounds of one call's transcript; the oldest items go first."""


class Speaker(StrEnum):
    """Who said it."""

    CALLER = "caller"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Said:
    """One item of the conversation; its repr hides the text."""

    speaker: Speaker
    item_id: str
    """As the server names it; empty for the greeting that an edge played."""
    text: str = field(repr=False)


class Transcript:
    """The latest items of one call, in the order in which they became known.

    A caller's words are transcribed beside the conversation, so they may come after
    the reply to them.
    """

    def __init__(self) -> None:
        self._items: deque[Said] = deque()
        self._bytes = 0

    def __iter__(self) -> Iterator[Said]:
        """Walk the items, oldest first."""
        return iter(self._items)

    def __len__(self) -> int:
        """Count the items that are kept."""
        return len(self._items)

    def add(self, said: Said) -> None:
        """Keep *said*; one without text is passed over."""
        if not said.text:
            return
        self._items.append(said)
        self._bytes += _size(said)
        while len(self._items) > MAX_ITEMS or self._bytes > MAX_TEXT_BYTES:
            self._bytes -= _size(self._items.popleft())


def _size(said: Said) -> int:
    return len(said.text.encode())
