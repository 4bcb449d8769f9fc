"""Holds drills, one after the other, and tells how they went."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import uvloop
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from backhaul.errors import WarmlineError
from lab.drills.catalogue import DRILLS
from lab.drills.checker import audit
from lab.drills.drill import Drill
from lab.drills.scene import open_scene
from lab.drills.verdict import Figures, figures_of, result_of
from lab.drills.witness import collect

__all__ = ["DrillOptions", "hold", "list_drills", "run_drills"]

_MOST_AT_ONCE: Final = 60
"""Live calls of one round; more calls are several rounds, each on a new fabric."""
_MAX_CALLS: Final = 6000
_USUAL_CALLS: Final = 20
_SHORT_CALLS: Final = 3


@dataclass(frozen=True, slots=True)
class DrillOptions:
    """How drills are held.

    Attributes:
        calls: Of each drill; 0: as many as is usual.
        short: Few calls and no waiting; times are told, but not judged.
        leniency: By what times may be longer, on a slow machine.
    """

    calls: int = 0
    short: bool = False
    leniency: float = 1.0

    def rounds(self) -> list[int]:
        """Return how many calls each round has."""
        calls = self.calls or (_SHORT_CALLS if self.short else _USUAL_CALLS)
        full, rest = divmod(calls, _MOST_AT_ONCE)
        return [_MOST_AT_ONCE] * full + ([rest] if rest else [])

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        problems: list[str] = []
        if not 0 <= self.calls <= _MAX_CALLS:
            problems.append(f"--calls: must be between 1 and {_MAX_CALLS}")
        if not self.leniency >= 1:
            problems.append("--lenient: must be at least 1")
        return tuple(problems)


def run_drills(names: Sequence[str], options: DrillOptions, *, json: bool) -> int:
    """Hold the drills called *names*, all if there are none.

    Returns:
        The exit code: 0 only if every one is passed.
    """
    unknown = [name for name in names if name not in DRILLS]
    problems = [f"{name}: no such drill" for name in unknown]
    if problems := [*problems, *options.problems()]:
        known = f"drills: {', '.join(DRILLS)}"
        sys.stderr.writelines(f"{line}\n" for line in [*problems, known])
        return 2
    results: list[dict[str, Any]] = []
    console = Console(stderr=True)
    for name in names or DRILLS:
        console.print(f"{name}: {DRILLS[name].says}", highlight=False)
        results.append(uvloop.run(hold(DRILLS[name], options, _progress(console))))
        if json:
            sys.stdout.write(msgspec.json.encode(results[-1]).decode() + "\n")
            sys.stdout.flush()
    if not json:
        Console().print(_table(results))
    return 0 if all(result["verdict"] == "pass" for result in results) else 1


def list_drills() -> None:
    """Print which drills there are."""
    width = max(map(len, DRILLS))
    for name, drill in DRILLS.items():
        sys.stdout.write(f"{name:{width}}  {drill.says}\n")


async def hold(
    drill: Drill,
    options: DrillOptions,
    on_progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Hold one drill and return its verdict."""
    figures = Figures()
    for calls in options.rounds():
        try:
            figures.add(await _round(drill, calls, options.short, on_progress))
        except WarmlineError as exc:
            lost = Figures(calls, calls, complaints=[f"{exc.code}: {exc}"])
            figures.add(lost)
    leniency = None if options.short else options.leniency
    return result_of(drill.name, figures, drill.limits, leniency=leniency)


async def _round(
    drill: Drill, calls: int, short: bool, on_progress: Callable[[str], None]
) -> Figures:
    shape = drill.shape
    async with open_scene(shape, calls, short=short, on_progress=on_progress) as scene:
        on_progress(f"{calls} calls")
        await drill.course(scene)
        testimony = await collect(scene)
    history, struck_at = testimony.history, scene.struck_at
    if drill.live_only and struck_at is not None:
        history = history.begun_before(struck_at)
    found = audit(history, drill.allowed)
    figures = figures_of(history, found, struck_at=struck_at, since=drill.since)
    drill.judge(scene, testimony, figures)
    return figures


def _progress(console: Console) -> Callable[[str], None]:
    return lambda what: console.print(f"[dim]  {what}[/]", highlight=False)


def _table(results: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="Drills", box=SIMPLE_HEAD)
    table.add_column("drill", no_wrap=True)
    for name in ("calls", "recovered", "lost"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("detect, ms", "restore, ms"):
        table.add_column(f"{name}\np50/p99", justify="right", no_wrap=True)
    for name in ("audio lost, ms", "tools twice"):
        table.add_column(name, justify="right")
    table.add_column("verdict", no_wrap=True)
    table.add_column("why")
    for result in results:
        table.add_row(
            result["drill"],
            *(str(result[name]) for name in ("calls", "recovered", "lost")),
            *(_times(result[name]) for name in ("detect_ms", "restore_ms")),
            *(str(result[name]) for name in ("audio_lost_ms", "tools_twice")),
            result["verdict"],
            result["why"],
        )
    return table


def _times(values: dict[str, float | None]) -> str:
    return "/".join("-" if one is None else f"{one:.0f}" for one in values.values())
