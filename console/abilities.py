"""What the console can do beside showing, where somebody lends it the ability."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Breaker", "Earpiece", "Phone", "PhoneOrder", "PhoneProblemError", "Voice"]


class PhoneProblemError(Exception):
    """A call cannot be placed; says why, for people."""


@dataclass(frozen=True, slots=True)
class PhoneOrder:
    """Which call to place."""

    edge: str
    """Name of the edge that answers."""
    number: str
    """The number that is called."""
    recorded: bool = False
    """Whether a recorded caller speaks instead of the person."""


class Earpiece(Protocol):
    """Where a call is heard."""

    def on_call(self, call_sid: str) -> None:
        """The call has begun."""
        ...

    def on_audio(self, audio: bytes) -> None:
        """The next 20 ms: 160 bytes of mu-law at 8 kHz."""
        ...


class Voice(Protocol):
    """Who speaks in a call."""

    @property
    def has_hung_up(self) -> bool:
        """Whether the call should end."""
        ...

    def frame(self) -> bytes:
        """Return the next 20 ms: 160 bytes of mu-law at 8 kHz."""
        ...

    def digits(self) -> str:
        """Return the keys that were pressed since it was last asked."""
        ...


class Phone(Protocol):
    """Places calls over the path that telephone calls take."""

    def offers(self) -> Mapping[str, Any]:
        """Return the edges and numbers that can be called, for the page."""
        ...

    async def call(
        self, order: PhoneOrder, voice: Voice, earpiece: Earpiece
    ) -> Mapping[str, Any]:
        """Place a call and return what came of it.

        Raises:
            PhoneProblemError: It cannot be placed.
        """
        ...


class Breaker(Protocol):
    """Breaks a local fabric, and mends it."""

    def offers(self) -> Sequence[Mapping[str, Any]]:
        """Return what can be broken, for the page."""
        ...

    async def perform(self, action: str, target: str) -> str:
        """Do it; return what was done, in words.

        Raises:
            KeyError: There is no such action or target.
        """
        ...
