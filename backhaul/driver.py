"""Runs a machine on the event loop, or on another time; a core's only bridge to it."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from backhaul.clock import monotonic_s
from backhaul.core.machine import Machine

__all__ = ["Driver", "LoopDriver"]

EventT = TypeVar("EventT")
ActionT = TypeVar("ActionT")


class _Cancellable(Protocol):
    def cancel(self) -> None: ...


class _Time(Protocol):
    """Where a machine's time comes from."""

    @property
    def now(self) -> float:
        """Monotonic time (s)."""
        ...

    def later(self, delay_s: float, act: Callable[[], None]) -> _Cancellable:
        """Have *act* called once, *delay_s* seconds from now."""
        ...


class _LoopTime:
    """The running event loop's."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    @property
    def now(self) -> float:
        return monotonic_s()

    def later(self, delay_s: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_later(delay_s, act)


class Driver(Generic[EventT, ActionT]):
    """Feeds events to a machine, performs its actions and keeps one timer armed.

    An event raised while an action is being performed is queued and handled after
    it, so machines are never re-entered.
    """

    def __init__(
        self,
        machine: Machine[EventT, ActionT],
        perform: Callable[[ActionT], None],
        time: _Time,
    ) -> None:
        self._machine = machine
        self._perform = perform
        self._time = time
        self._queue: deque[EventT] = deque()
        self._busy = False
        self._closed = False
        self._timer: _Cancellable | None = None
        self._armed_for: float | None = None

    def feed(self, event: EventT) -> None:
        """Give *event* to the machine and perform what it orders."""
        if self._closed:
            return
        self._queue.append(event)
        if not self._busy:
            self._drain(())

    def start(self) -> None:
        """Arm the timer; call once when the machine has a deadline from birth."""
        self._drain(self._machine.expire(now=self._time.now))

    def close(self) -> None:
        """Stop the timer and ignore later events."""
        self._closed = True
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drain(self, actions: tuple[ActionT, ...]) -> None:
        self._busy = True
        try:
            self._perform_all(actions)
            while self._queue:
                event = self._queue.popleft()
                self._perform_all(self._machine.handle(event, now=self._time.now))
        finally:
            self._busy = False
            self._arm()

    def _perform_all(self, actions: tuple[ActionT, ...]) -> None:
        for action in actions:
            self._perform(action)

    def _arm(self) -> None:
        deadline = None if self._closed else self._machine.next_deadline()
        if deadline == self._armed_for and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed_for = deadline
        if deadline is not None:
            # uvloop fires early by up to 0.4 ms and spins below 1 ms: expire()
            # re-checks its deadline, and we never ask for less than a millisecond.
            delay_s = max(deadline - self._time.now, 0.001)
            self._timer = self._time.later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._busy or self._closed:
            return
        self._drain(self._machine.expire(now=self._time.now))


class LoopDriver(Driver[EventT, ActionT]):
    """A driver on the running event loop."""

    def __init__(
        self,
        machine: Machine[EventT, ActionT],
        perform: Callable[[ActionT], None],
    ) -> None:
        super().__init__(machine, perform, _LoopTime())
