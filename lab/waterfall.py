"""Draws what happened in a call as a waterfall: plain text, a line for each step."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["Step", "draw"]

_WIDTH: Final = 80
_NAME: Final = 24
_FIGURE: Final = 9
_ROOM: Final = _WIDTH - _NAME - _FIGURE - 2
_MS_PER_S: Final = 1000


@dataclass(frozen=True, slots=True)
class Step:
    """Something that took time, in milliseconds since the call began."""

    name: str
    start_ms: float
    end_ms: float
    depth: int = 0
    note: str = ""
    """Said behind the name."""


def draw(steps: Iterable[Step]) -> list[str]:
    """Return the lines, none longer than 80 columns; earlier steps come first."""
    ordered = sorted(steps, key=lambda step: (step.start_ms, step.depth))
    if not ordered:
        return []
    whole_ms = max(1.0, *(max(step.start_ms, step.end_ms) for step in ordered))
    return [_ruler(whole_ms), *(_line(step, whole_ms) for step in ordered)]


def _ruler(whole_ms: float) -> str:
    end = _shown(whole_ms)
    room = _ROOM - len(end)
    return f"{'':{_NAME + _FIGURE + 2}}0{'':{room - 1}}{end}"


def _line(step: Step, whole_ms: float) -> str:
    name = "  " * step.depth + step.name
    if step.note:
        name = f"{name} {step.note}"
    if len(name) > _NAME:
        name = name[: _NAME - 1] + "~"
    took = _shown(max(step.end_ms - step.start_ms, 0.0))
    return f"{name:{_NAME}}{took:>{_FIGURE}}  {_bar(step, whole_ms)}".rstrip()


def _bar(step: Step, whole_ms: float) -> str:
    """Return where the step lies; however short it is, it is seen."""
    start = min(int(max(step.start_ms, 0.0) / whole_ms * _ROOM), _ROOM - 1)
    end = min(round(step.end_ms / whole_ms * _ROOM), _ROOM)
    length = max(end - start, 1)
    return " " * start + ("#" * length if length > 1 else "|")


def _shown(duration_ms: float) -> str:
    if duration_ms < _MS_PER_S:
        digits = 1 if duration_ms < _MS_PER_S / 10 else 0
        return f"{duration_ms:.{digits}f} ms"
    seconds = duration_ms / _MS_PER_S
    return f"{seconds:.2f} s" if seconds < _MS_PER_S else f"{seconds:.0f} s"
