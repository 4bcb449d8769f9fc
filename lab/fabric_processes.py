"""The processes of a local fabric, by name."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from backhaul.child import start_child, stop_child
from lab.fabric_options import FabricError

__all__ = ["FabricProcesses"]

_START_TIMEOUT_S: Final = 60.0
_SETTINGS_OF_ANY_FABRIC: Final = {"EDGE_LINK_TRANSPORT"}
"""What may be tried out on the local fabric as it is in a real deployment."""


@dataclass(slots=True)
class _Running:
    """One process, how it was started and what it said of itself when it was ready."""

    process: asyncio.subprocess.Process
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ports: dict[str, Any]


class FabricProcesses:
    """Starts modules of this program as processes, and ends them."""

    def __init__(self, directory: Path) -> None:
        """Let their logs be written to *directory*."""
        self._directory = directory
        self._running: dict[str, _Running] = {}

    def names(self) -> tuple[str, ...]:
        """Return the names of all that were started."""
        return tuple(self._running)

    def pid(self, name: str) -> int:
        """Return the process id of one."""
        return self._running[name].process.pid

    def ports(self, name: str) -> dict[str, Any]:
        """Return what one said of itself when it was ready."""
        return self._running[name].ports

    def log_path(self, name: str) -> Path:
        """Return where one writes its log; all that ever had the name write to it."""
        return self._directory / f"{name}.log"

    async def run(
        self,
        name: str,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start a module and wait until it is ready.

        Raises:
            FabricError: It did not come up.
        """
        command = (sys.executable, "-m", module, *arguments)
        await self._start(name, command, environment or {})

    async def run_again(self, name: str) -> None:
        """Start one that is gone as before.

        Raises:
            FabricError: It did not come up.
        """
        before = self._running[name]
        await before.process.wait()
        await self._start(name, before.command, before.environment)

    async def kill(self, name: str) -> None:
        """SIGKILL one and wait until it is gone."""
        process = self._running[name].process
        process.kill()
        await process.wait()

    async def stop(self, name: str, *, grace_s: float) -> int:
        """SIGTERM one, SIGKILL it after *grace_s*, and return its exit code."""
        process = self._running[name].process
        await stop_child(process, grace_s=grace_s)
        return await process.wait()

    async def aclose(self, *, grace_s: float) -> None:
        """End all, the last one that was started first."""
        for running in reversed(list(self._running.values())):
            await stop_child(running.process, grace_s=grace_s)

    async def _start(
        self, name: str, command: tuple[str, ...], environment: Mapping[str, str]
    ) -> None:
        process = await start_child(
            command,
            env={**_clean_environment(), **environment},
            stdout=asyncio.subprocess.PIPE,
            log_path=self.log_path(name),
        )
        # Registered before it is ready, so that a failed start is cleaned up too.
        before = self._running.get(name)
        ports = {} if before is None else before.ports
        running = _Running(process, command, environment, ports)
        self._running[name] = running
        assert process.stdout is not None  # noqa: S101 - narrows the type
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_TIMEOUT_S):
                line = await process.stdout.readline()
        if not line:
            raise FabricError(name, f"did not start: {self._last_words(name)}")
        running.ports = orjson.loads(line)

    def _last_words(self, name: str) -> str:
        log = self.log_path(name)
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return " | ".join(lines[-3:]) or "it said nothing"


def _clean_environment() -> dict[str, str]:
    """Return the environment without settings meant for a real deployment."""
    prefixes = ("EDGE_", "REGION_AGENT_", "TWILIO_", "OPENAI_", "REDIS_", "LAB_")
    return {
        name: value
        for name, value in os.environ.items()
        if name in _SETTINGS_OF_ANY_FABRIC or not name.startswith(prefixes)
    }
