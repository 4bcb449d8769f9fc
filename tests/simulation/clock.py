"""Virtual time: a heap of what is due, processes that die or stand still, drivers."""

import heapq
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from backhaul.core.machine import Machine

EventT = TypeVar("EventT")
ActionT = TypeVar("ActionT")

Act = Callable[[], None]


class Timer:
    """Something that is due later, unless it is cancelled."""

    __slots__ = ("act",)

    def __init__(self, act: Act) -> None:
        self.act: Act | None = act

    def cancel(self) -> None:
        self.act = None

    def fire(self) -> None:
        act, self.act = self.act, None
        if act is not None:
            act()


class Clock:
    """What is due, in order of time; at one time, in the order in which it came."""

    def __init__(self) -> None:
        self.now = 100.0
        self.steps = 0
        self._due: list[tuple[float, int, Timer]] = []
        self._order = 0

    def later(self, delay_s: float, act: Act) -> Timer:
        timer = Timer(act)
        self._order += 1
        heapq.heappush(self._due, (self.now + delay_s, self._order, timer))
        return timer

    def run(self, until: float) -> None:
        """Let time pass up to *until*."""
        due, pop = self._due, heapq.heappop
        while due and due[0][0] <= until:
            self.now, _, timer = pop(due)
            if timer.act is not None:
                self.steps += 1
                timer.fire()
        self.now = until


class Process:
    """One that can be killed, and can stand still: then what it does waits."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.alive = True
        self.hung = False
        self._backlog: deque[Timer] = deque()

    @property
    def runs(self) -> bool:
        return self.alive and not self.hung

    def later(self, delay_s: float, act: Act) -> Timer:
        """Do something later, if the process is still there then."""
        timer = Timer(act)
        self.clock.later(delay_s, lambda: self._fire(timer))
        return timer

    def run(self, act: Act) -> None:
        """Do something now, or when the process goes on."""
        if self.runs:
            act()
        elif self.alive:
            self._backlog.append(Timer(act))

    def hang(self) -> None:
        self.hung = True

    def resume(self) -> None:
        """Go on: first comes what waited."""
        self.hung = False
        backlog, self._backlog = self._backlog, deque()
        for timer in backlog:
            self._fire(timer)

    def _fire(self, timer: Timer) -> None:
        if self.runs:
            timer.fire()
        elif self.alive and timer.act is not None:
            self._backlog.append(timer)


class Driver(Generic[EventT, ActionT]):
    """What `backhaul.driver.LoopDriver` does, on virtual time."""

    def __init__(
        self,
        machine: Machine[EventT, ActionT],
        perform: Callable[[ActionT], None],
        process: Process,
    ) -> None:
        self._machine = machine
        self._perform = perform
        self._process = process
        self._queue: deque[EventT] = deque()
        self._busy = False
        self._closed = False
        self._timer: Timer | None = None
        self._armed_for: float | None = None

    def feed(self, event: EventT) -> None:
        if self._closed:
            return
        self._queue.append(event)
        if not self._busy:
            self._drain(())

    def start(self) -> None:
        self._drain(self._machine.expire(now=self._process.clock.now))

    def close(self) -> None:
        self._closed = True
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drain(self, actions: tuple[ActionT, ...]) -> None:
        self._busy = True
        for action in actions:
            self._perform(action)
        while self._queue:
            event = self._queue.popleft()
            now = self._process.clock.now
            for action in self._machine.handle(event, now=now):
                self._perform(action)
        self._busy = False
        self._arm()

    def _arm(self) -> None:
        deadline = None if self._closed else self._machine.next_deadline()
        if deadline == self._armed_for and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed_for = deadline
        if deadline is not None:
            delay_s = max(deadline - self._process.clock.now, 0.001)
            self._timer = self._process.later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._closed:
            self._drain(self._machine.expire(now=self._process.clock.now))
