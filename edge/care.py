"""What a profile wants for its calls beside the model: residency, hold, fallback."""

from collections.abc import Mapping
from dataclasses import dataclass

from backhaul.core.profile import Fallback, Hold, HoldToneKind, Profile
from edge.core.hold_tone import tone
from edge.settings import EdgeSettings

__all__ = ["Care", "Cares"]


@dataclass(frozen=True, slots=True)
class Care:
    """How the edge itself looks after calls of one profile."""

    regions: frozenset[str] | None
    """Those that may take them; None: all."""
    hold_after_s: float
    hold_tone: bytes
    """One period of it (mu-law)."""
    script: str
    dial: str
    dial_timeout_s: int
    model_opens: bool
    """Whether the model is expected to speak first when there is no greeting."""


class Cares:
    """The care for every profile; one that the file does not know gets the usual."""

    def __init__(self, settings: EdgeSettings) -> None:
        profiles: Mapping[str, Profile] = settings.profiles
        self._apology = settings.apology
        self._tones = {kind: tone(kind) for kind in HoldToneKind}
        self._usual = self._care(Hold(), Fallback())
        self._by_profile = {
            name: self._care(
                profile.hold,
                profile.fallback,
                regions=profile.regions,
                model_opens=not profile.caller_speaks_first,
            )
            for name, profile in profiles.items()
        }

    def of(self, profile: str) -> Care:
        """Return how calls of *profile* are looked after."""
        return self._by_profile.get(profile, self._usual)

    def _care(
        self,
        hold: Hold,
        fallback: Fallback,
        *,
        regions: tuple[str, ...] = (),
        model_opens: bool = True,
    ) -> Care:
        return Care(
            regions=frozenset(regions) or None,
            hold_after_s=hold.after_s,
            hold_tone=self._tones[hold.tone],
            script=fallback.script or self._apology,
            dial=fallback.dial,
            dial_timeout_s=fallback.dial_timeout_s,
            model_opens=model_opens,
        )
