"""Runs an agent as several processes, each of them an agent of its own to the edges."""

import sys
from collections.abc import Mapping
from pathlib import Path

import structlog

from backhaul.store import Store, open_store
from backhaul.workers import Workers
from backhaul.workers_admin import WorkersAdmin
from backhaul.workers_guard import WorkersGuard
from region_agent.settings import RegionAgentSettings

__all__ = ["AgentWorkers", "worker_environment"]

_PATHS = ("/api/pool",)

_log = structlog.get_logger()


def worker_environment(
    settings: RegionAgentSettings, number: int, *, redis_url: str
) -> dict[str, str]:
    """Return what the environment of one worker has beside the whole agent's.

    Args:
        settings: Of the whole agent.
        number: Of the worker, from 0.
        redis_url: Of the store that all of them use.
    """
    port = settings.listen_port and settings.listen_port + number
    found = {
        "WORKERS": "1",
        "AGENT_ID": f"{settings.agent_id}-{number}",
        "LISTEN_PORT": str(port),
        "ADMIN_HOST": "127.0.0.1",
        "ADMIN_PORT": "0",
        "RECORDING_SPOOL": str(settings.recording_spool / str(number)),
        "REDIS_URL": redis_url,
        "ECS_AGENT_URI": "",
    }
    if settings.advertise_address:
        host, _, first = settings.advertise_address.rpartition(":")
        found["ADVERTISE_ADDRESS"] = f"{host}:{int(first) + number}"
    return {f"REGION_AGENT_{name}": value for name, value in found.items()}


def _command(config: Path) -> tuple[str, ...]:
    program = (sys.executable, "-m", "region_agent")
    return (*program, "--config", str(config), "--announce")


class AgentWorkers:
    """One agent's processes (`Service`)."""

    def __init__(
        self,
        settings: RegionAgentSettings,
        config: Path,
        *,
        environ: Mapping[str, str],
        log_to: int,
    ) -> None:
        """Know what to run.

        Args:
            settings: Of the whole agent.
            config: The configuration file.
            environ: Of this process.
            log_to: The descriptor that logs go to.
        """
        self._settings = settings
        self._environ = environ
        self._redis_url = settings.redis_url.reveal()
        self._store: Store | None = None
        self._workers = Workers(
            settings.workers,
            lambda _: _command(config),
            environ=self._environment,
            drain_timeout_s=settings.drain_timeout_s + settings.events_flush_s,
            log_to=log_to,
        )
        self._admin = WorkersAdmin(
            self._workers, token=settings.admin_token, paths=_PATHS
        )
        self._guard = WorkersGuard(
            self._workers.each,
            ask=self._admin.ask,
            path="/api/pool",
            agent_uri=settings.ecs_agent_uri,
        )

    async def start(self) -> None:
        """Start the workers; without a Redis they share one of ours."""
        settings = self._settings
        if not self._redis_url:
            self._store = await open_store(None)
            self._redis_url = self._store.url
        if settings.admin_token:
            await self._admin.start(settings.admin_host, settings.admin_port)
        await self._workers.start()
        self._guard.start()
        _log.info("workers.started", agent=settings.agent_id, count=settings.workers)

    async def drain(self) -> None:
        """Have all of them hand their calls over, and end."""
        await self._workers.drain()

    async def stop(self) -> None:
        """Close everything."""
        await self._guard.aclose()
        await self._workers.aclose()
        await self._admin.aclose()
        if self._store is not None:
            await self._store.aclose()

    def announcement(self) -> dict[str, object]:
        """Return the agent's id and ports."""
        told = [worker.announced or {} for worker in self._workers.each]
        return {
            "agent_id": self._settings.agent_id,
            "link_ports": [one.get("link_port") for one in told],
            "admin_port": self._admin.port,
        }

    def _environment(self, number: int) -> dict[str, str]:
        own = worker_environment(self._settings, number, redis_url=self._redis_url)
        return {**self._environ, **own}
