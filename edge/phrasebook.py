"""What agents have rendered in a profile's voice, kept when they are gone."""

from backhaul.core.messages import Greeting, Script

__all__ = ["Phrasebook"]


class Phrasebook:
    """The latest greeting and script of each profile, from whichever agent.

    Attributes:
        greetings: By profile.
        scripts: By profile.
    """

    def __init__(self) -> None:
        self.greetings: dict[str, Greeting] = {}
        self.scripts: dict[str, Script] = {}

    def note(self, phrase: Greeting | Script) -> None:
        """Take what an agent sent."""
        if isinstance(phrase, Greeting):
            self.greetings[phrase.profile] = phrase
        else:
            self.scripts[phrase.profile] = phrase
