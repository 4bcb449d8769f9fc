"""The store against the embedded Valkey and against Debian's redis-server."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import uvloop

from backhaul.child import start_child, stop_child
from backhaul.clock import monotonic_s
from backhaul.core.finding import KeptCall
from backhaul.core.surge import Surge
from backhaul.errors import SettingsError, StoreError
from backhaul.store import AgentRecord, Store, open_store
from tests.integration.judges import installed

Wait = Callable[[Callable[[], bool]], Awaitable[None]]

RECORD = AgentRecord(
    agent_id="us-east-1",
    region="us-east",
    address="127.0.0.1:8443",
    admin_url="http://127.0.0.1:8444",
    started_unix_s=1.0,
    version="0.1.0",
)

INDEX = "warmline:agents:us-east"


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A unix socket's path must be below 108 bytes, which pytest's own need not be."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def command_line(store: Store, *words: str) -> str:
    """Ask the server as an operator would."""
    socket = store.url.removeprefix("unix://").partition("?")[0]
    done = subprocess.run(  # noqa: S603 - our own words
        ["redis-cli", "-s", socket, *words],  # noqa: S607 - from PATH, as intended
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(params=["embedded valkey", "debian redis"])
async def store(
    request: pytest.FixtureRequest, short_path: Path, wait: Wait
) -> AsyncIterator[Store]:
    if request.param == "embedded valkey":
        store = await open_store(None, timeout_s=5.0)
        yield store
        await store.aclose()
        return
    program = installed("redis-server", package="redis-server")
    socket = short_path / "redis.sock"
    server = await start_child(
        [program, "--port", "0", "--unixsocket", str(socket), "--save", ""]
    )
    await wait(socket.exists)
    store = await open_store(f"unix://{socket}", timeout_s=5.0)
    yield store
    await store.aclose()
    await stop_child(server, grace_s=5.0)


async def test_an_agent_is_registered_until_its_time_is_up(store: Store) -> None:
    assert await store.agents("us-east") == ()
    await store.register_agent(RECORD, ttl_s=60.0)
    assert await store.agents("us-east") == (RECORD,)
    assert await store.agents("us-west") == ()
    assert await store.agents("*") == ()
    if os.environ.get("CI") or shutil.which("redis-cli"):
        key = "warmline:agent:us-east:us-east-1"
        assert command_line(store, "PING") == "PONG"
        assert 50 < int(command_line(store, "TTL", key)) <= 60
    await store.register_agent(RECORD, ttl_s=0.05)
    async with asyncio.timeout(20):
        while await store.agents("us-east"):
            await asyncio.sleep(0.02)


async def test_the_index_forgets_who_is_gone(store: Store) -> None:
    installed("redis-cli", package="redis-tools")
    await store.register_agent(RECORD, ttl_s=60.0)
    gone = msgspec.structs.replace(RECORD, agent_id="us-east-2")
    await store.register_agent(gone, ttl_s=0.02)
    async with asyncio.timeout(20):
        while await store.agents("us-east") != (RECORD,):
            await asyncio.sleep(0.02)
    assert command_line(store, "SMEMBERS", INDEX) == "us-east-1"


async def test_a_record_says_what_an_agent_has_and_old_ones_still_decode(
    store: Store,
) -> None:
    full = msgspec.structs.replace(
        RECORD, advertised=True, warm={"desk": 3}, active_calls=2, draining=True
    )
    await store.register_agent(full, ttl_s=60.0)
    assert await store.agents("us-east") == (full,)
    fields = msgspec.to_builtins(RECORD)
    for name in ("advertised", "warm", "active_calls", "draining"):
        del fields[name]
    installed("redis-cli", package="redis-tools")
    value = msgspec.json.encode(fields).decode()
    command_line(store, "SET", "warmline:agent:us-east:us-east-1", value)
    assert await store.agents("us-east") == (RECORD,)


async def test_a_record_that_does_not_decode_is_passed_over(store: Store) -> None:
    await store.register_agent(RECORD, ttl_s=60.0)
    installed("redis-cli", package="redis-tools")
    command_line(store, "SET", "warmline:agent:us-east:broken", "{")
    command_line(store, "SET", "warmline:agent:us-east:foreign", '{"agent_id": 1}')
    command_line(store, "RPUSH", "warmline:agent:us-east:list", "x")
    command_line(store, "SADD", INDEX, "broken", "foreign", "list")
    assert await store.agents("us-east") == (RECORD,)
    assert store.invalid_records == 2


def embedded_pid(store: Store) -> int:
    socket = store.url.removeprefix("unix://").partition("?")[0]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"valkey-server" in line and socket.encode() in line:
                return int(entry.name)
    return 0


async def test_a_hung_store_costs_little_and_then_nothing() -> None:
    store = await open_store(None, timeout_s=0.1)
    pid = embedded_pid(store)
    os.kill(pid, signal.SIGSTOP)
    try:
        started_at = monotonic_s()
        for _ in range(3):
            with pytest.raises(StoreError):
                await store.agents("us-east")
        assert monotonic_s() - started_at < 5.0
        with pytest.raises(StoreError, match="failed lately"):
            await store.agents("us-east")
    finally:
        os.kill(pid, signal.SIGCONT)
    async with asyncio.timeout(20):
        while True:
            try:
                await store.register_agent(RECORD, ttl_s=60.0)
                break
            except StoreError:
                await asyncio.sleep(0.05)
    assert await store.agents("us-east") == (RECORD,)
    await store.aclose()


async def test_a_killed_store_is_an_error_that_says_so(wait: Wait) -> None:
    store = await open_store(None, timeout_s=0.5)
    os.kill(embedded_pid(store), signal.SIGKILL)
    await wait(lambda: embedded_pid(store) == 0)
    with pytest.raises(StoreError) as caught:
        await store.register_agent(RECORD, ttl_s=1.0)
    assert caught.value.retryable
    await store.aclose()


async def test_a_store_that_was_never_there_is_no_error_until_it_is_asked() -> None:
    store = await open_store("redis://127.0.0.1:1/0")
    with pytest.raises(StoreError):
        await store.agents("us-east")
    await store.aclose()


async def test_the_embedded_server_does_not_outlive_a_killed_owner(wait: Wait) -> None:
    program = """
import asyncio
from backhaul.store import open_store
async def main():
    store = await open_store(None)
    print(store.url, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    owner = await start_child(
        [sys.executable, "-c", program], stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    url = (await owner.stdout.readline()).decode().strip()
    probe = Store(url, timeout_s=1.0)
    assert embedded_pid(probe) > 0
    owner.kill()
    await owner.wait()
    await wait(lambda: embedded_pid(probe) == 0)
    await probe.aclose()
    shutil.rmtree(Path(url.removeprefix("unix://").partition("?")[0]).parent)


async def test_no_record_of_any_kind_breaks_the_registry(store: Store) -> None:
    installed("redis-cli", package="redis-tools")
    await store.register_agent(RECORD, ttl_s=60.0)
    elsewhere = msgspec.json.encode(RECORD).decode()
    # What a command line cannot hold, the server builds itself.
    nested = "redis.call('SET', KEYS[1], '{\"x\":' .. string.rep('[', 200000))"
    command_line(store, "EVAL", nested, "1", "warmline:agent:us-east:nested")
    command_line(store, "SET", "warmline:agent:us-east:someone-else", elsewhere)
    command_line(store, "SADD", INDEX, "nested", "someone-else")
    assert await store.agents("us-east") == (RECORD,)
    assert store.invalid_records == 2


async def test_events_are_appended_in_order_to_a_stream_that_stays_short(
    store: Store,
) -> None:
    installed("redis-cli", package="redis-tools")
    await store.append_events([b'{"n": 1}', b'{"n": 2}'])
    await store.append_events([b'{"n": 3}'])
    lines = command_line(store, "XRANGE", "warmline:events", "-", "+").splitlines()
    assert lines[1:3] + lines[4:6] + lines[7:9] == [
        *("event", '{"n": 1}'),
        *("event", '{"n": 2}'),
        *("event", '{"n": 3}'),
    ]
    many = [b"{}"] * 5000
    for _ in range(21):
        await store.append_events(many)
    kept = int(command_line(store, "XLEN", "warmline:events"))
    assert 100_000 <= kept < 101_000


async def test_a_refusal_is_an_error_but_no_sign_that_the_store_is_down(
    store: Store,
) -> None:
    installed("redis-cli", package="redis-tools")
    command_line(store, "SET", "warmline:events", "a string")
    for _ in range(5):
        with pytest.raises(StoreError, match="ResponseError"):
            await store.append_events([b"{}"])
    await store.register_agent(RECORD, ttl_s=60.0)


def entries(directory: Path) -> set[Path]:
    return set(directory.iterdir())


async def test_a_dead_owners_directory_is_removed_and_a_living_ones_stays(
    short_path: Path,
) -> None:
    gone = await start_child(["/bin/true"])
    await gone.wait()
    stale = short_path / f"warmline-valkey-{gone.pid}-x"
    kept = [short_path / name for name in (f"warmline-valkey-{os.getpid()}-x", "other")]
    for path in (stale, *kept):
        path.mkdir()
    first = await open_store(None, data_dir=short_path, timeout_s=5.0)
    second = await open_store(None, data_dir=short_path, timeout_s=5.0)
    assert not stale.exists()
    assert all(path.exists() for path in kept)
    await first.register_agent(RECORD, ttl_s=60.0)
    assert await second.agents("us-east") == ()
    directories = entries(short_path) - set(kept)
    assert [path.stat().st_mode & 0o777 for path in directories] == [0o700, 0o700]
    await first.aclose()
    await second.aclose()
    assert entries(short_path) == set(kept)


async def test_an_embedded_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    too_long = tmp_path / ("d" * 120)
    with pytest.raises(StoreError, match="path too long"):
        await open_store(None, data_dir=too_long)
    assert entries(too_long) == set()


@pytest.mark.parametrize("url", ["http://u:hush@h", "redis://u:hush@h:port/0"])
async def test_a_wrong_url_is_a_settings_error_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        await open_store(url)
    assert "hush" not in "".join(traceback.format_exception(caught.value))


def test_the_embedded_server_runs_under_uvloop() -> None:
    async def register() -> tuple[AgentRecord, ...]:
        store = await open_store(None, timeout_s=5.0)
        await store.register_agent(RECORD, ttl_s=60.0)
        records = await store.agents("us-east")
        await store.aclose()
        return records

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(register()) == (RECORD,)


async def test_a_surge_is_remembered_until_it_ends(store: Store) -> None:
    assert await store.surge("us-east") is None
    await store.save_surge("us-east", Surge(1.5, length_s=60.0))
    left = await store.surge("us-east")
    assert left is not None
    assert left.factor == 1.5
    assert 50 < left.length_s <= 60
    assert await store.surge("us-west") is None
    await store.save_surge("us-east", Surge(2.0, length_s=0.0))  # nothing is left of it
    await store.save_surge("us-east", Surge(1.5, length_s=0.05))
    async with asyncio.timeout(20):
        while await store.surge("us-east"):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("value", ["", "much", "0.5", "nan"])
async def test_a_surge_that_makes_no_sense_is_none(store: Store, value: str) -> None:
    installed("redis-cli", package="redis-tools")
    command_line(store, "SET", "warmline:surge:us-east", value, "EX", "60")
    assert await store.surge("us-east") is None


async def test_calls_are_remembered_for_a_while(store: Store) -> None:
    one, two = KeptCall(1, "desk"), KeptCall(2, "desk", voice_position=800)
    await store.save_calls("home", {"CA1": one, "CA2": two}, ttl_s=60.0)
    assert await store.call("home", "CA1") == one
    assert await store.call("home", "CA2") == two
    assert await store.call("elsewhere", "CA1") is None
    assert 0 < int(command_line(store, "PTTL", "warmline:call:home:CA1")) <= 60_000
    await store.forget_calls("home", ("CA1", "CA3"))
    assert await store.call("home", "CA1") is None
    assert await store.call("home", "CA2") == two


async def test_a_call_that_does_not_decode_is_unknown(store: Store) -> None:
    command_line(store, "SET", "warmline:call:home:CA1", "nonsense")
    assert await store.call("home", "CA1") is None
    assert store.invalid_records == 1
