"""What an edge knows of one agent, with its own leases since then taken off."""

from backhaul.core.messages import Stock
from edge.core.routes import RouteReason

__all__ = ["AgentBook"]


class AgentBook:
    """One agent as its last snapshot says, less what this edge has asked for since.

    A snapshot is a little old when it arrives. Without its own book an edge would
    give all calls of a burst to the agent that looked best before it.

    Attributes:
        address: host:port at which it is dialled.
        rtt_ms: Smoothed round trip of its link (ms), None before the first one.
        up: Whether a link to it is ready and answers.
        calls: Calls it has, those included that this edge has sent since.
    """

    __slots__ = (
        "_asked",
        "_asked_calls",
        "_granted",
        "_granted_calls",
        "_refusal",
        "_spent",
        "_stock",
        "address",
        "calls",
        "rtt_ms",
        "up",
    )

    def __init__(self, address: str) -> None:
        self.address = address
        self.rtt_ms: float | None = None
        self.up = False
        self.calls = 0
        self._stock: Stock | None = None
        self._asked: dict[str, int] = {}
        """Warm sessions asked for and not answered yet, by profile."""
        self._granted: dict[str, int] = {}
        """Warm sessions granted since the snapshot."""
        self._asked_calls = 0
        self._granted_calls = 0
        self._spent: set[str] = set()
        """Profiles that were refused since the snapshot for want of stock."""
        self._refusal: RouteReason | None = None
        """Why it takes no calls, said since the snapshot."""

    @property
    def stock(self) -> Stock | None:
        """Its last snapshot, None before there is one."""
        return self._stock

    def set_stock(self, stock: Stock | None) -> None:
        """Take a snapshot: what was granted before is in it, what is open is not."""
        self._stock = stock
        self._granted.clear()
        self._granted_calls = 0
        self._spent.clear()
        self._refusal = None
        self._count()

    def ask(self, profile: str, *, warm: bool) -> None:
        """A lease is asked for."""
        self._asked_calls += 1
        if warm:
            self._asked[profile] = self._asked.get(profile, 0) + 1
        self._count()

    def settle(
        self, profile: str, *, warm: bool, granted: bool, spent: bool = False
    ) -> None:
        """A lease that was asked for is granted or refused.

        Args:
            profile: Of the session.
            warm: As it was asked for.
            granted: Whether there is a session for the call.
            spent: Whether it was refused because none is warm.
        """
        if not self._asked_calls:
            return  # the agent was forgotten and found again meanwhile
        self._asked_calls -= 1
        self._granted_calls += granted
        if warm:
            self._asked[profile] = max(self._asked.get(profile, 0) - 1, 0)
            if granted:
                self._granted[profile] = self._granted.get(profile, 0) + 1
        if spent:
            self._spent.add(profile)
        self._count()

    def close(self, reason: RouteReason) -> None:
        """It said that it takes no calls, until the next snapshot."""
        self._refusal = reason

    def blocked(self, profile: str) -> RouteReason | None:
        """Return why it can take no call of *profile*, None if it can."""
        stock = self._stock
        if stock is None or not self.up:
            return RouteReason.DOWN
        if stock.draining:
            return RouteReason.DRAINING
        if profile not in stock.profiles:
            return RouteReason.NO_PROFILE
        if self.calls >= stock.max_calls:
            return RouteReason.FULL
        return self._refusal

    def free(self, profile: str) -> int:
        """Return the verified warm sessions of *profile* that can still be leased."""
        if self._stock is None or profile in self._spent:
            return 0
        taken = self._asked.get(profile, 0) + self._granted.get(profile, 0)
        return max(self._stock.warm(profile) - taken, 0)

    @property
    def room(self) -> int:
        """Return how many more calls it takes."""
        return 0 if self._stock is None else self._stock.max_calls - self.calls

    def _count(self) -> None:
        active = 0 if self._stock is None else self._stock.active_calls
        self.calls = active + self._asked_calls + self._granted_calls
