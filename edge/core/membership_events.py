"""What the membership is told and what it orders."""

from dataclasses import dataclass
from typing import TypeAlias

from backhaul.core.messages import Member

__all__ = [
    "AddAgent",
    "AgentIdentified",
    "AgentLost",
    "MembersReceived",
    "MembershipAction",
    "MembershipConfig",
    "MembershipCounters",
    "MembershipEvent",
    "RemoveAgent",
]


@dataclass(frozen=True, slots=True)
class MembershipConfig:
    """Figures of the membership."""

    edge_name: str
    """Whose subset it is."""
    max_agents_per_region: int = 8
    """Agents of one region that are linked to at once, as a rule."""
    hold_s: float = 15.0
    """For so long snapshots must leave an agent out before it is forgotten (s); longer
    than a store that begins anew needs to hear of every agent again."""
    silence_s: float = 10.0
    """After a longer pause between snapshots (s), what was left out before no longer
    counts; longer than agents ever pause."""


@dataclass(slots=True)
class MembershipCounters:
    """What has happened since the edge began."""

    snapshots: int = 0
    members_refused: int = 0
    """Members of snapshots that no edge could dial or tell from others, or that have
    an address of another region."""
    members_beyond_limit: int = 0
    """Members passed over because too many are known already."""
    added: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class MembersReceived:
    """An agent of *region* (as its certificate says) told who is there."""

    region: str
    agents: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class AgentIdentified:
    """A link to *address* is ready; who answered there calls itself *agent_id*."""

    region: str
    address: str
    agent_id: str


@dataclass(frozen=True, slots=True)
class AgentLost:
    """No link to *address* is ready any more."""

    region: str
    address: str


@dataclass(frozen=True, slots=True)
class AddAgent:
    """Begin to keep links to *address*."""

    region: str
    address: str


@dataclass(frozen=True, slots=True)
class RemoveAgent:
    """Dial *address* no more, and close its links when their calls are over."""

    region: str
    address: str


MembershipEvent: TypeAlias = MembersReceived | AgentIdentified | AgentLost
MembershipAction: TypeAlias = AddAgent | RemoveAgent
