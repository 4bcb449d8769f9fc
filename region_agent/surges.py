"""More sessions than usual: as edges ask, and as the region's store remembers."""

from collections.abc import Callable

import structlog

from backhaul.core.surge import Surge
from backhaul.errors import StoreError
from backhaul.store import Store
from backhaul.tasks import TaskOwner

__all__ = ["Surges"]

_log = structlog.get_logger()


class Surges:
    """Obeys surges, and lets agents of the region that start later know of them."""

    def __init__(self, region: str, *, order: Callable[[float, float], None]) -> None:
        """Know whom to tell.

        Args:
            region: Of this agent.
            order: Takes factor and length (s) of a surge.
        """
        self._region = region
        self._order = order
        self._store: Store | None = None
        self._tasks = TaskOwner()

    def on_surge(self, surge: Surge) -> None:
        """An edge asks for more sessions."""
        _log.info("surge.ordered", factor=surge.factor, length_s=surge.length_s)
        self._order(surge.factor, surge.length_s)
        if self._store is not None:
            self._tasks.spawn(self._save(self._store, surge), name="surge:save")

    async def recall(self, store: Store) -> None:
        """Go on with the surge that *store* knows of, if any, and note later ones."""
        self._store = store
        try:
            surge = await store.surge(self._region)
        except StoreError as exc:
            _log.info("surge.unknown", reason=exc.reason)
            return
        if surge is not None:
            _log.info("surge.recalled", factor=surge.factor, length_s=surge.length_s)
            self._order(surge.factor, surge.length_s)

    async def aclose(self) -> None:
        """Save no more."""
        await self._tasks.aclose()

    async def _save(self, store: Store, surge: Surge) -> None:
        try:
            await store.save_surge(self._region, surge)
        except StoreError as exc:
            _log.info("surge.not_saved", reason=exc.reason)
