"""What a local fabric is made of."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from backhaul.errors import WarmlineError
from lab.local_voice import missing_packages
from lab.places import EDGE_PLACES, REGION_PLACES

__all__ = ["COLD_LINE", "FabricError", "FabricOptions", "example_config"]

COLD_LINE: Final = "cold-line"
"""The profile of which no session is kept warm."""
_COLD_NUMBER: Final = "+14155550177"


class FabricError(WarmlineError):
    """A process of the local fabric did not come up."""

    code = "fabric_failed"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


def example_config() -> Path:
    """Return the configuration that the fabric takes profiles and numbers from."""
    package = Path(__file__).parent
    in_tree = package.parent / "examples" / "warmline.toml"
    return in_tree if in_tree.exists() else package / "warmline.toml"


@dataclass(frozen=True, slots=True)
class FabricOptions:
    """What the fabric is made of."""

    regions: int = 3
    agents: int = 2
    """Agents per region."""
    edges: int = 2
    config: Path = field(default_factory=example_config)
    warm_sessions: int | None = None
    """Sessions each agent keeps warm per profile; None: as the profile says."""
    realistic: bool = True
    """Whether the stand-ins and the WAN take the time that the real ones take."""
    own_models: bool = False
    """Whether each region has a model stand-in of its own."""
    voice: bool = False
    """Whether the model stand-ins have a real voice."""
    model_arguments: tuple[str, ...] = ()
    """Further arguments of the model stand-ins."""
    cold_line: bool = False
    """Whether there is a number more whose calls find no warm session."""
    overrides: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict[str, Mapping[str, Any]]
    )
    """Values laid over the tables ``edge`` and ``region_agent`` of the file."""

    def deployment(self) -> dict[str, Any]:
        """Return the configuration file's content, and what is laid over it."""
        config = tomllib.loads(self.config.read_text())
        profiles: dict[str, dict[str, Any]] = config["profiles"]
        if self.warm_sessions is not None:
            for profile in profiles.values():
                profile["warm_sessions"] = self.warm_sessions
        if self.cold_line:
            profiles[COLD_LINE] = {**[*profiles.values()][-1], "warm_sessions": 0}
            config["numbers"] = {**config["numbers"], _COLD_NUMBER: COLD_LINE}
        return config

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        missing = missing_packages() if self.voice else ()
        problems = (f"--voice: {', '.join(missing)} missing; see make demo-voice",)
        return (problems if missing else ()) + tuple(
            f"--{name}: must be between 1 and {most}"
            for name, value, most in (
                ("regions", self.regions, len(REGION_PLACES)),
                ("agents", self.agents, 20),
                ("edges", self.edges, len(EDGE_PLACES)),
            )
            if not 1 <= value <= most
        )
