"""What goes wrong in a world, and when: drawn from its seed.

A fault comes at some moment, or right after something has happened for the n-th time:
races hide behind events, not on the clock. One region is spared in most worlds, so
that no call has an excuse to be lost.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.agent import Agent
from tests.simulation.edge import Edge

if TYPE_CHECKING:
    from tests.simulation.world import World

Undo = Callable[[], None]

_EVENTS = {
    "dialled": 2,
    "lease_asked": 4,
    "lease_granted": 4,
    "call": 6,
    "opened": 4,
    "checkpoint": 20,
    "committed": 6,
    "tool_called": 3,
    "region": 4,
}
"""What faults follow upon, and after which time of it at the latest."""


class Faults:
    """The faults of one world."""

    def __init__(self, world: "World") -> None:
        self.ended_at = 0.0
        """When the last one was over."""
        self.happened: list[str] = []
        self.broken_streams: dict[str, int] = {}
        self.blind: set[str] = set()
        """Calls that were looked for when nobody in their region could be asked."""
        self.between_edges: set[str] = set()
        """Calls whose session died when their next edge knew nothing of them yet."""
        self.edge_killed = False
        self._world = world
        self._rng = rng = world.rng
        regions = list(world.models)
        self.spared = self._spare(regions) if rng.random() < 0.85 else ""
        self._regions = [name for name in regions if name != self.spared]
        self.kinds: dict[str, Callable[[], Undo]] = {
            "kill agent": self._kill_agent,
            "hang agent": self._hang_agent,
            "drain agent": self._drain_agent,
            "kill region": self._kill_region,
            "partition": self._partition,
            "one way": self._one_way,
            "model down": self._model_down,
            "rate limit": self._rate_limit,
            "model slow": self._model_slow,
            "mute": self._mute,
            "wordless": self._wordless,
            "deaf": self._deaf,
            "expiry": self._expiry,
            "close session": self._close_session,
            "break stream": self._break_stream,
            "move calls": self._move_calls,
            "hang edge": self._hang_edge,
            "kill edge": self._kill_edge,
            "drain edge": self._drain_edge,
        }
        self._pending: list[Undo] = []
        self._armed: list[tuple[str, int, Callable[[], None]]] = []
        self._counts: dict[str, int] = {}
        self._over = False

    def _spare(self, regions: list[str]) -> str:
        """Return a region, as a rule one that calls come to only when others fail."""
        if self._rng.random() < 0.2:
            return self._rng.choice(regions)
        paths = self._world.edges[0].paths
        return max(regions, key=lambda name: paths[name][0].delay_s)

    @property
    def safe(self) -> bool:
        """Whether some region never fails."""
        return bool(self.spared)

    def begin(self) -> None:
        """Arm what will go wrong."""
        rng = self._rng
        at_s = 0.0
        if len(self._world.edges) > 1 and rng.random() < 0.2:
            self._world.clock.later(0.0, self._answer_late)
        for _ in range(rng.choice((0, 1, 2, 2, 3, 4, 5))):
            kind = rng.choice(list(self.kinds))
            length_s = rng.choice((0.3, 1.0, 3.0, 8.0)) * rng.uniform(0.7, 1.5)
            happen = functools.partial(self._happen, kind, length_s)
            if rng.random() < 0.5:
                near_s = at_s + rng.uniform(0.0, 1.5)
                at_s = near_s if rng.random() < 0.4 else rng.uniform(1.0, 16.0)
                self._world.clock.later(at_s, happen)
            else:
                event, most = rng.choice(list(_EVENTS.items()))
                self._armed.append((event, rng.randint(1, most), happen))
        self._world.watch(self._on_event)

    def mend(self) -> None:
        """Nothing goes wrong any more."""
        self._armed.clear()
        self._over = True
        for undo in list(self._pending):
            undo()

    def _on_event(self, event: str) -> None:
        count = self._counts[event] = self._counts.get(event, 0) + 1
        for awaited, number, happen in self._armed:
            if (awaited, number) == (event, count):
                delay_s = self._rng.choice((0.0, 0.02, 0.1)) * self._rng.random()
                self._world.clock.later(delay_s, happen)

    def _happen(self, kind: str, length_s: float) -> None:
        if self._over:
            return
        self.happened.append(kind)
        self._world.note("fault", kind)
        undo = self.kinds[kind]()
        once = _Once(self, kind, undo)
        self._pending.append(once)
        self._world.clock.later(length_s, once)

    def over(self, kind: str, undo: Undo) -> None:
        self._pending.remove(undo)
        self.ended_at = self._world.clock.now
        self._world.note("mended", kind)

    def _look(self) -> None:
        for link in list(self._world.links):
            link.look()

    # Agents

    def _agents(self) -> list[str]:
        """Return those that may fail; as a rule, only those that have calls."""
        world = self._world
        able = [
            one for one, region in world.addresses.items() if region in self._regions
        ]
        busy = [one for one in able if world.agents[one].bridges]
        return busy if busy and self._rng.random() < 0.8 else able

    def _kill_agent(self) -> Undo:
        agents = self._agents()
        return self._kill(self._rng.choice(agents)) if agents else _nothing

    def _kill(self, address: str) -> Undo:
        killed = self._world.agents[address]
        if killed.alive:
            killed.kill()
            self._look()
        return lambda: self._start(address)

    def _start(self, address: str) -> None:
        world = self._world
        if not world.agents[address].alive:
            agent = Agent(world, address, world.addresses[address])
            world.agents[address] = agent
            agent.start()

    def _kill_region(self) -> Undo:
        if not self._regions:
            return _nothing
        region, known = self._region(), self._world.addresses
        addresses = [one for one, where in known.items() if where == region]
        undos = [self._kill(address) for address in addresses]
        return functools.partial(_all, undos)

    def _hang_agent(self) -> Undo:
        agents = self._agents()
        if not agents:
            return _nothing
        agent = self._world.agents[self._rng.choice(agents)]
        agent.hang()
        self._look()

        def resume() -> None:
            agent.resume()
            self._look()

        return resume

    def _drain_agent(self) -> Undo:
        agents = self._agents()
        if not agents:
            return _nothing
        address = self._rng.choice(agents)
        agent = self._world.agents[address]
        timeout_s = self._rng.uniform(0.5, 4.0)
        agent.run(lambda: agent.drain(timeout_s))

        def stop() -> None:
            if agent is self._world.agents[address]:
                self._kill(address)
                self._world.clock.later(1.0, lambda: self._start(address))

        def after() -> None:
            self._world.clock.later(timeout_s + 0.2, stop)

        return after

    # Network

    def _partition(self) -> Undo:
        return self._block(both=True)

    def _one_way(self) -> Undo:
        return self._block(both=False)

    def _block(self, *, both: bool) -> Undo:
        if not self._regions:
            return _nothing
        edge = self._rng.choice(self._world.edges)
        ways = list(edge.paths[self._region()])
        if not both:
            ways = [self._rng.choice(ways)]
        for way in ways:
            way.blocked = True
        self._look()

        def unblock() -> None:
            for way in ways:
                way.blocked = False
            self._look()

        return unblock

    # The model

    def _region(self) -> str:
        agents = self._agents()
        return self._world.addresses[self._rng.choice(agents)] if agents else ""

    def _model_down(self) -> Undo:
        model = self._world.models.get(self._region())
        if model is None:
            return _nothing
        model.up = False
        for session in list(model.sessions):
            session.lose()
        return lambda: setattr(model, "up", True)

    def _rate_limit(self) -> Undo:
        model = self._world.models.get(self._region())
        if model is None:
            return _nothing
        model.limits_rate = True
        return lambda: setattr(model, "limits_rate", False)

    def _model_slow(self) -> Undo:
        model = self._world.models.get(self._region())
        if model is None:
            return _nothing
        model.slow = self._rng.uniform(2.0, 12.0)
        return lambda: setattr(model, "slow", 1.0)

    def _mute(self) -> Undo:
        model = self._world.models.get(self._region())
        for session in [] if model is None else model.sessions:
            session.mute = True
        return _nothing

    def _wordless(self) -> Undo:
        model = self._world.models.get(self._region())
        for session in [] if model is None else model.sessions:
            session.wordless = True
        return _nothing

    def _deaf(self) -> Undo:
        model = self._world.models.get(self._region())
        for session in [] if model is None else model.sessions:
            session.deaf = True
        return _nothing

    def _expiry(self) -> Undo:
        model = self._world.models.get(self._region())
        if model is None:
            return _nothing
        model.session_s = self._rng.uniform(12.0, 25.0)
        return lambda: setattr(model, "session_s", 3600.0)

    def _close_session(self) -> Undo:
        sessions = [
            session
            for model in self._world.models.values()
            for session in model.sessions
            if session.bridge is not None
        ]
        if sessions:
            self._rng.choice(sessions).lose()
        return _nothing

    # Edges and carrier

    def _break_stream(self) -> Undo:
        carrier = self._rng.choice(self._world.carriers)
        sid = carrier.script.call_sid
        self.broken_streams[sid] = self.broken_streams.get(sid, 0) + 1
        carrier.break_stream()
        return _nothing

    def _move_calls(self) -> Undo:
        edge = self._rng.choice(self._world.edges)
        for call in list(edge.calls.values()):
            edge.run(call.move)
        return _nothing

    def _hang_edge(self) -> Undo:
        return self._hang(self._rng.choice(self._world.edges))

    def _hang(self, edge: Edge) -> Undo:
        hung_at = self._world.clock.now
        edge.hang()
        self._look()

        def resume() -> None:
            edge.stood_still_s = max(
                edge.stood_still_s, self._world.clock.now - hung_at
            )
            edge.resume()
            self._look()

        return resume

    def _drain_edge(self) -> Undo:
        takers = [one for one in self._world.edges if one.takes_calls]
        if len(takers) > 1:
            edge = self._rng.choice(takers)
            edge.run(edge.drain)
        return _nothing

    def _answer_late(self) -> None:
        """An edge answers a webhook when the carrier has already asked another one."""
        carrier = self._rng.choice(self._world.carriers)
        length_s = self._rng.uniform(1.4, 1.8)
        hang = functools.partial(self._hang_for, length_s, carrier.edge)
        self._world.clock.later(carrier.dials_after_s - 0.02, hang)

    def _hang_for(self, length_s: float, edge: Edge) -> None:
        self._world.note("fault", "hang edge")
        self._world.clock.later(length_s, self._hang(edge))

    def _kill_edge(self) -> Undo:
        alive = [one for one in self._world.edges if one.takes_calls]
        if len(alive) > 1:
            self.edge_killed = True
            self._rng.choice(alive).kill()
            self._look()
        return _nothing


class _Once:
    """Undoes a fault, the first time it is asked to."""

    def __init__(self, faults: Faults, kind: str, undo: Undo) -> None:
        self._faults = faults
        self._kind = kind
        self._undo: Undo | None = undo

    def __call__(self) -> None:
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()
            self._faults.over(self._kind, self)


def _nothing() -> None:
    pass


def _all(undos: list[Undo]) -> None:
    for undo in undos:
        undo()
