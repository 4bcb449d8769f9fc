"""Which tickets were used already; it forgets each when that can no longer matter."""

import heapq

__all__ = ["TicketLedger"]


class TicketLedger:
    """Remembers tickets until they expire, and so many at once."""

    def __init__(self, *, max_tickets: int) -> None:
        """Remember at most *max_tickets* that have not expired."""
        self._max_tickets = max_tickets
        self._used: set[bytes] = set()
        self._by_expiry: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        """Return how many tickets are remembered."""
        return len(self._used)

    def __contains__(self, ticket_id: bytes) -> bool:
        """Tell whether a ticket was used, as far as is remembered."""
        return ticket_id in self._used

    def has_room(self, *, now: float) -> bool:
        """Tell whether one more ticket can be remembered; forget expired ones."""
        while self._by_expiry and self._by_expiry[0][0] <= now:
            self._used.discard(heapq.heappop(self._by_expiry)[1])
        return len(self._used) < self._max_tickets

    def add(self, ticket_id: bytes, *, expires_at: float) -> None:
        """Remember a ticket that is used now, until it expires."""
        self._used.add(ticket_id)
        heapq.heappush(self._by_expiry, (expires_at, ticket_id))
