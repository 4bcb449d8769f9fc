"""``warmline console`` as a whole program."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).parents[2]
LONG_S = 60.0
NOT_OURS = ("EDGE_", "REGION_AGENT_", "CONSOLE_")


@contextlib.asynccontextmanager
async def console(
    directory: Path, *arguments: str, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(NOT_OURS)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lab.cli", "console", *arguments),
        env=kept | {"TMPDIR": str(directory)} | environment,
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.communicate(), LONG_S)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "start `warmline up` first"),
        (("--edge", "127.0.0.1:9"), "is not an http(s) URL"),
        (("--edge", "http://127.0.0.1:9"), "set EDGE_ADMIN_TOKEN"),
        (("--agent", "http://127.0.0.1:9"), "set REGION_AGENT_ADMIN_TOKEN"),
        (("--trace-url", "http://traces/"), "must contain {trace_id}"),
    ],
)
async def test_what_is_missing_is_named(
    tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    async with asyncio.timeout(LONG_S), console(tmp_path, *arguments) as process:
        _, said = await process.communicate()
    assert process.returncode == 2
    assert problem in said.decode()


async def test_a_short_token_opens_nothing(tmp_path: Path) -> None:
    edge = ("--edge", "http://127.0.0.1:9")
    given = {"EDGE_ADMIN_TOKEN": "admin", "CONSOLE_TOKEN": "short"}
    async with asyncio.timeout(LONG_S), console(tmp_path, *edge, **given) as process:
        _, said = await process.communicate()
    assert process.returncode == 2
    assert "at least 16 characters" in said.decode()
    assert "short" not in said.decode()


async def test_it_tells_where_it_is_and_ends_when_told(tmp_path: Path) -> None:
    edge = ("--edge", "http://127.0.0.1:9")
    async with (
        asyncio.timeout(LONG_S),
        console(tmp_path, *edge, EDGE_ADMIN_TOKEN="admin") as process,
        aiohttp.ClientSession() as http,
    ):
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        base, _, token = url.partition("#token=")
        async with http.get(base) as page:
            assert page.status == 200
        async with http.post(f"{base}login", json={"token": token}) as login:
            assert login.status == 204
        process.terminate()
        assert await process.wait() == 0
