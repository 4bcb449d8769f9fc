"""The router: whatever is known, nobody gets a call who must not have it."""

from dataclasses import dataclass, field

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from backhaul.core.close_reason import CloseReason
from backhaul.core.messages import Stock
from edge.core.router import Router
from edge.core.routes import Choice, RouterConfig, RouteReason
from tests.unit.router_fleet import DESK, add, figures, make_router, reasons, stock

REGIONS = ("a", "b", "c", "d")
ADDRESSES = tuple(f"{region}{n}" for region in REGIONS for n in range(3))

stocks = st.builds(
    stock,
    st.integers(0, 3),
    active=st.integers(0, 52),
    target=st.integers(0, 50),
    most=st.integers(0, 50),
    open_s=st.floats(0.05, 3),
    first_audio_s=st.floats(0, 2),
    draining=st.booleans(),
)
rtts = st.one_of(st.none(), st.floats(0.001, 1.0))
addresses = st.sampled_from(ADDRESSES)
residencies = st.one_of(st.none(), st.frozensets(st.sampled_from(REGIONS)))
refusals = st.one_of(st.none(), st.sampled_from(CloseReason))


@dataclass
class World:
    """A router, and what it was told, kept apart from it."""

    router: Router
    known: set[str] = field(default_factory=set)
    up: dict[str, bool] = field(default_factory=dict)
    said: dict[str, Stock | None] = field(default_factory=dict)
    open: list[Choice] = field(default_factory=list)

    def add(self, address: str) -> None:
        self.router.add(address, address[0])
        self.known.add(address)
        self.up.setdefault(address, False)
        self.said.setdefault(address, None)

    def remove(self, address: str) -> None:
        self.router.remove(address)
        self.known.discard(address)
        self.up.pop(address, None)
        self.said.pop(address, None)

    def link(self, address: str, *, up: bool, rtt_s: float | None) -> None:
        if address in self.known:
            self.router.set_link(address, up=up, rtt_s=rtt_s)
            self.up[address] = up

    def say(self, address: str, said: Stock | None) -> None:
        if address in self.known:
            self.router.set_stock(address, said)
            self.said[address] = said

    def live(self, step: tuple[object, ...]) -> None:
        match step:
            case ("add", str(address)):
                self.add(address)
            case ("remove", str(address)):
                self.remove(address)
            case ("link", str(address), bool(up), (float() | None) as rtt_s):
                self.link(address, up=up, rtt_s=rtt_s)
            case ("say", str(address), (Stock() | None) as said):
                self.say(address, said)
            case _:
                self.place(step)

    def place(self, step: tuple[object, ...]) -> None:
        match step:
            case ("call", (frozenset() | None) as allowed, frozenset(asked)):
                choice = self.call(allowed, asked)
                if choice is not None:
                    self.router.asked(choice, DESK)
                    self.open.append(choice)
            case ("answer", (CloseReason() | None) as refusal) if self.open:
                self.router.answered(self.open.pop(), DESK, refusal)
            case _:
                pass

    def call(
        self, allowed: frozenset[str] | None, asked: frozenset[str]
    ) -> Choice | None:
        decision = self.router.route(DESK, allowed=allowed, asked=asked)
        explained = reasons(decision)
        assert set(explained) == set(REGIONS)
        chosen = [name for name, why in explained.items() if why is RouteReason.CHOSEN]
        if decision.choice is None:
            assert not chosen
            return None
        self.check(decision.choice, allowed, asked)
        assert chosen == [decision.choice.region]
        best_ms = min(
            one.predicted_ms
            for one in decision.candidates
            if allowed is None or one.region in allowed
        )
        kept_ms = decision.choice.predicted_ms
        assert best_ms <= kept_ms
        assert best_ms >= kept_ms * 0.9 - 1e-9
        return decision.choice

    def check(
        self, choice: Choice, allowed: frozenset[str] | None, asked: frozenset[str]
    ) -> None:
        assert allowed is None or choice.region in allowed
        assert choice.address in self.known
        assert choice.address not in asked
        assert choice.address[0] == choice.region
        assert self.up[choice.address]
        said = self.said[choice.address]
        assert said is not None
        assert not said.draining
        assert said.active_calls < said.max_calls
        assert not choice.warm or said.warm(DESK) > 0


steps = st.one_of(
    st.tuples(st.just("add"), addresses),
    st.tuples(st.just("remove"), addresses),
    st.tuples(st.just("link"), addresses, st.booleans(), rtts),
    st.tuples(st.just("say"), addresses, st.one_of(st.none(), stocks)),
    st.tuples(st.just("call"), residencies, st.frozensets(addresses, max_size=4)),
    st.tuples(st.just("answer"), refusals),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(steps, max_size=60), st.integers(0, 9))
def test_no_call_goes_where_it_must_not(
    history: list[tuple[object, ...]], seed: int
) -> None:
    world = World(make_router(dict.fromkeys(REGIONS), seed=seed))
    for address in ADDRESSES[::2]:
        world.add(address)
        world.link(address, up=True, rtt_s=0.05)
        world.say(address, stock(2))
    for step in history:
        world.live(step)


@st.composite
def fleets(draw: st.DrawFn) -> dict[str, tuple[Stock, float | None]]:
    return {
        address: (draw(stocks), draw(rtts))
        for address in draw(st.lists(addresses, min_size=1, unique=True))
    }


def known(fleet: dict[str, tuple[Stock, float | None]]) -> Router:
    router = make_router(dict.fromkeys(REGIONS), config=RouterConfig(hysteresis=0.0))
    for address, (said, rtt_s) in fleet.items():
        add(router, address, address[0], said, rtt_s=rtt_s)
    return router


@settings(deadline=None)
@given(fleets(), st.floats(0.0, 0.999))
def test_a_region_that_gets_nearer_keeps_its_calls(
    fleet: dict[str, tuple[Stock, float | None]], nearer: float
) -> None:
    router = known(fleet)
    choice = router.route(DESK).choice
    assume(choice is not None)
    assert choice is not None
    before_ms = figures(router.route(DESK), choice.region).predicted_ms
    for address, (_, rtt_s) in fleet.items():
        if address[0] == choice.region and rtt_s is not None:
            router.set_link(address, up=True, rtt_s=rtt_s * nearer)
    again = router.route(DESK)
    assert again.choice is not None
    assert again.choice.region == choice.region
    assert again.choice.predicted_ms <= before_ms


@settings(deadline=None)
@given(fleets(), st.floats(1.001, 9.0))
def test_what_others_lose_brings_a_region_no_harm(
    fleet: dict[str, tuple[Stock, float | None]], farther: float
) -> None:
    router = known(fleet)
    choice = router.route(DESK).choice
    assume(choice is not None)
    assert choice is not None
    for address, (_, rtt_s) in fleet.items():
        if address[0] != choice.region and rtt_s is not None:
            router.set_link(address, up=True, rtt_s=rtt_s * farther)
    again = router.route(DESK).choice
    assert again is not None
    assert again.region == choice.region


@settings(deadline=None)
@given(st.lists(st.floats(0.91, 1.09), min_size=2, max_size=60))
def test_regions_that_are_alike_never_make_calls_flap(wobble: list[float]) -> None:
    router = make_router({"a": None, "b": None})
    for name in "ab":
        add(router, name, name, stock(9, first_audio_s=0.001), rtt_s=0.1)
    first = router.route(DESK).choice
    assert first is not None
    other = "b" if first.region == "a" else "a"
    for factor in wobble:
        router.set_link(other, up=True, rtt_s=0.1 * factor)
        now = router.route(DESK).choice
        assert now is not None
        assert now.region == first.region


@settings(deadline=None)
@given(fleets(), st.integers(0, 99))
def test_the_same_is_decided_again(
    fleet: dict[str, tuple[Stock, float | None]], seed: int
) -> None:
    seen = []
    for _ in range(2):
        router = make_router(dict.fromkeys(REGIONS), seed=seed)
        for address, (said, rtt_s) in fleet.items():
            add(router, address, address[0], said, rtt_s=rtt_s)
        seen.append([router.route(DESK) for _ in range(5)])
    assert seen[0] == seen[1]
