"""The warm pool against a model of the world: connections open, die, are lent."""

import itertools
import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from backhaul.core.warm_pool import WarmPool
from backhaul.core.warm_pool_events import (
    TRANSITIONS,
    CloseConnection,
    ConnectionInput,
    ConnectionLost,
    ConnectionOpened,
    ConnectionReleased,
    ConnectionRequested,
    ConnectionSpent,
    ConnectionState,
    Drained,
    LendConnection,
    OpenConnection,
    OpenFailed,
    RefuseRequest,
    UsesChanged,
    WarmPoolAction,
    WarmPoolConfig,
    WarmPoolEvent,
)

CONFIG = WarmPoolConfig(
    floor=2,
    headroom=1,
    max_connections=7,
    max_concurrent_opens=2,
    max_age_s=60.0,
    max_idle_s=20.0,
)


class PoolWorld(RuleBasedStateMachine):
    """Everything around one pool, with time that only this machine moves."""

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.now = 1000.0
        self.pool = WarmPool(config=CONFIG, rng=random.Random(seed), now=self.now)
        self.tickets = itertools.count()
        self.opening: dict[int, int | None] = {}
        self.live: dict[int, int] = {}
        self.uses: dict[int, int] = {}
        self.opened_at: dict[int, float] = {}
        self.spoilt: set[int] = set()
        self.failed_at = 0.0
        self.answer: WarmPoolAction | None = None
        self.draining = False
        self.may_crowd = False
        self.perform(self.pool.expire(now=self.now))

    def feed(self, event: WarmPoolEvent) -> None:
        self.perform(self.pool.handle(event, now=self.now))

    def perform(self, actions: tuple[WarmPoolAction, ...]) -> None:
        for action in actions:
            match action:
                case OpenConnection(number, ticket):
                    assert number not in self.opening | self.live
                    self.opening[number] = ticket
                    if ticket is None:
                        assert not self.draining
                    else:
                        self.note_answer(action)
                case LendConnection(_, number):
                    if not self.may_crowd:
                        assert self.uses.get(number, 0) < self.live[number]
                    assert self.live[number]
                    assert number not in self.spoilt
                    self.uses[number] = self.uses.get(number, 0) + 1
                    self.note_answer(action)
                case RefuseRequest():
                    self.note_answer(action)
                case CloseConnection(number):
                    assert self.uses.get(number, 0) == 0, "cut off somebody"
                    assert self.opening.pop(number, None) is None
                    self.live.pop(number, None)

    def note_answer(self, action: WarmPoolAction) -> None:
        assert self.answer is None, "answered twice"
        self.answer = action

    @rule(seconds=st.one_of(st.floats(0, 2), st.floats(0, 80)))
    def time_passes(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.pool.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.perform(self.pool.expire(now=self.now))
            later = self.pool.next_deadline()
            assert later is None or later > self.now, "a deadline that never ends"
        self.now = until
        self.perform(self.pool.expire(now=self.now))

    @rule()
    def a_good_while_passes(self) -> None:
        """Whoever uses a connection keeps it, and everything opens that is to."""
        for _ in range(40):
            for number in list(self.opening):
                self.open_one(number, 3)
            self.time_passes(2.0)

    @rule()
    def somebody_asks(self) -> None:
        ticket = next(self.tickets)
        self.answer = None
        free = [
            number
            for number, most in self.live.items()
            if self.uses.get(number, 0) < most and number not in self.spoilt
        ]
        total = len(self.opening) + len(self.live)
        self.feed(ConnectionRequested(ticket))
        match self.answer:
            case LendConnection(given, number):
                assert given == ticket
                assert number in free
            case OpenConnection(ticket=given):
                assert given == ticket
                assert not self.draining
                assert not self.still_lendable(free)
            case answer:
                assert answer == RefuseRequest(ticket)
                assert self.draining or total >= CONFIG.max_connections

    @rule(may_crowd=st.booleans())
    def somebody_cannot_wait(self, may_crowd: bool) -> None:
        ticket = next(self.tickets)
        self.answer, self.may_crowd = None, may_crowd
        self.feed(ConnectionRequested(ticket, may_open=False, may_crowd=may_crowd))
        self.may_crowd = False
        assert not isinstance(self.answer, OpenConnection)
        good = [n for n, most in self.live.items() if most and n not in self.spoilt]
        if not may_crowd:
            good = [n for n in good if self.uses.get(n, 0) < self.live[n]]
        if isinstance(self.answer, RefuseRequest):
            assert not self.still_lendable(good)

    def still_lendable(self, free: list[int]) -> list[int]:
        """Return those of *free* that no shared use keeps while they drain."""
        return [number for number in free if self.uses.get(number, 0) == 0]

    @precondition(lambda self: self.opening)
    @rule(data=st.data(), max_uses=st.sampled_from([1, 1, 3]))
    def connection_opens(self, data: st.DataObject, max_uses: int) -> None:
        self.open_one(data.draw(st.sampled_from(list(self.opening))), max_uses)

    def open_one(self, number: int, max_uses: int) -> None:
        ticket = self.opening.pop(number)
        self.live[number] = max_uses
        self.opened_at[number] = self.now
        if ticket is not None:
            self.uses[number] = 1
        self.feed(ConnectionOpened(number, max_uses))

    @precondition(lambda self: self.live)
    @rule(data=st.data(), max_uses=st.sampled_from([0, 1, 3]))
    def uses_change(self, data: st.DataObject, max_uses: int) -> None:
        number = data.draw(st.sampled_from(list(self.live)))
        self.live[number] = max_uses
        self.feed(UsesChanged(number, max_uses))

    @precondition(lambda self: self.opening)
    @rule(data=st.data())
    def open_fails(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(list(self.opening)))
        del self.opening[number]
        self.failed_at = self.now
        self.feed(OpenFailed(number))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def connection_dies(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(list(self.live)))
        del self.live[number]
        self.uses.pop(number, None)
        self.failed_at = self.now  # it may have been too young
        self.feed(ConnectionLost(number))

    @precondition(lambda self: self.uses)
    @rule(data=st.data(), reusable=st.sampled_from([True, True, False]))
    def user_returns_it(self, data: st.DataObject, reusable: bool) -> None:
        number = data.draw(st.sampled_from(list(self.uses)))
        self.uses[number] -= 1
        if not self.uses[number]:
            del self.uses[number]
        if not reusable:
            self.spoilt.add(number)
        self.feed(ConnectionReleased(number, reusable))
        assert reusable or number not in self.live or number in self.uses

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def peer_winds_up(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(list(self.live)))
        self.spoilt.add(number)
        self.feed(ConnectionSpent(number))
        assert number not in self.live or number in self.uses

    @precondition(lambda self: any(self.opening.values()))
    @rule(data=st.data())
    def user_gives_up_waiting(self, data: st.DataObject) -> None:
        waiting = [key for key, ticket in self.opening.items() if ticket is not None]
        number = data.draw(st.sampled_from(waiting))
        self.opening[number] = None
        self.feed(ConnectionReleased(number))

    @precondition(lambda self: not self.draining)
    @rule(chance=st.integers(0, 19))
    def pool_drains(self, chance: int) -> None:
        if chance == 0:
            self.draining = True
            self.feed(Drained())

    @invariant()
    def counts_agree(self) -> None:
        stock = self.pool.stock()
        assert stock.opening == len(self.opening)
        assert stock.uses == sum(self.uses.values())
        assert stock.ready == len(self.live) - len(self.uses)
        assert stock.in_use + stock.draining == len(self.uses)
        total = len(self.live) + len(self.opening)
        assert total <= CONFIG.max_connections

    @invariant()
    def below_the_floor_only_with_a_reason(self) -> None:
        """Everything missing is being opened, or a limit or a failure forbids it."""
        lendable = sum(
            self.uses.get(number, 0) < most and number not in self.spoilt
            for number, most in self.live.items()
        )
        for_stock = sum(ticket is None for ticket in self.opening.values())
        full = len(self.live) + len(self.opening) >= CONFIG.max_connections
        busy = for_stock >= CONFIG.max_concurrent_opens
        backing_off = self.now - self.failed_at <= CONFIG.backoff.max_s
        excused = self.draining or full or busy or backing_off
        assert lendable + for_stock >= CONFIG.floor or excused

    @invariant()
    def old_ones_stay_only_without_others(self) -> None:
        """Full or not: what is too old is kept only where new ones are missing."""
        states = self.pool.states()
        old = [
            number
            for number, most in self.live.items()
            if most
            and self.now - self.opened_at[number] >= CONFIG.max_age_s
            and states[number] is not ConnectionState.DRAINING
        ]
        new = [
            number
            for number, most in self.live.items()
            if self.uses.get(number, 0) < most
            and number not in self.spoilt
            and self.now - self.opened_at[number] < 0.8 * CONFIG.max_idle_s
        ]
        assert not old or len(new) < CONFIG.target

    def make_all_good(self) -> None:
        for number in list(self.live):
            self.feed(UsesChanged(number, 1))

    def teardown(self) -> None:
        """Left alone in a world that works, exactly the target is ready."""
        if not hasattr(self, "pool"):
            return
        self.make_all_good()
        for number in list(self.uses):
            for _ in range(self.uses.pop(number)):
                self.feed(ConnectionReleased(number))
        for _ in range(100):
            for number in list(self.opening):
                if self.opening.pop(number) is not None:
                    self.uses[number] = 1
                self.live[number] = 1
                self.opened_at[number] = self.now
                self.feed(ConnectionOpened(number))
                if self.uses.pop(number, None):
                    self.feed(ConnectionReleased(number))
            self.time_passes(1.0)
        stock = self.pool.stock()
        wanted = 0 if self.draining else CONFIG.target
        assert stock.ready + len(self.opening) >= wanted
        assert stock.ready <= CONFIG.target + len(self.opening)


PoolWorld.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
TestWarmPool = PoolWorld.TestCase


def test_the_table_is_total() -> None:
    pairs = set(itertools.product(ConnectionState, ConnectionInput))
    assert set(TRANSITIONS) == pairs
