"""Keeps this agent in its region's registry; calls never wait for it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from backhaul.errors import StoreError
from backhaul.settings import Secret
from backhaul.store import AgentRecord, Store, open_store
from backhaul.tasks import TaskOwner

__all__ = ["Registration"]

_CLOSE_TIMEOUT_S = 5.0

_log = structlog.get_logger()


class Registration:
    """Registers one agent, again and again, in the background."""

    def __init__(self, redis_url: Secret, *, ttl_s: float, interval_s: float) -> None:
        """Know where to register.

        Args:
            redis_url: The region's store; empty starts one of our own.
            ttl_s: How long the registry believes one word of ours (s).
            interval_s: How often it gets the latest (s), if not more often.
        """
        self._redis_url = redis_url
        self._ttl_s = ttl_s
        self._interval_s = min(interval_s, ttl_s / 3)
        self._tasks = TaskOwner()
        self.store: Store | None = None
        """The region's store; None until it is open."""
        self.registered = False
        """Whether the last try succeeded."""

    def start(
        self,
        describe: Callable[[], AgentRecord],
        *,
        on_open: Callable[[Store], Awaitable[None]],
    ) -> None:
        """Begin to register as what *describe* returns each time.

        Args:
            describe: What the region should know of us.
            on_open: Is given the store, once.
        """
        self._tasks.spawn(self._keep(describe, on_open), name="registration")

    async def aclose(self) -> None:
        """Stop registering; the registry forgets the agent when its time is up."""
        await self._tasks.aclose()
        if self.store is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await self.store.aclose()

    async def _keep(
        self,
        describe: Callable[[], AgentRecord],
        on_open: Callable[[Store], Awaitable[None]],
    ) -> None:
        while True:
            try:
                if self.store is None:
                    self.store = await open_store(self._redis_url.reveal())
                    await on_open(self.store)
                await self.store.register_agent(describe(), ttl_s=self._ttl_s)
            except StoreError as exc:
                self._note(registered=False, reason=exc.reason)
            else:
                self._note(registered=True, reason="")
            await asyncio.sleep(self._interval_s)

    def _note(self, *, registered: bool, reason: str) -> None:
        if registered != self.registered:
            _log.info("registration.changed", registered=registered, reason=reason)
        self.registered = registered
