"""Keeps ECS from taking this task away while calls are live."""

import asyncio
import random
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import msgspec
import structlog

from backhaul.core.task_protection import (
    PROTECTION_S,
    ProtectionEvent,
    SetProtection,
    TaskProtection,
)
from backhaul.driver import LoopDriver
from backhaul.tasks import TaskOwner

__all__ = ["TaskGuard"]

_PATH: Final = "/task-protection/v1/state"
_TIMEOUT_S: Final = 5.0
_LOOK_EVERY_S: Final = 1.0
"""Between two looks at the number of calls (s)."""

_log = structlog.get_logger()


class TaskGuard:
    """Protects the task this process runs in; does nothing outside of ECS.

    Protection keeps autoscaling and deployments away. It holds off neither a crash
    nor the retirement of a host.
    Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html

    Attributes:
        protection: Where things stand.
    """

    def __init__(
        self,
        agent_uri: str,
        *,
        calls: Callable[[], int],
        rng: random.Random,
        look_every_s: float = _LOOK_EVERY_S,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        """Make it.

        Args:
            agent_uri: What ECS puts into ECS_AGENT_URI; empty outside of it.
            calls: Returns how many calls are live.
            rng: Spreads the tries after failures.
            look_every_s: Between two looks at that number (s).
            timeout_s: For ECS to answer (s).
        """
        self.protection = TaskProtection(rng=rng)
        self._url = agent_uri.rstrip("/") + _PATH if agent_uri else ""
        self._calls = calls
        self._look_every_s = look_every_s
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._tasks = TaskOwner()
        self._driver: LoopDriver[ProtectionEvent, SetProtection] | None = None

    def start(self) -> None:
        """Watch the calls from now on."""
        if self._url:
            self._driver = LoopDriver(self.protection, self._perform)
            self._tasks.spawn(self._watch(self._driver), name="protection:watch")

    async def aclose(self) -> None:
        """Stop; ECS forgets the protection of a task that ends."""
        if self._driver is not None:
            self._driver.close()
        await self._tasks.aclose()

    async def _watch(self, driver: LoopDriver[ProtectionEvent, SetProtection]) -> None:
        busy = False
        while True:
            if busy != bool(self._calls()):
                busy = not busy
                came, ended = ProtectionEvent.CALLS_CAME, ProtectionEvent.CALLS_ENDED
                driver.feed(came if busy else ended)
            await asyncio.sleep(self._look_every_s)

    def _perform(self, action: SetProtection) -> None:
        self._tasks.spawn(self._set(action), name="protection:set")

    async def _set(self, action: SetProtection) -> None:
        problem = await self._ask(action)
        if problem:
            _log.warning(
                "protection.failed", protected=action.protected, reason=problem
            )
        else:
            _log.info("protection.set", protected=action.protected)
        if self._driver is not None:
            self._driver.feed(
                ProtectionEvent.FAILED if problem else ProtectionEvent.CONFIRMED
            )

    async def _ask(self, action: SetProtection) -> str:
        """Ask ECS; return what went wrong, if anything."""
        body: dict[str, object] = {"ProtectionEnabled": action.protected}
        if action.protected:
            body["ExpiresInMinutes"] = round(PROTECTION_S / 60)
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as http,
                http.put(self._url, json=body) as response,
            ):
                status = response.status
                told = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            return type(exc).__name__
        return _problem(status, told, protected=action.protected)


class _Answer(msgspec.Struct):
    """What ECS answers: one of the three."""

    protection: dict[str, Any] | None = None
    failure: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


def _problem(status: int, body: bytes, *, protected: bool) -> str:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except msgspec.MsgspecError:
        answer = _Answer()
    if answer.error is not None:
        return str(answer.error.get("Code", "error"))
    if answer.failure is not None:
        return str(answer.failure.get("Reason", "failure"))
    if status != HTTPStatus.OK:
        return f"http_{status}"
    kept = (answer.protection or {}).get("ProtectionEnabled")
    return "" if kept is protected else "not_kept"
