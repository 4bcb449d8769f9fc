"""What is known of a call: who calls, and when things happened."""

from dataclasses import dataclass, field

from backhaul.core.tools import is_e164
from edge.core.caller_place import NOWHERE, CallerPlace

__all__ = ["CallTimes", "Caller"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the carrier says; personal."""

    number: str = field(default="", repr=False)
    """E.164, ``client:`` name or SIP URI."""
    called: str = field(default="", repr=False)
    """The number that was called."""
    over_sip: bool = False
    place: CallerPlace = NOWHERE
    """Where the caller probably is, coarsely."""

    @property
    def shown_number(self) -> str | None:
        """What a telephone shows that is rung for this caller.

        None: the caller's number, as is usual. The carrier rings no telephone in the
        name of anything but a number, so the one that was called stands in.
        """
        if is_e164(self.number) or not is_e164(self.called):
            return None
        return self.called


@dataclass(slots=True)
class CallTimes:
    """When things happened (monotonic s), for the call's record."""

    webhook_at: float
    leased_at: float | None = None
    """The first session was had."""
    stream_started_at: float | None = None
    first_audio_at: float | None = None
    opened_at: float | None = None
    ended_at: float | None = None

    def since_webhook_ms(self) -> dict[str, float]:
        """Return each moment as milliseconds after the webhook."""
        moments = {
            "leased_ms": self.leased_at,
            "stream_started_ms": self.stream_started_at,
            "first_audio_ms": self.first_audio_at,
            "opened_ms": self.opened_at,
            "ended_ms": self.ended_at,
        }
        return {
            name: round((at - self.webhook_at) * 1000, 3)
            for name, at in moments.items()
            if at is not None
        }
