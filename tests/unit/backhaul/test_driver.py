"""The driver: feeds a machine, performs its actions, keeps one timer."""

import asyncio
from dataclasses import dataclass, field

from backhaul.clock import monotonic_s
from backhaul.driver import LoopDriver


@dataclass
class Countdown:
    """A machine that echoes events, and fires once when its deadline has passed."""

    deadline: float | None = None
    seen: list[str] = field(default_factory=list)

    def handle(self, event: str, *, now: float) -> tuple[str, ...]:
        self.seen.append(event)
        if event == "arm":
            self.deadline = now + 0.01
        return (f"did {event}",)

    def next_deadline(self) -> float | None:
        return self.deadline

    def expire(self, *, now: float) -> tuple[str, ...]:
        if self.deadline is None or now < self.deadline:
            return ()
        self.deadline = None
        return ("fired",)


async def test_an_event_raised_by_an_action_is_handled_after_it() -> None:
    machine = Countdown()
    done: list[str] = []

    def perform(action: str) -> None:
        if action == "did first":
            driver.feed("second")
        done.append(action)

    driver: LoopDriver[str, str] = LoopDriver(machine, perform)
    driver.feed("first")
    assert machine.seen == ["first", "second"]
    assert done == ["did first", "did second"]


async def test_a_deadline_fires_once_and_never_early() -> None:
    machine = Countdown()
    fired: asyncio.Queue[float] = asyncio.Queue()

    def perform(action: str) -> None:
        if action == "fired":
            fired.put_nowait(monotonic_s())

    driver: LoopDriver[str, str] = LoopDriver(machine, perform)
    driver.feed("arm")
    assert machine.deadline is not None
    due_at = machine.deadline
    async with asyncio.timeout(20):
        assert await fired.get() >= due_at
    assert machine.next_deadline() is None
    assert fired.empty()


async def test_a_machine_with_a_deadline_from_birth_is_started() -> None:
    machine = Countdown(deadline=monotonic_s() + 0.005)
    fired = asyncio.Event()
    driver: LoopDriver[str, str] = LoopDriver(machine, lambda _: fired.set())
    driver.start()
    async with asyncio.timeout(20):
        await fired.wait()


async def test_a_closed_driver_hears_nothing_and_fires_nothing() -> None:
    machine = Countdown()
    done: list[str] = []
    driver: LoopDriver[str, str] = LoopDriver(machine, done.append)
    driver.feed("arm")
    driver.close()
    driver.feed("late")
    await asyncio.sleep(0.05)
    assert done == ["did arm"]
    assert machine.seen == ["arm"]
