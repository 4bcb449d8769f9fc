import random
from dataclasses import dataclass, field

from backhaul.core.messages import ProfileStock, Stock
from backhaul.settings import Region, Secret
from edge.router_views import RouterViews
from edge.settings import EdgeSettings

SETTINGS = EdgeSettings(
    name="here",
    public_url="https://here.example.com",
    twilio_auth_tokens=(Secret("a"),),
    regions={"us-east": Region(agents=()), "eu-central": Region(agents=())},
)
STOCK = Stock({"desk": ProfileStock(5)}, target_calls=30, max_calls=50)


@dataclass
class Agent:
    address: str
    region: str
    edges: dict[str, float]
    stock: Stock = STOCK
    ready: bool = True


@dataclass
class Fleet:
    """Two agents; the edge that asks is near the European one."""

    us: Agent = field(
        default_factory=lambda: Agent("us:1", "us-east", {"there": 0.002, "x": 0.2})
    )
    eu: Agent = field(
        default_factory=lambda: Agent("eu:1", "eu-central", {"there": 0.09, "x": 0.01})
    )

    def views(self) -> RouterViews:
        views = RouterViews(SETTINGS, rng=random.Random(1))
        views.note(self.us)
        views.note(self.eu)
        return views


def chosen(views: RouterViews, edge: str) -> str:
    choice = views.of(edge).route("desk").choice
    return choice.address if choice is not None else ""


def test_a_call_is_routed_as_from_the_edge_that_is_to_have_it() -> None:
    views = Fleet().views()
    assert chosen(views, "there") == "us:1"
    assert chosen(views, "x") == "eu:1"


def test_an_agent_that_does_not_hear_of_the_edge_is_out_of_the_question() -> None:
    fleet = Fleet()
    views = fleet.views()
    assert chosen(views, "nobody hears of it") == ""
    del fleet.us.edges["there"]
    views.note(fleet.us)
    assert chosen(views, "there") == "eu:1"


def test_what_is_said_before_a_view_is_asked_for_counts_too() -> None:
    views = Fleet().views()
    assert views._views == {}
    assert chosen(views, "there") == "us:1"


def test_an_agent_out_of_reach_for_this_edge_can_be_asked_for_nothing() -> None:
    fleet = Fleet()
    views = fleet.views()
    assert chosen(views, "there") == "us:1"
    fleet.us.ready = False
    views.note(fleet.us)
    assert chosen(views, "there") == "eu:1"


def test_an_agent_that_is_removed_is_forgotten() -> None:
    views = Fleet().views()
    assert chosen(views, "there") == "us:1"
    views.remove("us:1")
    views.remove("never known")
    assert chosen(views, "there") == "eu:1"
    views.remove("eu:1")
    assert chosen(views, "x") == ""
