"""The figures that a session pool works by."""

from dataclasses import dataclass, field

from backhaul.core.backoff import Backoff

__all__ = ["Capacity", "PoolConfig"]


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Figures of one pool."""

    floor: int
    """Sessions kept ready, whatever was measured."""
    miss_probability: float = 0.01
    """Share of calls that may find no session ready; see `stock_sizing`."""
    headroom: float = 0.25
    """Share of sessions kept ready beyond what the calls ask for."""
    factor: float = 1.0
    """Over-provisioning of the whole stock, >= 1."""
    max_stock: int = 50
    """Never more sessions ready, unless the floor is higher."""
    proof_interval_s: float = 10.0
    """A session that answers no more is out of stock, and another in its place, this
    long after (s)."""
    proof_timeout_s: float = 2.0
    """A session that takes longer to prove that it answers is a zombie (s)."""
    max_warm_age_s: float = 1200.0
    """A session in stock is replaced before it is this old (s)."""
    min_call_time_left_s: float = 1800.0
    """Never lend a session with less than this before the server ends it (s)."""
    max_concurrent_opens: int = 8
    """Opens under way at the same time."""
    expected_open_s: float = 1.0
    """How long opening a session takes, until it was measured (s)."""
    lease_ttl_s: float = 40.0
    """An unredeemed lease returns its session after this (s)."""
    lease_wait_s: float = 3.0
    """How long a request waits for a cold session (s)."""
    refill_after_s: float = 1.0
    """So long after a call came only half of the stock is made up for (s)."""
    replace_lead_s: float = 30.0
    """At most so long before a session is too old its replacement is opened (s)."""
    backoff: Backoff = field(default_factory=Backoff)
    """Wait after failed opens."""


class Capacity:
    """Places for calls, shared by all pools of an agent.

    The limit may fall below what is in use: then there is no place until enough were
    given back.

    Attributes:
        limit: Most calls at once, ringing or talking.
        target: So many are carried with ease; beyond, edges ask other agents first.
        in_use: Places that are taken.
    """

    def __init__(self, limit: int, *, target: int | None = None) -> None:
        self.resize(limit, target=limit if target is None else target)
        self.in_use = 0

    def resize(self, limit: int, *, target: int) -> None:
        """Have *limit* places from now on, of which *target* are easy to give."""
        self.limit, self.target = limit, min(target, limit)

    def try_acquire(self) -> bool:
        """Take one place; return whether there was one."""
        if self.in_use >= self.limit:
            return False
        self.in_use += 1
        return True

    def retake(self) -> None:
        """Take the place that was given back just now, whatever the limit."""
        self.in_use += 1

    def release(self) -> None:
        """Give one place back."""
        self.in_use -= 1
