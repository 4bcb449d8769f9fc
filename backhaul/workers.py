"""Runs one service as several processes: starts, watches, drains and stops them."""

import asyncio
import contextlib
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog

from backhaul.child import start_child, stop_child
from backhaul.clock import monotonic_s
from backhaul.core.backoff import Backoff
from backhaul.tasks import TaskOwner

__all__ = ["Worker", "Workers", "log_descriptor"]

_START_TIMEOUT_S: Final = 60.0
_STOP_GRACE_S: Final = 5.0
_DRAIN_MARGIN_S: Final = 15.0
"""Beyond what draining may take (s): a worker closes everything after that."""
_SOUND_AFTER_S: Final = 30.0
"""A worker that lived for so long (s) did not fail for how it was started."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Worker:
    """One of the processes."""

    number: int
    restarts: int = 0
    announced: Mapping[str, Any] | None = None
    """Its names and ports; None: it is not there."""
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Future[None] = field(default_factory=asyncio.Future[None])
    """When it is there for the first time."""


class Workers:
    """The processes of one service.

    A worker that ends is started again; the others never notice. None of them outlives
    this process.
    """

    def __init__(
        self,
        count: int,
        command: Callable[[int], Sequence[str]],
        *,
        environ: Callable[[int], Mapping[str, str]],
        drain_timeout_s: float,
        log_to: int,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Know what to run.

        Args:
            count: How many.
            command: Returns what runs the worker of a number, from 0.
            environ: Returns the whole environment of the worker of a number.
            drain_timeout_s: How long a worker may take to end when told to (s).
            log_to: The descriptor that their logs go to.
            pass_fds: Descriptors that they inherit.
        """
        self.each = tuple(Worker(number) for number in range(count))
        self._command = command
        self._environ = environ
        self._drain_timeout_s = drain_timeout_s + _DRAIN_MARGIN_S
        self._log_to = log_to
        self._pass_fds = pass_fds
        self._leaving = False
        self._backoff = Backoff()
        self._rng = random.Random()  # noqa: S311 - spreads restarts, keeps no secret
        self._tasks = TaskOwner()

    async def start(self) -> None:
        """Start all of them and wait until each is there.

        Raises:
            OSError: If one of them ends, or is not there in time.
        """
        for worker in self.each:
            self._tasks.spawn(self._keep(worker), name=f"worker:{worker.number}")
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await asyncio.gather(*(worker.ready for worker in self.each))
        except TimeoutError as exc:
            raise OSError("a worker did not start in time") from exc

    async def drain(self) -> None:
        """Tell all of them to end, and wait until they have, within limits."""
        self._leaving = True
        await self._stop_all(grace_s=self._drain_timeout_s)

    async def aclose(self) -> None:
        """End what is left of them."""
        self._leaving = True
        await self._tasks.aclose()
        await self._stop_all(grace_s=_STOP_GRACE_S)

    async def _stop_all(self, *, grace_s: float) -> None:
        async with asyncio.TaskGroup() as group:
            for worker in self.each:
                if worker.process is not None:
                    stopping = stop_child(worker.process, grace_s=grace_s)
                    group.create_task(stopping, name=f"worker:{worker.number}:stop")

    async def _keep(self, worker: Worker) -> None:
        failures = 0
        while not self._leaving:
            began_at = monotonic_s()
            code = await self._run(worker)
            worker.process = worker.announced = None
            if self._leaving:
                return
            _log.error("worker.ended", worker=worker.number, code=code)
            if not worker.ready.done():
                text = f"worker {worker.number} ended with code {code}"
                worker.ready.set_exception(OSError(text))
                return
            is_sound = monotonic_s() - began_at > _SOUND_AFTER_S
            failures = 1 if is_sound else failures + 1
            worker.restarts += 1
            await asyncio.sleep(self._backoff.wait_s(failures, rng=self._rng))

    async def _run(self, worker: Worker) -> int:
        process = await start_child(
            self._command(worker.number),
            env=self._environ(worker.number),
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log_to,
            pass_fds=self._pass_fds,
        )
        worker.process = process
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        line = await process.stdout.readline()
        with contextlib.suppress(orjson.JSONDecodeError):
            worker.announced = orjson.loads(line)
        if worker.announced is not None:
            _log.info("worker.started", worker=worker.number, pid=process.pid)
            if not worker.ready.done():
                worker.ready.set_result(None)
        return await process.wait()


def log_descriptor(*, announce: bool) -> int:
    """Return where a service's logs go, for its workers to write there as well."""
    return (sys.stderr if announce else sys.stdout).fileno()
