"""The health of a region: states, shares and orders agree, whatever is seen."""

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core.region_health import (
    HealthAction,
    HealthConfig,
    HealthInput,
    MoveCalls,
    RegionHealth,
    RegionState,
    RegionStateChanged,
    ShareChanged,
    Sighting,
    Stalled,
    Surge,
)

CONFIG = HealthConfig()
sights = st.one_of(
    st.builds(Sighting, st.booleans(), st.booleans(), st.booleans()),
    st.builds(Stalled),
)
histories = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.9, 2.0, 20.0, 400.0]), sights, st.booleans())
)


class World:
    """A region and its other ones, seen by an edge over time."""

    def __init__(self) -> None:
        self.others = True
        self.health = RegionHealth(CONFIG, may_eject=lambda: self.others)
        self.now = 0.0
        self.state = RegionState.HEALTHY
        self.share = 1.0
        self.surges = 0
        self.returns = 0

    def live(self, wait_s: float, seen: Sighting | Stalled) -> None:
        self.pass_until(self.now + wait_s)
        self.perform(self.health.handle(seen, now=self.now))

    def pass_until(self, end: float) -> None:
        for _ in range(50):
            due = self.health.next_deadline()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            self.perform(self.health.expire(now=self.now))
            # Floats may put a deadline just before what it is about.
            self.now += 1e-6
        else:
            raise AssertionError("deadlines without end")
        self.now = max(self.now, end)

    def perform(self, actions: tuple[HealthAction, ...]) -> None:
        failed = any(
            isinstance(one, RegionStateChanged) and one.reason is HealthInput.FAILING
            for one in actions
        )
        assert (MoveCalls() in actions) == failed
        assert not failed or self.others
        for action in actions:
            match action:
                case RegionStateChanged(old, new):
                    assert old is self.state
                    assert old is not new
                    self.state = new
                    self.returns += new is RegionState.HEALING
                case ShareChanged(share):
                    assert share != self.share
                    self.share = share
                case Surge(length_s):
                    self.surges += 1
                    assert length_s == CONFIG.healing_s
                case MoveCalls():
                    assert self.state is RegionState.DOWN
        self.check()

    def check(self) -> None:
        health = self.health
        assert (health.state, health.share) == (self.state, self.share)
        assert self.surges == self.returns
        match self.state:
            case RegionState.DOWN:
                assert self.share == 0.0
            case RegionState.HEALING:
                assert self.share in {0.0, *CONFIG.shares}
            case _:
                assert self.share == 1.0


@settings(deadline=None)
@given(histories)
def test_states_shares_and_orders_agree(
    history: list[tuple[float, Sighting | Stalled, bool]],
) -> None:
    world = World()
    for wait_s, seen, others in history:
        world.others = others
        world.live(wait_s, seen)


@settings(deadline=None)
@given(histories)
def test_a_region_that_is_well_again_gets_all_its_calls(
    history: list[tuple[float, Sighting | Stalled, bool]],
) -> None:
    world = World()
    for wait_s, seen, others in history:
        world.others = others
        world.live(wait_s, seen)
    world.live(0.0, Sighting(reachable=True))
    world.pass_until(world.now + CONFIG.max_hold_down_s + CONFIG.healing_s + 1)
    assert world.state is RegionState.HEALTHY


@settings(deadline=None)
@given(histories, st.floats(0.0, 1.0, exclude_max=True))
def test_an_early_timer_does_nothing(
    history: list[tuple[float, Sighting | Stalled, bool]], part: float
) -> None:
    world = World()
    for wait_s, seen, _ in history:
        world.live(wait_s, seen)
    due = world.health.next_deadline()
    if due is not None and due > world.now:
        early = world.now + part * (due - world.now) * 0.999
        assert world.health.expire(now=early) == ()
        assert world.health.next_deadline() == due
