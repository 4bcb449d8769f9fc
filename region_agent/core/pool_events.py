"""What a session pool is told, what it orders, and what it says of itself."""

from dataclasses import dataclass

from backhaul.core.messages import CloseReason
from region_agent.core.session_ladder import SessionState

__all__ = [
    "CallEnded",
    "Drained",
    "GrantLease",
    "LeaseRedeemed",
    "LeaseReleased",
    "LeaseRequested",
    "LeaseVoided",
    "OpenFailed",
    "OpenSession",
    "PoolAction",
    "PoolCounters",
    "PoolEvent",
    "PoolStock",
    "ProofGiven",
    "ProveSession",
    "RefuseLease",
    "RetireSession",
    "SessionClosed",
    "SessionOpened",
    "SessionReport",
    "SessionStateChanged",
    "SurgeOrdered",
]


@dataclass(slots=True)
class PoolCounters:
    """What a pool did since it began."""

    opened: int = 0
    failed: int = 0
    closed: int = 0
    """Sessions that the server or the network ended."""
    retired: int = 0
    """Sessions that the pool ended, zombies apart."""
    zombies: int = 0
    """Sessions that were open but did not answer any more."""
    proofs: int = 0
    """Proofs that were asked for."""
    doubted: int = 0
    """Times that a proof was overdue, given in the end or not."""
    warm_grants: int = 0
    cold_grants: int = 0
    refused: int = 0
    leases_expired: int = 0
    leases_moved: int = 0
    """Leases whose session was lost, or in doubt, and had a successor."""


@dataclass(frozen=True, slots=True)
class PoolStock:
    """How many sessions stand where."""

    connecting: int = 0
    configured: int = 0
    verified: int = 0
    leased: int = 0
    in_call: int = 0


@dataclass(frozen=True, slots=True)
class SessionReport:
    """Where one session stands."""

    number: int
    state: SessionState
    since_s: float
    """How long it has been in this state (s)."""
    age_s: float | None
    """Since it was open (s), None before."""
    proof_age_s: float | None
    """Since it last proved that it answers (s), None before it did."""


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
    rate_limited: bool = False
    """Whether the server asks to slow down."""
    retry_after_s: float | None = None
    """For how long (s), None when it did not say."""


@dataclass(frozen=True, slots=True)
class SurgeOrdered:
    """More sessions than usual are wanted for a while."""

    factor: float
    length_s: float


@dataclass(frozen=True, slots=True)
class ProofGiven:
    """*session* answered what it was asked."""

    session: int


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """*session* was closed by the server or the network."""

    session: int


@dataclass(frozen=True, slots=True)
class LeaseRequested:
    """A call rings and wants a session."""

    lease_id: str
    cold: bool = False
    """Whether it can wait until one is opened for it."""


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
class ProveSession:
    """Ask *session* for something that costs nothing, and report its answer."""

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
    | ProofGiven
    | SessionClosed
    | LeaseRequested
    | LeaseReleased
    | LeaseRedeemed
    | CallEnded
    | SurgeOrdered
    | Drained
)
PoolAction = (
    OpenSession
    | ProveSession
    | RetireSession
    | GrantLease
    | RefuseLease
    | LeaseVoided
    | SessionStateChanged
)
