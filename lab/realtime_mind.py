"""What may hear and answer in a session of the stand-in, instead of prepared lines."""

from collections.abc import Callable
from typing import Protocol

from lab.speech_files import SpeechLine

__all__ = ["Mind"]


class Mind(Protocol):
    """Follows one conversation; none of it may block."""

    def hear(self, turn: bytes) -> Callable[[], str | None]:
        """The caller has said *turn*, 8 kHz mu-law: begin to think of an answer.

        Returns:
            What tells the words; None: they are not known yet.
        """
        ...

    def reply(self) -> SpeechLine | None:
        """Return what is to be said now; None: it is still being thought of."""
        ...
