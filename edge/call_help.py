"""What a call may need beside its session: speech from memory, and another search."""

from dataclasses import dataclass

from edge.care import Care
from edge.cold_opens import ColdOpens
from edge.phrasebook import Phrasebook

__all__ = ["CallHelp"]


@dataclass(frozen=True, slots=True)
class CallHelp:
    """Shared by calls of one profile."""

    care: Care
    phrasebook: Phrasebook
    cold_opens: ColdOpens

    def script_audio(self, profile: str) -> bytes:
        """Return the script in the profile's voice (mu-law); nothing: not in memory."""
        script = self.phrasebook.scripts.get(profile)
        # After a change of the file, an agent may still say the old one.
        return script.audio if script and script.text == self.care.script else b""
