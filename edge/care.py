"""What a profile wants for its calls beside the model: residency, hold, fallback."""

from collections.abc import Mapping
from dataclasses import dataclass

from backhaul.core.profile import Fallback, Hold, Profile
from edge.core.hold_tone import tone
from edge.settings import EdgeSettings

__all__ = ["Care", "Cares"]


@dataclass(frozen=True, slots=True)
class Care:
    """How the edge itself looks after calls of one profile."""

    regions: frozenset[str] | None = None
    """Those that may take them; None: all."""
    hold_after_s: float = 0.25
    hold_tone: bytes = b""
    """One period of it (mu-law)."""
    script: str = ""
    dial: str = ""
    dial_timeout_s: int = 30
    model_opens: bool = True
    """Whether the model is expected to speak first when there is no greeting."""


class Cares:
    """The care for every profile; one that the file does not know gets the usual."""

    def __init__(self, settings: EdgeSettings) -> None:
        profiles: Mapping[str, Profile] = settings.profiles
        self._usual = _care(Hold(), Fallback(), settings.apology)
        self._by_profile = {
            name: _care(
                profile.hold,
                profile.fallback,
                settings.apology,
                regions=profile.regions,
                model_opens=not profile.caller_speaks_first,
            )
            for name, profile in profiles.items()
        }

    def of(self, profile: str) -> Care:
        """Return how calls of *profile* are looked after."""
        return self._by_profile.get(profile, self._usual)


def _care(
    hold: Hold,
    fallback: Fallback,
    apology: str,
    *,
    regions: tuple[str, ...] = (),
    model_opens: bool = True,
) -> Care:
    return Care(
        regions=frozenset(regions) or None,
        hold_after_s=hold.after_s,
        hold_tone=tone(hold.tone),
        script=fallback.script or apology,
        dial=fallback.dial,
        dial_timeout_s=fallback.dial_timeout_s,
        model_opens=model_opens,
    )
