"""A whole fabric on a virtual clock, drawn from one seed."""

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from backhaul.core.messages import KeptCall
from backhaul.core.profile import CallLength, Profile, Silence, TurnDetection
from backhaul.core.tools import Tool
from edge.core.call_machine import CallMachine
from edge.core.call_memory import CallMemory
from edge.core.region_health import RegionHealth
from region_agent.core.attachment import Attachment
from region_agent.core.conversation import Conversation
from region_agent.core.epoch_fence import EpochFence
from region_agent.core.realtime_protocol import server_answers, server_interrupts
from region_agent.core.session_pool import SessionPool
from region_agent.core.session_pulse import SessionPulse
from region_agent.core.write_ahead import WriteAhead
from tests.simulation.agent import Agent
from tests.simulation.carrier import Carrier
from tests.simulation.checker import Checker
from tests.simulation.clock import Clock
from tests.simulation.edge import Edge
from tests.simulation.faults import Faults
from tests.simulation.model import Region
from tests.simulation.network import Link, Path
from tests.simulation.script import Script, draw_script
from tests.simulation.tools import Tools

GREETING = "Good day, how can I help?"
_GREETING_BYTES = 9600
_SETTLES_S = 14.0
"""After the last call: leases run out, orphans are let go."""
_LONGEST_S = 150.0


@dataclass(frozen=True, slots=True)
class Machines:
    """The machines of production; a test may put a broken one in a place."""

    call_machine: type[CallMachine] = CallMachine
    call_memory: type[CallMemory] = CallMemory
    region_health: type[RegionHealth] = RegionHealth
    session_pool: type[SessionPool] = SessionPool
    session_pulse: type[SessionPulse] = SessionPulse
    epoch_fence: type[EpochFence] = EpochFence
    conversation: type[Conversation] = Conversation
    attachment: type[Attachment] = Attachment
    write_ahead: type[WriteAhead] = WriteAhead


PRODUCTION = Machines()


class World:
    """Everything there is in one simulation."""

    def __init__(self, seed: int, machines: Machines = PRODUCTION) -> None:
        self.seed = seed
        self.machines = machines
        self.rng = random.Random(seed)
        self.clock = Clock()
        self.checker = Checker(self)
        self.tools = Tools(self)
        self.log: list[tuple[object, ...]] = []
        self.links: list[Link] = []
        self.profile = _profile(self.rng)
        self.greeting = bytes(_GREETING_BYTES) if self.profile.greeting else b""
        self.profile_interrupts = server_interrupts(self.profile)
        self.profile_answers = server_answers(self.profile)
        self._numbers: Counter[str] = Counter()
        self._watchers: list[Callable[[str], None]] = []
        regions = [f"r{number}" for number in range(self.rng.choice((2, 2, 3)))]
        self.models = {name: Region() for name in regions}
        self.stores: dict[str, dict[str, KeptCall]] = {name: {} for name in regions}
        self.addresses = {
            f"{name}-a{number}": name
            for name in regions
            for number in range(self.rng.choice((1, 1, 2)))
        }
        self.agents = {
            address: Agent(self, address, region)
            for address, region in self.addresses.items()
        }
        names = [f"e{number}" for number in range(self.rng.choice((1, 2)))]
        self.edges = [Edge(self, name, self._paths(regions)) for name in names]
        self.scripts: dict[str, Script] = {}
        self.carriers = [self._carrier(n) for n in range(self.rng.choice((1, 1, 2, 3)))]
        self.faults = Faults(self)

    def _paths(self, regions: list[str]) -> dict[str, tuple[Path, Path]]:
        paths: dict[str, tuple[Path, Path]] = {}
        for name in regions:
            delay_s, jitter = self.rng.uniform(0.005, 0.09), self.rng.random
            out = Path(self.clock, delay_s, jitter)
            paths[name] = out, Path(self.clock, delay_s, jitter)
        return paths

    def _carrier(self, number: int) -> Carrier:
        script = draw_script(number, self.rng.uniform(8.0, 20.0), self.rng)
        self.scripts[script.call_sid] = script
        edge, after_s = self.rng.choice(self.edges), self.rng.uniform(0.1, 3.0)
        return Carrier(self, script, edge, dials_after_s=after_s)

    def phrase(self, text: str) -> bytes | None:
        """Return the audio of a fixed phrase: there is none in memory."""
        del text
        return None

    def new_number(self, kind: str) -> int:
        self._numbers[kind] += 1
        return self._numbers[kind]

    def note(self, kind: str, *facts: object) -> None:
        """Write down what happened; faults may wait for it."""
        self.log.append((round(self.clock.now, 6), kind, *facts))
        for watcher in self._watchers:
            watcher(kind)

    def watch(self, watcher: Callable[[str], None]) -> None:
        self._watchers.append(watcher)

    def violated(self, what: str, *facts: object) -> None:
        self.checker.violations.append(what)
        self.note("VIOLATED", what, *facts)

    @property
    def digest(self) -> str:
        """What happened, in short: the same for the same seed."""
        return hashlib.blake2b(repr(self.log).encode(), digest_size=16).hexdigest()

    def play(self) -> "World":
        """Let it all happen; what was violated is in the checker."""
        for agent in self.agents.values():
            agent.start()
        for edge in self.edges:
            edge.start()
        self.clock.run(self.clock.now + 2.0)
        self.faults.begin()
        for carrier in self.carriers:
            self.clock.later(carrier.dials_after_s, carrier.dial)
        ends_at = self.clock.now + _LONGEST_S
        while not all(one.over for one in self.carriers) and self.clock.now < ends_at:
            self.clock.run(self.clock.now + 1.0)
        self.faults.mend()
        self.clock.run(self.clock.now + _SETTLES_S)
        self.checker.at_the_end()
        return self


def _profile(rng: random.Random) -> Profile:
    answers = rng.random() < 0.75
    return Profile(
        instructions="Be kind.",
        greeting=GREETING if rng.random() < 0.8 else "",
        silence=Silence(after_s=0.0),
        length=CallLength(max_s=0.0),
        turn_detection=TurnDetection(create_response=answers),
        after_failover="continue" if rng.random() < 0.7 else "repeat",
        tools=(Tool(name="book", description="Books.", url="https://example.com/b"),),
    )
