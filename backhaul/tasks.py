"""The one place that creates tasks: each has a name, an owner and a logged end."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

__all__ = ["TaskOwner"]

_log = structlog.get_logger()


class TaskOwner:
    """Owns background tasks of one object and cancels them all when it closes.

    Unlike an ``asyncio.TaskGroup``, the failure of one task is logged and does not
    cancel its siblings: this is the boundary that keeps calls apart.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, coroutine: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run *coroutine* in the background until it ends or the owner closes."""
        if self._closed:
            coroutine.close()
            return
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error(
                "task.failed",
                task=task.get_name(),
                error_type=type(error).__name__,
                exc_info=error,
            )

    async def wait_idle(self, timeout_s: float) -> None:
        """Wait until every task has ended, but no longer than *timeout_s* seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    async def aclose(self) -> None:
        """Cancel every task and wait until all have ended."""
        self._closed = True
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
