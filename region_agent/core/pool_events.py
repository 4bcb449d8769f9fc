"""What a session pool is told, what it orders, and the figures it works by."""

from dataclasses import dataclass, field

from backhaul.core.backoff import Backoff
from backhaul.core.messages import CloseReason
from region_agent.core.session_ladder import SessionState

__all__ = [
    "CallEnded",
    "Capacity",
    "Drained",
    "GrantLease",
    "LeaseRedeemed",
    "LeaseReleased",
    "LeaseRequested",
    "LeaseVoided",
    "OpenFailed",
    "OpenSession",
    "PoolAction",
    "PoolConfig",
    "PoolCounters",
    "PoolEvent",
    "PoolStock",
    "RefuseLease",
    "RetireSession",
    "SessionClosed",
    "SessionOpened",
    "SessionStateChanged",
]


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Figures of one pool."""

    floor: int
    """Sessions kept ready."""
    max_warm_age_s: float = 1200.0
    """A session in stock is replaced before it is this old (s)."""
    min_call_time_left_s: float = 1800.0
    """Never lend a session with less than this before the server ends it (s)."""
    opens_per_s: float = 10.0
    """Opens begun per second, over time; as many may begin at once."""
    max_concurrent_opens: int = 8
    """Opens under way at the same time."""
    lease_ttl_s: float = 40.0
    """An unredeemed lease returns its session after this (s)."""
    lease_wait_s: float = 3.0
    """How long a request waits for a cold session (s)."""
    replace_lead_s: float = 30.0
    """At most so long before a session is too old its replacement is opened (s)."""
    quiet_s: float = 30.0
    """After this long without a failed open, backoff starts afresh (s)."""
    backoff: Backoff = field(default_factory=Backoff)
    """Wait after failed opens."""


class Capacity:
    """Places for calls, shared by all pools of an agent."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Most calls at once, ringing or talking."""
        self.in_use = 0

    def try_acquire(self) -> bool:
        """Take one place; return whether there was one."""
        if self.in_use >= self.limit:
            return False
        self.in_use += 1
        return True

    def release(self) -> None:
        """Give one place back."""
        self.in_use -= 1


@dataclass(slots=True)
class PoolCounters:
    """What a pool did since it began."""

    opened: int = 0
    failed: int = 0
    closed: int = 0
    """Sessions that the server or the network ended."""
    retired: int = 0
    """Sessions that the pool ended."""
    warm_grants: int = 0
    cold_grants: int = 0
    refused: int = 0
    leases_expired: int = 0


@dataclass(frozen=True, slots=True)
class PoolStock:
    """How many sessions stand where."""

    connecting: int = 0
    configured: int = 0
    leased: int = 0
    in_call: int = 0


# Events


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The server accepted the profile's settings on *session*."""

    session: int
    expires_at: float
    """When the server will end it (monotonic s)."""


@dataclass(frozen=True, slots=True)
class OpenFailed:
    """*session* could not be opened."""

    session: int
    retry_after_s: float | None = None
    """What the server asked for, None when it did not say."""


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """*session* was closed by the server or the network."""

    session: int


@dataclass(frozen=True, slots=True)
class LeaseRequested:
    """A call rings and wants a session."""

    lease_id: str


@dataclass(frozen=True, slots=True)
class LeaseReleased:
    """The call behind the lease did not start."""

    lease_id: str


@dataclass(frozen=True, slots=True)
class LeaseRedeemed:
    """The call behind the lease began."""

    lease_id: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call on *session* is over."""

    session: int


@dataclass(frozen=True, slots=True)
class Drained:
    """The agent takes no more calls."""


# Actions


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Open a session and report it by this number."""

    session: int


@dataclass(frozen=True, slots=True)
class RetireSession:
    """Close *session*, or stop opening it."""

    session: int


@dataclass(frozen=True, slots=True)
class GrantLease:
    """Answer the request: a session is reserved."""

    lease_id: str
    warm: bool
    """Whether it was ready when the request came."""


@dataclass(frozen=True, slots=True)
class RefuseLease:
    """Answer the request: no session can be had."""

    lease_id: str
    reason: CloseReason


@dataclass(frozen=True, slots=True)
class SessionStateChanged:
    """*session* moved from *old* to *new*."""

    session: int
    old: SessionState
    new: SessionState
    reason: str


@dataclass(frozen=True, slots=True)
class LeaseVoided:
    """The lease ran out, or its session was lost and no other is in stock."""

    lease_id: str


PoolEvent = (
    SessionOpened
    | OpenFailed
    | SessionClosed
    | LeaseRequested
    | LeaseReleased
    | LeaseRedeemed
    | CallEnded
    | Drained
)
PoolAction = (
    OpenSession
    | RetireSession
    | GrantLease
    | RefuseLease
    | LeaseVoided
    | SessionStateChanged
)
