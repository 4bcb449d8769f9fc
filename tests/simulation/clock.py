"""Virtual time: a heap of what is due, and processes that die or stand still."""

import heapq
from collections import deque
from collections.abc import Callable

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
    def now(self) -> float:
        return self.clock.now

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
