"""Opens sessions for calls that found no warm one, while their callers are on hold."""

from collections.abc import Callable

from backhaul.tasks import TaskOwner
from edge.lease import Lease
from edge.placement import Placement
from edge.search import Search

__all__ = ["ColdOpens", "Found"]

Found = Callable[[Search, Lease | None], None]
"""Gets what a search has found; None: nothing, after all tries."""


class ColdOpens:
    """The searches that go on behind the webhook."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._tasks = TaskOwner()

    def begin(self, search: Search, found: Found) -> None:
        """Look for a session; *found* hears what came of it."""
        name = f"cold_open:{search.call_sid}"
        self._tasks.spawn(self._run(search, found), name=name)

    async def aclose(self) -> None:
        """Stop every search; nobody hears of them any more."""
        await self._tasks.aclose()

    async def _run(self, search: Search, found: Found) -> None:
        found(search, await self._placement.cold(search))
