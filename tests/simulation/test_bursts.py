"""Bursts of calls in virtual time: production's routers, agents that answer late.

Requests, answers and snapshots take half a round trip each, so an edge never knows what
an agent has now, and nothing at all of what the other edge has just asked for.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from backhaul.core.close_reason import CloseReason
from backhaul.core.messages import ProfileStock, Stock
from edge.core.router import Router
from edge.core.routes import Choice, RouterConfig

PROFILE = "desk"
REGIONS = {"near": 0.020, "middle": 0.080, "far": 0.200}
"""Round trips (s) of the first edge; the second one sees them the other way round."""
CALLS = 100
BURST_S = 0.1


@dataclass
class Clock:
    now: float = 0.0
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: "itertools.count[int]" = field(default_factory=itertools.count)

    def later(self, delay_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + delay_s, next(self._order), act))

    def run(self) -> None:
        while self._due:
            self.now, _, act = heapq.heappop(self._due)
            act()


@dataclass
class Agent:
    """Grants what it has, and tells every edge of each change."""

    address: str
    region: str
    warm: int
    clock: Clock
    edges: "list[Edge]" = field(default_factory=list)
    calls: int = 0
    refused: int = 0

    def ask(self, answer: Callable[[CloseReason | None], None], rtt_s: float) -> None:
        granted = self.warm > 0
        self.warm -= granted
        self.calls += granted
        self.refused += not granted
        refusal = None if granted else CloseReason.NO_STOCK
        self.clock.later(rtt_s / 2, lambda: answer(refusal))
        self.tell()

    def tell(self) -> None:
        said = Stock(
            {PROFILE: ProfileStock(self.warm, open_s=0.4, first_audio_s=0.25)},
            active_calls=0,  # they are still ringing
            target_calls=30,
            max_calls=50,
        )
        for edge in self.edges:
            self.clock.later(edge.rtts[self.region] / 2, edge.hears(self, said))


@dataclass
class Edge:
    """Places calls as `edge.placement` does."""

    router: Router
    rtts: dict[str, float]
    clock: Clock
    agents: dict[str, Agent]
    placed: list[str] = field(default_factory=list)
    cold: int = 0

    def hears(self, agent: Agent, said: Stock) -> Callable[[], None]:
        return lambda: self.router.set_stock(agent.address, said)

    def call(self, asked: frozenset[str] = frozenset()) -> None:
        choice = self.router.route(PROFILE, asked=asked).choice
        if choice is None or not choice.warm:
            self.cold += 1
            return
        agent, rtt_s = self.agents[choice.address], self.rtts[choice.region]
        self.router.asked(choice, PROFILE)

        def answered(refusal: CloseReason | None) -> None:
            self.settle(choice, refusal, asked)

        self.clock.later(rtt_s / 2, lambda: agent.ask(answered, rtt_s))

    def settle(
        self, choice: Choice, refusal: CloseReason | None, asked: frozenset[str]
    ) -> None:
        self.router.answered(choice, PROFILE, refusal)
        if refusal is None:
            self.placed.append(choice.address)
        else:
            self.call(asked | {choice.address})


def play(edge_count: int, per_region: int, warm: int, seed: int) -> list[Edge]:
    """Let *edge_count* edges share a burst; return them when it is over."""
    clock, rng = Clock(), random.Random(seed)
    agents = {
        f"{region}-{n}": Agent(f"{region}-{n}", region, warm, clock)
        for region in REGIONS
        for n in range(per_region)
    }
    edges: list[Edge] = []
    for number in range(edge_count):
        rtts = list(REGIONS.values())[:: -1 if number else 1]
        router = Router(dict.fromkeys(REGIONS), config=RouterConfig(), rng=rng)
        edge = Edge(router, dict(zip(REGIONS, rtts, strict=True)), clock, agents)
        edges.append(edge)
        for agent in agents.values():
            router.add(agent.address, agent.region)
            router.set_link(agent.address, up=True, rtt_s=edge.rtts[agent.region])
    for agent in agents.values():
        agent.edges = edges
        agent.tell()
    for _ in range(CALLS):
        clock.later(1.0 + rng.random() * BURST_S, rng.choice(edges).call)
    clock.run()
    return edges


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("per_region", "warm"), [(1, 36), (2, 18), (6, 6)])
def test_all_calls_of_a_burst_are_warm_at_one_edge(
    per_region: int, warm: int, seed: int
) -> None:
    (edge,) = play(1, per_region, warm, seed)
    assert len(edge.placed) == CALLS
    assert not edge.cold
    most = max(agent.calls for agent in edge.agents.values())
    assert most <= 2 * CALLS / len(edge.agents)
    # Its own book told it what every agent still had.
    assert not any(agent.refused for agent in edge.agents.values())


@pytest.mark.parametrize("seed", range(10))
def test_all_calls_of_a_burst_are_warm_at_two_edges_that_know_nothing_of_each_other(
    seed: int,
) -> None:
    edges = play(2, 4, 11, seed)
    agents = edges[0].agents
    assert sum(len(edge.placed) for edge in edges) == CALLS
    assert not any(edge.cold for edge in edges)
    assert max(agent.calls for agent in agents.values()) <= 2 * CALLS / len(agents)
