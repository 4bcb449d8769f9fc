"""The endpoint of the tool that callers ask for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Execution:
    """The tool did what was wanted."""

    key: str
    epoch: int


@dataclass(slots=True)
class Tools:
    """The endpoint of the tool: does a thing once for each key."""

    world: "World"
    executed: dict[str, list[Execution]] = field(
        default_factory=dict[str, list[Execution]]
    )
    """By what was wanted: how often it was done."""

    def ask(
        self, execution: Execution, arguments: str, answer: Callable[[str], None]
    ) -> None:
        """Do what *arguments* say, and answer later."""
        turn: str = msgspec.json.decode(arguments)["turn"]
        rng, clock = self.world.rng, self.world.clock

        def execute() -> None:
            done = self.executed.setdefault(turn, [])
            if execution.key not in [one.key for one in done]:
                done.append(execution)
            clock.later(rng.uniform(0.05, 0.8), lambda: answer(f"done: {turn}"))

        clock.later(rng.uniform(0.005, 0.05), execute)
