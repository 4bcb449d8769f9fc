"""What links bring reaches the membership, and its orders reach the links."""

import asyncio
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from backhaul.core.messages import Member, Members
from backhaul.settings import Region, Secret
from edge.agent_finder import AgentFinder, AgentFinderCollector
from edge.settings import EdgeSettings

SEED, FIRST, SECOND = "lb:443", "10.0.0.1:443", "10.0.0.2:443"
MEMBERS = Members((Member(FIRST, "home-1", {}, 0), Member(SECOND, "home-2", {}, 0)))
SETTINGS = EdgeSettings(
    name="edge-1",
    public_url="https://voice.example.com",
    twilio_auth_tokens=(Secret("token"),),
    regions={"home": Region(agents=(SEED,))},
)


@dataclass(eq=False)
class AgentDouble:
    address: str
    region: str
    agent_id: str = ""
    ready: bool = False


@dataclass
class LinksDouble:
    """Links that are ready when they are told to be."""

    agents: dict[str, AgentDouble] = field(default_factory=dict)
    leaving: list[AgentDouble] = field(default_factory=list)

    def add(self, address: str, region: str) -> None:
        for agent in self.leaving:
            if agent.address == address:
                self.leaving.remove(agent)
                self.agents[address] = agent
                return
        self.agents.setdefault(address, AgentDouble(address, region))

    def remove(self, address: str) -> None:
        self.leaving.append(self.agents.pop(address))


@pytest.fixture
def links() -> LinksDouble:
    return LinksDouble()


@pytest.fixture
def finder(links: LinksDouble) -> AgentFinder:
    finder = AgentFinder(SETTINGS, links=links)
    finder.start()
    return finder


def reach(finder: AgentFinder, agent: AgentDouble, agent_id: str) -> None:
    agent.agent_id, agent.ready = agent_id, True
    finder.on_agent_reached(agent)


def lose(finder: AgentFinder, agent: AgentDouble) -> None:
    agent.ready = False
    finder.on_agent_lost(agent)


def test_seeds_lead_to_members_and_are_given_up_for_them(
    finder: AgentFinder, links: LinksDouble
) -> None:
    seed = links.agents[SEED]
    reach(finder, seed, "home-1")
    finder.on_members(seed, MEMBERS)
    assert set(links.agents) == {SEED, FIRST, SECOND}
    reach(finder, links.agents[FIRST], "home-1")
    assert set(links.agents) == {FIRST, SECOND}
    # What the agent that is on its way out says of the region still counts.
    finder.on_members(seed, Members((*MEMBERS.agents, Member("c:1", "home-3", {}, 0))))
    assert set(links.agents) == {FIRST, SECOND, "c:1"}


def test_an_agent_that_stays_after_all_is_known_to_be_reached(
    finder: AgentFinder, links: LinksDouble
) -> None:
    seed = links.agents[SEED]
    reach(finder, seed, "home-1")
    finder.on_members(seed, MEMBERS)
    reach(finder, links.agents[FIRST], "home-1")
    assert links.leaving == [seed]
    lose(finder, links.agents[FIRST])
    assert links.agents[SEED] is seed
    # Its link was ready all the time: once more it is one way too many.
    reach(finder, links.agents[FIRST], "home-1")
    assert links.leaving == [seed]


def test_who_only_finishes_calls_speaks_for_nobody_at_its_address(
    finder: AgentFinder, links: LinksDouble
) -> None:
    gone = AgentDouble(SEED, "home", "home-1", ready=True)
    finder.on_members(gone, MEMBERS)
    reach(finder, links.agents[FIRST], "home-1")
    finder.on_agent_reached(gone)
    assert SEED in links.agents
    reach(finder, links.agents[SEED], "home-1")
    assert SEED not in links.agents
    finder.on_agent_lost(AgentDouble(FIRST, "home", "home-1"))
    assert SEED not in links.agents


def test_what_happened_is_counted(finder: AgentFinder, links: LinksDouble) -> None:
    odd = Member("nowhere", "home-9", {}, 0)
    finder.on_members(links.agents[SEED], Members((*MEMBERS.agents, odd)))
    registry = CollectorRegistry()
    registry.register(AgentFinderCollector(finder))
    for name, labels, value in (
        ("edge_members_snapshots_total", {}, 1),
        ("edge_members_refused_total", {"reason": "unusable"}, 1),
        ("edge_members_refused_total", {"reason": "too_many"}, 0),
        ("edge_agents_changed_total", {"change": "added"}, 3),
        ("edge_agents_changed_total", {"change": "removed"}, 0),
    ):
        assert registry.get_sample_value(name, labels) == value, name


async def test_who_waits_for_agents_waits_for_all_and_not_for_ever(
    finder: AgentFinder, links: LinksDouble
) -> None:
    await finder.wait_reached(0.01)
    waiting = asyncio.ensure_future(  # noqa: TID251 - awaited below
        finder.wait_reached(60.0)
    )
    links.add(FIRST, "home")
    await asyncio.sleep(0)
    reach(finder, links.agents[SEED], "home-1")
    await asyncio.sleep(0)
    assert not waiting.done()
    reach(finder, links.agents[FIRST], "home-2")
    await waiting
