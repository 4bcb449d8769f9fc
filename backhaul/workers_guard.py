"""Keeps ECS from taking a task away while any of its workers has calls."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final

import msgspec

from backhaul.task_protection import TaskGuard
from backhaul.tasks import TaskOwner
from backhaul.workers import Worker

__all__ = ["WorkersGuard"]

_EVERY_S: Final = 1.0


Ask = Callable[[Worker, str], Awaitable[tuple[int, str]]]


class _View(msgspec.Struct):
    active_calls: int


class WorkersGuard:
    """Asks the workers for their calls; a task is protected as one.

    Attributes:
        calls: How many are live, at all workers together.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        *,
        ask: Ask,
        path: str,
        agent_uri: str,
        every_s: float = _EVERY_S,
    ) -> None:
        """Know whom to ask.

        Args:
            workers: The processes.
            ask: Returns status and body of what one says at a path.
            path: Where a worker tells its ``active_calls``.
            agent_uri: What ECS puts into ECS_AGENT_URI; empty outside of it.
            every_s: Between two questions (s).
        """
        self._workers = workers
        self._ask = ask
        self._path = path
        self._every_s = every_s
        self._by_worker: dict[int, int] = {}
        self._is_needed = bool(agent_uri)
        self._tasks = TaskOwner()
        rng = random.Random()  # noqa: S311 - spreads tries, keeps no secret
        self._guard = TaskGuard(agent_uri, calls=lambda: self.calls, rng=rng)

    @property
    def calls(self) -> int:
        """Return how many calls are live."""
        return sum(self._by_worker.values())

    def start(self) -> None:
        """Begin, if there is an ECS."""
        if self._is_needed:
            self._tasks.spawn(self._keep(), name="workers:calls")
            self._guard.start()

    async def aclose(self) -> None:
        """End."""
        await self._guard.aclose()
        await self._tasks.aclose()

    async def _keep(self) -> None:
        while True:
            for worker in self._workers:
                await self._look(worker)
            await asyncio.sleep(self._every_s)

    async def _look(self, worker: Worker) -> None:
        if worker.announced is None:
            self._by_worker.pop(worker.number, None)  # so are its calls
            return
        status, text = await self._ask(worker, self._path)
        if status == HTTPStatus.OK:  # else it has what it had: unknown is not idle
            view = msgspec.json.decode(text, type=_View)
            self._by_worker[worker.number] = view.active_calls
