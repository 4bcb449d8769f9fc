"""What a warm pool is told, what it orders, and where a connection in it stands."""

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Final, TypeAlias

from backhaul.core.backoff import Backoff

__all__ = [
    "TRANSITIONS",
    "CloseConnection",
    "ConnectionInput",
    "ConnectionLost",
    "ConnectionOpened",
    "ConnectionReleased",
    "ConnectionRequested",
    "ConnectionSpent",
    "ConnectionState",
    "Drained",
    "LendConnection",
    "OpenConnection",
    "OpenFailed",
    "RefuseRequest",
    "UsesChanged",
    "WarmPoolAction",
    "WarmPoolConfig",
    "WarmPoolCounters",
    "WarmPoolEvent",
    "WarmPoolStock",
]


class ConnectionState(Enum):
    """Where a connection stands."""

    OPENING = "opening"
    """Not usable yet."""
    READY = "ready"
    """Open, and nobody uses it."""
    IN_USE = "in_use"
    """Open, and used at least once right now."""
    DRAINING = "draining"
    """Still used, but never lent again."""
    RETIRED = "retired"
    """Gone, or ordered to go; never comes back."""


class ConnectionInput(Enum):
    """What can happen to one connection."""

    OPENED = "opened"
    OPEN_FAILED = "open_failed"
    LENT = "lent"
    VACATED = "vacated"
    """The last of its users gave it back."""
    DISCARDED = "discarded"
    """The pool wants it no longer."""
    LOST = "lost"
    """The peer, or the network, closed it."""


_S = ConnectionState
_I = ConnectionInput

TRANSITIONS: Final[dict[tuple[ConnectionState, ConnectionInput], ConnectionState]] = {
    # What has no meaning in a state changes nothing: peers and timers race.
    **{(state, given): state for state in _S for given in _I},
    # A connection may be lost wherever it stands.
    **{(state, _I.LOST): _S.RETIRED for state in _S},
    (_S.OPENING, _I.OPENED): _S.READY,
    (_S.OPENING, _I.OPEN_FAILED): _S.RETIRED,
    (_S.OPENING, _I.DISCARDED): _S.RETIRED,
    (_S.READY, _I.LENT): _S.IN_USE,
    (_S.READY, _I.DISCARDED): _S.RETIRED,
    (_S.IN_USE, _I.VACATED): _S.READY,
    (_S.IN_USE, _I.DISCARDED): _S.DRAINING,
    (_S.DRAINING, _I.VACATED): _S.RETIRED,
}
"""Where each input leads from each state; total."""


@dataclass(frozen=True, slots=True)
class WarmPoolConfig:
    """Figures of one pool."""

    floor: int
    """Connections that can be lent at once, always."""
    headroom: int = 0
    """Further ones on top of the floor, for bursts."""
    max_connections: int = 64
    """Connections at once, whatever they do; requests beyond are refused."""
    max_concurrent_opens: int = 4
    """Opens for stock under way at once; those for requests come on top."""
    max_age_s: float = 300.0
    """A connection is replaced at this age (s), up to a fifth earlier."""
    max_idle_s: float = 45.0
    """A connection unused for this long is replaced (s), up to a fifth earlier; shorter
    than the idle timeout of the peer, and of every box between. Infinite: never."""
    packed: bool = False
    """Fill one connection before the next is lent; else uses are spread evenly."""
    short_life_s: float = 1.0
    """A connection lost unused before this age (s) counts as an open that failed."""
    quiet_s: float = 30.0
    """So long after the last failure (s) the backoff starts anew."""
    backoff: Backoff = field(default_factory=Backoff)

    @property
    def target(self) -> int:
        """Connections to hold ready."""
        return self.floor + self.headroom


@dataclass(slots=True)
class WarmPoolCounters:
    """What has happened since the pool began."""

    opened: int = 0
    reopened: int = 0
    """Of those opened: in place of one that was lost."""
    reused: int = 0
    """Requests served by a connection that was open already."""
    cold: int = 0
    """Requests that had to wait for an open."""
    retired: int = 0
    lost: int = 0
    """Connections that the peer or the network closed."""
    failures: int = 0
    """Opens that failed."""
    exhausted: int = 0
    """Requests that found nothing to lend, and could not open a connection."""

    def add(self, other: "WarmPoolCounters") -> None:
        """Add what *other* counted."""
        for one in fields(self):
            count = getattr(self, one.name) + getattr(other, one.name)
            setattr(self, one.name, count)


@dataclass(frozen=True, slots=True)
class WarmPoolStock:
    """How many connections stand where, and how often they are in use."""

    opening: int
    ready: int
    in_use: int
    draining: int
    uses: int


# Events


@dataclass(frozen=True, slots=True)
class ConnectionRequested:
    """Somebody needs a connection now.

    Exactly one of `LendConnection`, `OpenConnection` with this ticket, and
    `RefuseRequest` is the answer, in the same turn.
    """

    ticket: int
    may_open: bool = True
    """False: it cannot wait for an open, and is refused instead."""
    may_crowd: bool = False
    """True: it rather shares one beyond its uses than is refused."""
    among: tuple[int, ...] | None = None
    """Connections that would do; None: any."""


@dataclass(frozen=True, slots=True)
class ConnectionReleased:
    """A request gave back what it got; also before the open has ended."""

    number: int
    reusable: bool = True
    """False: it must not be lent again."""


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """An ordered open succeeded."""

    number: int
    max_uses: int = 1
    """Requests that may share it."""


@dataclass(frozen=True, slots=True)
class UsesChanged:
    """An open connection is good for more requests than before, or for fewer.

    Those it serves already stay, whatever the number.
    """

    number: int
    max_uses: int
    """Requests that may share it; 0: it is not lent for now."""


@dataclass(frozen=True, slots=True)
class OpenFailed:
    """An ordered open failed."""

    number: int


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """An open connection turned out to be closed."""

    number: int


@dataclass(frozen=True, slots=True)
class ConnectionSpent:
    """The peer will serve those who use an open connection, and nobody else."""

    number: int


@dataclass(frozen=True, slots=True)
class Drained:
    """No more requests; what is idle goes now, the rest when it is given back."""


WarmPoolEvent: TypeAlias = (
    ConnectionRequested
    | ConnectionReleased
    | ConnectionOpened
    | UsesChanged
    | OpenFailed
    | ConnectionLost
    | ConnectionSpent
    | Drained
)


# Actions


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """Open a connection; `ConnectionOpened` or `OpenFailed` must follow."""

    number: int
    ticket: int | None = None
    """Whose request gets it as soon as it is open; None: it is for stock."""


@dataclass(frozen=True, slots=True)
class LendConnection:
    """An open connection serves the request."""

    ticket: int
    number: int


@dataclass(frozen=True, slots=True)
class RefuseRequest:
    """There is nothing to lend, and nothing may be opened."""

    ticket: int


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close a connection, or stop opening it."""

    number: int


WarmPoolAction: TypeAlias = (
    OpenConnection | LendConnection | RefuseRequest | CloseConnection
)
