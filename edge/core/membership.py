"""Which agents an edge keeps links to: those it was given and those it hears of.

The seeds of the configuration are where an edge begins. Agents then say, again and
again and in full, who else is in their region. The decisions are taken here:

- An agent that the snapshots name is dialled by its own address. Above
  `MembershipConfig.max_agents_per_region` an edge has its own subset of them.
- An agent is forgotten when the region's snapshots have left it out for
  `MembershipConfig.hold_s` and no link to it is ready. Silence proves nothing: an
  edge that hears no snapshots keeps what it knows, and a snapshot that lacks a
  healthy agent (of a store that has just begun anew, say) does no harm.
- Snapshots of one region may differ: who stands in any of them is there.
- An agent that drains is no longer counted, nor dialled anew, but kept while it is
  named: calls go on there.
- A seed may be another name of an agent, or of several behind one name. It is given
  up when the agent behind it is reached by its own address, or is not in the subset
  while all of that are reached. It comes back when its agent's own address fails, or
  when no agent of the subset is reached.
- Whoever leaves the subset stays until all that are in it are reached: links are
  made before they are broken.

Addresses come from peers and are checked; the regions are those of the configuration,
and no region gets an address that another one has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from backhaul.core.agent_address import is_dialable
from backhaul.core.messages import Member
from edge.core.membership_events import (
    AddAgent,
    AgentIdentified,
    MembershipAction,
    MembershipConfig,
    MembershipCounters,
    MembershipEvent,
    MembersReceived,
    RemoveAgent,
)
from edge.core.subset import choose_subset

__all__ = ["Membership"]

_MAX_KNOWN: Final = 256
"""Agents of one region that are remembered; a snapshot holds no more."""
_MAX_AGENT_ID_CHARS: Final = 128


@dataclass(slots=True)
class _Known:
    """One agent that snapshots have named."""

    agent_id: str
    draining: bool
    absent_since: float | None = None
    """When snapshots began to leave it out."""


@dataclass(slots=True)
class _Region:
    """One region, by addresses."""

    seeds: tuple[str, ...]
    known: dict[str, _Known] = field(default_factory=dict[str, _Known])
    dialled: dict[str, None] = field(default_factory=dict[str, None])
    """The addresses that the shell keeps links to, in the order of their adding."""
    linked: dict[str, str] = field(default_factory=dict[str, str])
    """Who answers at the addresses with a ready link."""
    identities: dict[str, str] = field(default_factory=dict[str, str])
    """Who answered last at each seed."""
    heard_at: float = 0.0
    eligible: tuple[str, ...] = ()
    """Of whom `chosen` is the subset; kept, since it seldom changes."""
    chosen: tuple[str, ...] = ()

    def own_address(self, seed: str) -> str | None:
        """Return by which address the agent behind *seed* wants to be reached."""
        if seed in self.known:
            return seed
        agent_id = self.identities.get(seed)
        own = [a for a, known in self.known.items() if known.agent_id == agent_id]
        reached = [address for address in own if self.linked.get(address) == agent_id]
        return next(iter(reached + own), None)


class Membership:
    """Decides which addresses of every region to keep links to.

    It is a `Machine` that needs no timer: only what peers say and do changes it.
    `begin` gives the first orders. After each order to add an address the shell dials
    it and tells of its first ready link (`AgentIdentified`, again whenever another
    agent answers there) and of the loss of its last one (`AgentLost`).
    """

    def __init__(
        self, config: MembershipConfig, seeds: Mapping[str, Sequence[str]]
    ) -> None:
        """Know the *seeds*: addresses (host:port) by region."""
        self.counters = MembershipCounters()
        self._config = config
        self._regions = {
            name: _Region(tuple(dict.fromkeys(addresses)))
            for name, addresses in seeds.items()
        }

    def begin(self) -> tuple[AddAgent, ...]:
        """Return the orders to dial every seed."""
        for region in self._regions.values():
            region.dialled = dict.fromkeys(region.seeds)
            self.counters.added += len(region.dialled)
        regions = self._regions.items()
        return tuple(AddAgent(name, one) for name, own in regions for one in own.seeds)

    def dialled(self, region: str) -> tuple[str, ...]:
        """Return the addresses of *region* that links are kept to now."""
        return tuple(self._regions[region].dialled)

    def handle(
        self, event: MembershipEvent, *, now: float
    ) -> tuple[MembershipAction, ...]:
        """Take note of *event* and return what must be done."""
        region = self._regions.get(event.region)
        if region is None:
            return ()
        match event:
            case MembersReceived(_, agents):
                self._learn(region, agents, now=now)
            case AgentIdentified(_, address, agent_id) if address in region.dialled:
                region.linked[address] = agent_id
                if address in region.seeds:
                    region.identities[address] = agent_id
            case AgentIdentified():
                pass  # a link that was given up and still has calls
            case _:
                region.linked.pop(event.address, None)
        return self._update(event.region, region)

    def next_deadline(self) -> float | None:
        """Return None: nothing happens by the mere passing of time."""
        return None

    def expire(self, *, now: float) -> tuple[MembershipAction, ...]:  # noqa: ARG002
        """Return nothing; see `next_deadline`."""
        return ()

    def _learn(
        self, region: _Region, agents: tuple[Member, ...], *, now: float
    ) -> None:
        self.counters.snapshots += 1
        if now - region.heard_at > self._config.silence_s:
            for known in region.known.values():
                known.absent_since = None
        region.heard_at = now
        named = self._named(region, agents)
        for address in [one for one in region.known if one not in named]:
            self._miss(region, address, now=now)
        for address, member in named.items():
            if address in region.known or len(region.known) < _MAX_KNOWN:
                region.known[address] = _Known(member.agent_id, member.draining)
            else:
                self.counters.members_beyond_limit += 1

    def _miss(self, region: _Region, address: str, *, now: float) -> None:
        known = region.known[address]
        if known.absent_since is None:
            known.absent_since = now
        absent_s = now - known.absent_since
        if absent_s >= self._config.hold_s and address not in region.linked:
            del region.known[address]

    def _named(self, region: _Region, agents: tuple[Member, ...]) -> dict[str, Member]:
        """Return the members of a snapshot that can be dialled, by address."""
        named: dict[str, Member] = {}
        for member in agents[:_MAX_KNOWN]:
            if not member.address:
                continue  # it can only be reached through a seed
            known = region.known.get(member.address)
            checked = known is not None and known.agent_id == member.agent_id
            if checked or (_is_usable(member) and self._is_free(member, region)):
                named[member.address] = member
            else:
                self.counters.members_refused += 1
        self.counters.members_beyond_limit += len(agents[_MAX_KNOWN:])
        return named

    def _is_free(self, member: Member, region: _Region) -> bool:
        others = (one for one in self._regions.values() if one is not region)
        address = member.address
        return not any(address in one.seeds or address in one.known for one in others)

    def _update(self, name: str, region: _Region) -> tuple[MembershipAction, ...]:
        wanted = self._wanted(region)
        removed = [address for address in region.dialled if address not in wanted]
        added = [address for address in wanted if address not in region.dialled]
        for address in removed:
            del region.dialled[address]
            region.linked.pop(address, None)
        region.dialled.update(dict.fromkeys(added))
        self.counters.added += len(added)
        self.counters.removed += len(removed)
        return (
            *(AddAgent(name, address) for address in added),
            *(RemoveAgent(name, address) for address in removed),
        )

    def _choose(self, region: _Region) -> tuple[str, ...]:
        known = region.known.items()
        eligible = tuple(address for address, one in known if not one.draining)
        if eligible != region.eligible:
            size = self._config.max_agents_per_region
            chosen = choose_subset(self._config.edge_name, eligible, size=size)
            region.eligible, region.chosen = eligible, chosen
        return region.chosen

    def _wanted(self, region: _Region) -> dict[str, None]:
        chosen = self._choose(region)
        wanted = dict.fromkeys(chosen)
        wanted |= dict.fromkeys(
            s for s in region.seeds if _is_needed(region, s, chosen)
        )
        missing = sum(address not in region.linked for address in chosen)
        for address in region.dialled:
            known = region.known.get(address)
            if known is None or address in wanted:
                continue
            if known.draining:
                wanted[address] = None
            elif missing > 0 and address in region.linked:
                wanted[address] = None
                missing -= 1
        return wanted


def _is_usable(member: Member) -> bool:
    name = member.agent_id
    named = 0 < len(name) <= _MAX_AGENT_ID_CHARS and name.isprintable()
    return named and is_dialable(member.address)


def _is_needed(region: _Region, seed: str, chosen: tuple[str, ...]) -> bool:
    own = region.own_address(seed)
    if own is None:
        return True  # nobody knows another way to whoever answers there
    agent_id = region.known[own].agent_id
    if own != seed and region.linked.get(own) == agent_id:
        return False
    if own in chosen:
        return True
    reached = sum(address in region.linked for address in chosen)
    if seed in region.dialled:
        return reached < max(1, len(chosen))
    return reached == 0
