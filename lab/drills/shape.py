"""What a drill runs on: its fabric, its callers, and the configuration of both."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import tomli_w

from lab.fabric_options import FabricOptions, example_config
from lab.realtime_model import NOTE
from lab.speech_files import caller_lines, reply_lines
from lab.twilio_plan import ExpectHeard, ReadPause, Step, Turn, Wait

__all__ = ["NUMBER", "Shape", "conversation", "write_config"]

NUMBER: Final = "+14155550100"
_PROFILE: Final = "front-desk"
_TURN_S: Final = 12.0
_SPARE: Final = 1.4
"""Warm sessions per expected call: random choices are never perfectly even."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The fabric and the callers of a drill.

    Attributes:
        turns: How often each caller speaks.
        pause_s: Silence of the callers before each turn but the first (s).
        spread_s: Calls begin within so long (s); the third of it in the short form.
        read_pause: When the carrier does not read.
        overrides: Settings of edges and agents.
        in_short: Further ones, where a drill is held in its short form.
        short_turns: `turns` of the short form.
        short_pause_s: `pause_s` of the short form.
        spare: Warm sessions for each call that is expected at an agent.
    """

    regions: int = 2
    agents: int = 2
    edges: int = 1
    turns: int = 4
    pause_s: float = 0.0
    spread_s: float = 3.0
    read_pause: ReadPause | None = None
    own_models: bool = False
    model_arguments: tuple[str, ...] = ()
    overrides: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict[str, Mapping[str, Any]]
    )
    in_short: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict[str, Mapping[str, Any]]
    )
    short_turns: int = 2
    short_pause_s: float = 0.0
    spare: float = _SPARE

    def settings(self, *, short: bool) -> dict[str, dict[str, Any]]:
        """Return the settings that are not as usual, by table."""
        none: Mapping[str, Mapping[str, Any]] = {}
        further = self.in_short if short else none
        return {
            table: {**self.overrides.get(table, {}), **further.get(table, {})}
            for table in {**self.overrides, **further}
        }

    def steps(self, *, short: bool) -> tuple[Step, ...]:
        """Return what each caller says and wants to hear."""
        if short:
            return conversation(self.short_turns, pause_s=self.short_pause_s)
        return conversation(self.turns, pause_s=self.pause_s)

    def length_s(self, *, short: bool) -> float:
        """Return how long a call takes, at most (s), if nothing goes wrong."""
        if short:
            return self.short_turns * (_TURN_S + self.short_pause_s)
        return self.turns * (_TURN_S + self.pause_s)

    def fabric(self, calls: int, config: Path, *, short: bool) -> FabricOptions:
        """Return a fabric for so many *calls* at once, any region of which may go."""
        agents = 1 if short else self.agents
        return FabricOptions(
            regions=self.regions,
            agents=agents,
            edges=self.edges,
            config=config,
            warm_sessions=round(calls / agents * self.spare) + 2,
            own_models=self.own_models,
            model_arguments=("--recalls", *self.model_arguments),
            overrides=self.settings(short=short),
        )


def write_config(path: Path, *, tool_url: str) -> None:
    """Write a configuration with one profile, which has the function `note`; blocks."""
    values = tomllib.loads(example_config().read_text(encoding="utf-8"))
    desk = values["profiles"][_PROFILE]
    desk["tools"] = [
        {
            "name": NOTE,
            "description": "Notes down that the caller has spoken, turn by turn.",
            "url": tool_url,
            "allow_private": True,
            "parameters": {
                "type": "object",
                "properties": {"turn": {"type": "integer"}},
                "required": ["turn"],
            },
        }
    ]
    desk["silence"] = {"after_s": 0}  # who listens for long is not asked for it
    values["profiles"] = {_PROFILE: desk}
    values["numbers"] = {NUMBER: _PROFILE}
    path.write_text(tomli_w.dumps(values), encoding="utf-8")


def conversation(turns: int, *, pause_s: float = 0.0) -> tuple[Step, ...]:
    """Return what a caller says and wants to hear.

    The reply to each turn is by its number, which only a model knows that knows all
    turns before.
    """
    steps: list[Step] = []
    lines = list(zip(caller_lines(), reply_lines(), strict=True))
    for number in range(turns):
        said, reply = lines[number % len(lines)]
        if number and pause_s:
            steps.append(Wait(pause_s))
        steps += [
            Turn(said.audio, name=said.name),
            ExpectHeard(reply.audio, reply.name),
        ]
    return tuple(steps)
