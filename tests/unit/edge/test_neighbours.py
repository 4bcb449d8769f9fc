import math
from dataclasses import dataclass, field

from backhaul.clock import monotonic_s
from backhaul.links import Link
from backhaul.settings import Secret
from edge.core.edge_choice import EdgeOption
from edge.core.geography import Point
from edge.neighbours import Neighbours
from edge.settings import EdgeSettings
from edge.site import EdgeSite


@dataclass
class Agent:
    edges: dict[str, float] = field(default_factory=dict[str, float])
    rooms: dict[str, int] = field(default_factory=dict[str, int])
    edges_told_at: float = -math.inf
    link: Link | None = None


def neighbours(*agents: Agent, **sites: EdgeSite) -> Neighbours:
    here = EdgeSite("https://here", "", 50.0, 8.0)
    settings = EdgeSettings(
        name="here",
        public_url=here.public_url,
        twilio_auth_tokens=(Secret("a"),),
        latitude=here.latitude,
        longitude=here.longitude,
        edges={"here": here, **sites},
    )
    return Neighbours(
        settings,
        agents=lambda: dict(zip("abc", agents, strict=False)),
        is_draining=lambda: False,
        room=lambda: 1,
    )


THERE = EdgeSite("https://there", "", 39.0, -77.0)
NOWHERE = EdgeSite("https://nowhere")


def test_only_other_edges_with_a_place_count() -> None:
    assert list(neighbours(there=THERE, nowhere=NOWHERE).sites) == ["there"]


def test_an_edge_is_alive_while_an_agent_says_so() -> None:
    agent = Agent({"there": 0.01, "unknown": 0.01}, edges_told_at=monotonic_s())
    known = neighbours(Agent(), agent, there=THERE)
    assert known.alive() == (EdgeOption("there", Point(39.0, -77.0)),)
    agent.edges_told_at -= 1.5
    assert known.alive() == ()


def test_an_edge_is_full_while_any_agent_says_so() -> None:
    now = monotonic_s()
    says = Agent({"there": 0.01}, {"there": 0}, edges_told_at=now)
    known = neighbours(Agent({"there": 0.01}, edges_told_at=now), says, there=THERE)
    assert known.full() == {"there"}
    assert [one.name for one in known.alive()] == ["there"]
    says.rooms["there"] = 1
    assert known.full() == frozenset()
    known.gave("there")
    assert known.full() == {"there"}
    says.edges_told_at -= 1.5
    assert known.full() == frozenset()


def test_only_the_agent_with_the_session_can_say_that_an_edge_reaches_it() -> None:
    hears = Agent({"there": 0.01}, edges_told_at=monotonic_s())
    deaf = Agent({}, edges_told_at=monotonic_s())
    old = Agent({"there": 0.01}, edges_told_at=monotonic_s() - 2)
    known = neighbours(hears, deaf, there=THERE)
    assert known.can_reach("there", hears)
    assert not known.can_reach("there", deaf)
    assert not known.can_reach("there", old)
    assert not known.can_reach("elsewhere", hears)
