"""Decides which connections to one peer to open, lend, replace and retire.

The shell performs the actions and reports back: after `OpenConnection` exactly one of
`ConnectionOpened` and `OpenFailed` must follow, unless `CloseConnection` came first.
Whoever was given a connection reports `ConnectionReleased` once, whatever became of it.
"""

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from backhaul.core.warm_pool_events import (
    TRANSITIONS,
    CloseConnection,
    ConnectionInput,
    ConnectionLost,
    ConnectionOpened,
    ConnectionReleased,
    ConnectionRequested,
    ConnectionSpent,
    ConnectionState,
    Drained,
    LendConnection,
    OpenConnection,
    OpenFailed,
    RefuseRequest,
    UsesChanged,
    WarmPoolAction,
    WarmPoolConfig,
    WarmPoolCounters,
    WarmPoolEvent,
    WarmPoolStock,
)

if TYPE_CHECKING:
    from random import Random

__all__ = ["WarmPool"]

_ConnectionEvent: TypeAlias = (
    ConnectionReleased
    | ConnectionOpened
    | UsesChanged
    | OpenFailed
    | ConnectionLost
    | ConnectionSpent
)
_State, _Input = ConnectionState, ConnectionInput
_SPREAD = 0.2
"""Connections opened together are not replaced together."""


@dataclass(slots=True, eq=False)
class _Connection:
    number: int
    reserved: bool
    """A request waits for the open."""
    state: ConnectionState = _State.OPENING
    max_uses: int = 1
    uses: int = 0
    lent: bool = False
    """It has served at least one request."""
    stale: bool = False
    """It counts as missing, but may still be lent."""
    opened_at: float = 0.0
    used_at: float = 0.0
    replace_at: float = 0.0
    max_idle_s: float = 0.0

    @property
    def open(self) -> bool:
        # Not a set of states: hashing one costs more than the rest of a request.
        return self.state is _State.IN_USE or self.state is _State.READY

    @property
    def lendable(self) -> bool:
        return self.uses < self.max_uses and self.open

    @property
    def stale_at(self) -> float:
        if self.state is _State.READY:
            return min(self.replace_at, self.used_at + self.max_idle_s)
        return self.replace_at


class WarmPool:
    """Keeps `WarmPoolConfig.target` connections ready to be lent; a `Machine`.

    A stale connection is retired when its replacement is there, not before.
    """

    def __init__(self, *, config: WarmPoolConfig, rng: "Random", now: float) -> None:
        self.counters = WarmPoolCounters()
        self.draining = False
        self._config = config
        self._rng = rng
        self._numbers = itertools.count(1)
        self._connections: dict[int, _Connection] = {}
        self._failures = 0
        self._lost_unreplaced = 0
        self._open_again_at = now
        self._actions: list[WarmPoolAction] = []

    def stock(self) -> WarmPoolStock:
        """Return how many connections stand where."""
        connections = self._connections.values()
        states = Counter(connection.state for connection in connections)
        return WarmPoolStock(
            opening=states[_State.OPENING],
            ready=states[_State.READY],
            in_use=states[_State.IN_USE],
            draining=states[_State.DRAINING],
            uses=sum(connection.uses for connection in connections),
        )

    def lendable(self) -> tuple[int, ...]:
        """Return the connections that a request could get right now."""
        return tuple(one.number for one in self._lendable())

    def states(self) -> dict[int, ConnectionState]:
        """Return where every connection stands, by its number."""
        return {one.number: one.state for one in self._connections.values()}

    def handle(self, event: WarmPoolEvent, *, now: float) -> tuple[WarmPoolAction, ...]:
        """Take note of *event*; see `backhaul.core.machine.Machine`."""
        self._note_age(now)
        match event:
            case ConnectionRequested():
                self._on_requested(event, now)
            case Drained():
                self._on_drained()
            case _:
                self._on_connection_event(event, now)
        return self._settle(now)

    def next_deadline(self) -> float | None:
        """Return when `expire` wants to be called; see Machine."""
        deadlines = [one.stale_at for one in self._ageing() if not one.stale]
        if self._missing() > 0 and self._may_open() > 0:
            deadlines.append(self._open_again_at)
        return min(deadlines, default=None)

    def expire(self, *, now: float) -> tuple[WarmPoolAction, ...]:
        """Return what is due at *now*; see Machine."""
        return self._settle(now)

    # Requests

    def _on_requested(self, request: ConnectionRequested, now: float) -> None:
        connection = self._best(request.among)
        if connection is not None:
            self.counters.reused += 1
            self._lend(connection, request.ticket, now)
        elif request.may_open and not self.draining and self._room() > 0:
            # Even after failures: a request in need is worth a try of its own.
            self.counters.cold += 1
            self._open(request.ticket)
        else:
            self._on_exhausted(request, now)

    def _on_exhausted(self, request: ConnectionRequested, now: float) -> None:
        self.counters.exhausted += not self.draining
        crowded = self._least_crowded(request.among) if request.may_crowd else None
        if crowded is None:
            self._actions.append(RefuseRequest(request.ticket))
        else:
            self._lend(crowded, request.ticket, now)

    def _best(self, among: tuple[int, ...] | None) -> _Connection | None:
        """Return the hottest, so that surplus ones grow idle and go."""
        sign = -1 if self._config.packed else 1
        return min(
            (one for one in self._lendable() if among is None or one.number in among),
            key=lambda one: (one.stale, sign * one.uses, -one.used_at),
            default=None,
        )

    def _least_crowded(self, among: tuple[int, ...] | None) -> _Connection | None:
        return min(
            (
                one
                for one in self._connections.values()
                if one.open and one.max_uses and (among is None or one.number in among)
            ),
            key=lambda one: one.uses / one.max_uses,
            default=None,
        )

    def _lend(self, connection: _Connection, ticket: int, now: float) -> None:
        self._use(connection, now)
        self._actions.append(LendConnection(ticket, connection.number))

    def _use(self, connection: _Connection, now: float) -> None:
        connection.uses += 1
        connection.lent = True
        connection.used_at = now
        self._apply(connection, _Input.LENT)

    def _on_released(
        self, connection: _Connection, now: float, *, reusable: bool
    ) -> None:
        if connection.uses == 0:
            connection.reserved = False  # given up before it was open: it is stock
            return
        connection.uses -= 1
        connection.used_at = now
        if not reusable:
            self._apply(connection, _Input.DISCARDED)
        if connection.uses == 0:
            self._apply(connection, _Input.VACATED)

    # Connections

    def _on_drained(self) -> None:
        self.draining = True
        for connection in list(self._connections.values()):
            if not connection.reserved:
                self._apply(connection, _Input.DISCARDED)

    def _on_connection_event(
        self,
        event: _ConnectionEvent,
        now: float,
    ) -> None:
        connection = self._connections.get(event.number)
        if connection is None:
            return  # it was retired meanwhile
        match event:
            case ConnectionReleased(reusable=reusable):
                self._on_released(connection, now, reusable=reusable)
            case ConnectionLost():
                self._on_lost(connection, now)
            case ConnectionSpent():
                self._apply(connection, _Input.DISCARDED)
            case UsesChanged(max_uses=max_uses):
                connection.max_uses = max_uses
            case _ if connection.state is not _State.OPENING:
                pass  # reported twice
            case ConnectionOpened(max_uses=max_uses):
                self._on_opened(connection, max_uses, now)
            case _:
                self.counters.failures += 1
                self._back_off(now)
                self._apply(connection, _Input.OPEN_FAILED)

    def _on_opened(self, connection: _Connection, max_uses: int, now: float) -> None:
        self.counters.opened += 1
        if self._lost_unreplaced:
            self._lost_unreplaced -= 1
            self.counters.reopened += 1
        share = 1 - _SPREAD * self._rng.random()
        connection.max_uses = max_uses
        connection.opened_at = connection.used_at = now
        connection.replace_at = now + share * self._config.max_age_s
        connection.max_idle_s = share * self._config.max_idle_s
        self._apply(connection, _Input.OPENED)
        if connection.reserved:
            connection.reserved = False
            self._use(connection, now)

    def _on_lost(self, connection: _Connection, now: float) -> None:
        self.counters.lost += 1
        self._lost_unreplaced += 1
        age_s = now - connection.opened_at
        if not connection.lent and age_s < self._config.short_life_s:
            self._back_off(now)
        self._apply(connection, _Input.LOST)

    def _back_off(self, now: float) -> None:
        if now - self._open_again_at > self._config.quiet_s:
            self._failures = 0
        if now >= self._open_again_at:  # opens that fail together count once
            self._failures += 1
        wait_s = self._config.backoff.wait_s(max(self._failures, 1), rng=self._rng)
        self._open_again_at = max(self._open_again_at, now + wait_s)

    # What every event ends with

    def _settle(self, now: float) -> tuple[WarmPoolAction, ...]:
        self._note_age(now)
        self._retire_spent()
        self._open_missing(now)
        actions, self._actions = tuple(self._actions), []
        return actions

    def _note_age(self, now: float) -> None:
        for connection in self._connections.values():
            connection.stale = now >= connection.stale_at

    def _retire_spent(self) -> None:
        stale = [one for one in self._ageing() if one.stale]
        if stale:
            wanted = max(self.target - self._fresh(), 0)
            stale.sort(key=lambda one: one.opened_at, reverse=True)
            kept = [one for one in stale if one.lendable][:wanted]
            for connection in stale:
                # One that is full is no stock, but its users need somewhere to go.
                if connection not in kept and (connection.lendable or not wanted):
                    self._apply(connection, _Input.DISCARDED)
        if self.draining:
            for connection in self._lendable():
                self._apply(connection, _Input.DISCARDED)

    def _open_missing(self, now: float) -> None:
        missing = self._missing() if now >= self._open_again_at else 0
        if missing > 0:
            for _ in range(min(missing, self._may_open())):
                self._open(None)

    def _open(self, ticket: int | None) -> None:
        number = next(self._numbers)
        reserved = ticket is not None
        self._connections[number] = _Connection(number, reserved)
        self._actions.append(OpenConnection(number, ticket))

    # How things stand

    @property
    def target(self) -> int:
        """Connections that ought to be lendable."""
        return 0 if self.draining else self._config.target

    def _lendable(self) -> list[_Connection]:
        return [one for one in self._connections.values() if one.lendable]

    def _ageing(self) -> list[_Connection]:
        """Return those that are open, full or not, but for those not lent for now."""
        return [one for one in self._connections.values() if one.open and one.max_uses]

    def _fresh(self) -> int:
        return sum(not one.stale for one in self._lendable())

    def _opening_for_stock(self) -> int:
        return sum(
            one.state is _State.OPENING and not one.reserved
            for one in self._connections.values()
        )

    def _missing(self) -> int:
        return self.target - self._fresh() - self._opening_for_stock()

    def _room(self) -> int:
        return self._config.max_connections - len(self._connections)

    def _may_open(self) -> int:
        opening = self._opening_for_stock()
        return min(self._config.max_concurrent_opens - opening, self._room())

    def _apply(self, connection: _Connection, given: ConnectionInput) -> None:
        old, new = connection.state, TRANSITIONS[connection.state, given]
        connection.state = new
        if new is _State.RETIRED and old is not new:
            del self._connections[connection.number]
            if given in {_Input.DISCARDED, _Input.VACATED}:
                self.counters.retired += 1
                self._actions.append(CloseConnection(connection.number))
