"""Runs an edge as several processes that listen on the same ports."""

import contextlib
import socket
import sys
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from backhaul.rendezvous import Rendezvous
from backhaul.workers import Workers
from backhaul.workers_admin import WorkersAdmin
from backhaul.workers_guard import WorkersGuard
from edge.settings import EdgeSettings
from edge.siblings import LOOPBACK, Sibling, Siblings

__all__ = ["EdgeWorkers", "read_siblings"]

_PATHS: Final = ("/api/fabric", "/api/calls", "/api/links", "/api/routes")

_log = structlog.get_logger()


def read_siblings(text: str) -> Siblings:
    """Return the workers that ``NUMBER/HTTP:MEDIA,HTTP:MEDIA,.../READ:WRITE`` tells of.

    The last pair are the descriptors of their `Rendezvous`.

    Args:
        text: As `EdgeWorkers` writes it; nothing: there is only one.

    Raises:
        ValueError: If it is nothing of the kind.
    """
    if not text:
        return Siblings(0, ())
    number, ports, descriptors = text.split("/")
    return Siblings(
        int(number),
        [Sibling(*_pair(pair)) for pair in ports.split(",")],
        Rendezvous(*_pair(descriptors)),
    )


def _pair(text: str) -> tuple[int, int]:
    first, _, second = text.partition(":")
    return int(first), int(second)


class EdgeWorkers:
    """One edge's processes (`Service`)."""

    def __init__(
        self,
        settings: EdgeSettings,
        config: Path,
        *,
        environ: Mapping[str, str],
        log_to: int,
    ) -> None:
        """Know what to run.

        Args:
            settings: Of the edge.
            config: The configuration file.
            environ: Of this process.
            log_to: The descriptor that logs go to.
        """
        self._settings = settings
        self._config = config
        self._environ = environ
        self._ports = contextlib.ExitStack()
        self._public: tuple[int, int] = (0, 0)
        self._private: list[Sibling] = []
        self._rendezvous = Rendezvous.make()
        self._workers = Workers(
            settings.workers,
            self._command,
            environ=self._environment,
            drain_timeout_s=settings.drain_timeout_s,
            log_to=log_to,
            pass_fds=self._rendezvous.fds,
        )
        self._admin = WorkersAdmin(
            self._workers, token=settings.admin_token, paths=_PATHS
        )
        self._guard = WorkersGuard(
            self._workers.each,
            ask=self._admin.ask,
            path="/api/fabric",
            agent_uri=settings.ecs_agent_uri,
        )

    async def start(self) -> None:
        """Take the ports and start the workers.

        Raises:
            OSError: If a port cannot be had, or a worker does not start.
        """
        settings = self._settings
        host = settings.listen_host
        self._public = (
            self._take(host, settings.http_port),
            self._take(host, settings.media_port),
        )
        self._private = [
            Sibling(self._take(LOOPBACK, 0), self._take(LOOPBACK, 0))
            for _ in self._workers.each
        ]
        if settings.admin_token:
            await self._admin.start(settings.admin_host, settings.admin_port)
        await self._workers.start()
        self._guard.start()
        _log.info("workers.started", edge=settings.name, count=settings.workers)

    async def drain(self) -> None:
        """Have all of them wait until all calls have ended, and end."""
        self._rendezvous.arrive()
        await self._workers.drain()

    async def stop(self) -> None:
        """Close everything."""
        await self._guard.aclose()
        self._rendezvous.close()
        await self._workers.aclose()
        await self._admin.aclose()
        self._ports.close()

    def announcement(self) -> dict[str, object]:
        """Return the edge's name and ports."""
        return {
            "name": self._settings.name,
            "http_port": self._public[0],
            "media_port": self._public[1],
            "admin_port": self._admin.port,
        }

    def _take(self, host: str, port: int) -> int:
        """Return a port that is the workers' alone until the end.

        Without this process's claim, a worker that is started again might find that
        its port is another program's.
        """
        with _bound(host, port, shared=False) as probe:  # nobody listens there yet
            chosen: int = probe.getsockname()[1]
        claim = self._ports.enter_context(_bound(host, chosen, shared=True))
        taken: int = claim.getsockname()[1]
        return taken

    def _command(self, number: int) -> Sequence[str]:
        pairs = (f"{one.http_port}:{one.media_port}" for one in self._private)
        descriptors = ":".join(map(str, self._rendezvous.fds))
        return (
            *(sys.executable, "-m", "edge", "--config", str(self._config)),
            *("--name", self._settings.name, "--announce"),
            *("--worker", f"{number}/{','.join(pairs)}/{descriptors}"),
        )

    def _environment(self, number: int) -> dict[str, str]:  # noqa: ARG002
        own = {
            "WORKERS": "1",
            "HTTP_PORT": str(self._public[0]),
            "MEDIA_PORT": str(self._public[1]),
            "ADMIN_HOST": LOOPBACK,
            "ADMIN_PORT": "0",
            "ECS_AGENT_URI": "",
        }
        return {
            **self._environ,
            **{f"EDGE_{name}": value for name, value in own.items()},
        }


@contextlib.contextmanager
def _bound(host: str, port: int, *, shared: bool) -> Generator[socket.socket]:
    family, kind, proto, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, proto) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(address)
        yield one
