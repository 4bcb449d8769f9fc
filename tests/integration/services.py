"""Runs a service as the process that operators run."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path


@contextlib.asynccontextmanager
async def started(
    module: str, config: Path, environ: dict[str, str], *options: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ``python -m module``; what is left of it at the end is killed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, "--config", str(config), *options),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
