"""What a drill is: what it breaks, under which calls, and what it has to reach."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from lab.drills.checker import Allowed
from lab.drills.scene import Scene
from lab.drills.shape import Shape
from lab.drills.verdict import Figures, Limits, Since
from lab.drills.witness import Testimony

__all__ = ["Drill", "under_calls"]

Course = Callable[[Scene], Awaitable[None]]
Judge = Callable[[Scene, Testimony, Figures], None]
"""Adds what else is wrong to the figures' complaints, or to what came too late."""


def _content(scene: Scene, testimony: Testimony, figures: Figures) -> None:
    """Find nothing else to complain of."""


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill.

    Attributes:
        name: What it is called on the command line.
        says: What is broken, in one line.
        course: Places the calls, breaks something, mends it, and waits for the end.
        judge: Judges what is special to it.
        live_only: Whether calls that came after the fault may be refused; they are for
            *judge* alone.
    """

    name: str
    says: str
    course: Course
    shape: Shape = field(default_factory=Shape)
    allowed: Allowed = field(default_factory=Allowed)
    limits: Limits = field(default_factory=Limits)
    since: Since = Since.STRIKE
    judge: Judge = _content
    live_only: bool = False


def under_calls(strike: Course) -> Course:
    """Return the usual course: all callers talk, the fault comes, all calls end."""

    async def course(scene: Scene) -> None:
        scene.place(scene.calls)
        await scene.wait_talking()
        await strike(scene)
        await scene.wait_ended()

    return course
