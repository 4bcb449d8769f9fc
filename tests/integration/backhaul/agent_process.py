"""An agent's QUIC listener as a process of its own, to be killed by a test.

``python -m tests.integration.backhaul.agent_process DIRECTORY`` prints its address.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from backhaul.child import start_child
from backhaul.pki import Role, issue
from tests.integration.backhaul.links import AGENT_HELLO, Bench, serve


async def run(directory: Path) -> None:
    bench = Bench(directory, "quic")
    bench.agent = bench.new(AGENT_HELLO)
    await serve(bench, issue(directory, Role.REGION_AGENT, "home"))
    sys.stdout.write(bench.address + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def agent_process(
    directory: Path,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Start the process and return it with its address."""
    process = await start_child(
        [sys.executable, "-m", __name__, str(directory)], stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        yield process, line.decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
