"""Children die with their parent, however it dies."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable

import pytest

from backhaul.child import start_child, stop_child

PARENT = """
import asyncio, sys, uvloop
from backhaul.child import start_child
async def main():
    child = await start_child([sys.executable, "-c", "import time; time.sleep(600)"])
    print(child.pid, flush=True)
    await asyncio.sleep(600)
{runner}.run(main())
"""

Wait = Callable[[Callable[[], bool]], Awaitable[None]]


def is_gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_a_killed_parent_takes_its_child_with_it(wait: Wait) -> None:
    for runner in ("asyncio", "uvloop"):
        parent = await start_child(
            [sys.executable, "-c", PARENT.format(runner=runner)],
            stdout=asyncio.subprocess.PIPE,
        )
        assert parent.stdout is not None
        child_pid = int(await parent.stdout.readline())
        assert not is_gone(child_pid)
        parent.kill()
        await parent.wait()
        await wait(lambda pid=child_pid: is_gone(pid))  # type: ignore[misc]


async def test_a_stubborn_child_is_killed_after_the_grace_period() -> None:
    program = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(1, flush=True); time.sleep(600)"
    )
    child = await start_child(
        [sys.executable, "-c", program], stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    await child.stdout.readline()
    await stop_child(child, grace_s=0.05)
    assert child.returncode == -signal.SIGKILL
    await stop_child(child, grace_s=0.05)  # once more does nothing


async def test_a_child_has_the_environment_it_was_given() -> None:
    child = await start_child(
        [sys.executable, "-c", "import os; print(os.environ['ONE'], len(os.environ))"],
        env={"ONE": "1", "PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await child.communicate()
    assert out.split()[0] == b"1"


async def test_a_child_that_has_ended_by_itself_is_stopped_without_an_error() -> None:
    for _ in range(20):
        child = await start_child(["/bin/true"])
        # The event loop must not learn of it yet: hence no await.
        with contextlib.suppress(ChildProcessError):  # already collected
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222
        await stop_child(child, grace_s=5.0)
        assert child.returncode == 0


async def test_a_child_does_not_survive_a_stop_that_was_cancelled(wait: Wait) -> None:
    program = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(1, flush=True); time.sleep(600)"
    )
    child = await start_child(
        [sys.executable, "-c", program], stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    await child.stdout.readline()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await stop_child(child, grace_s=60.0)
    await wait(lambda: child.returncode == -signal.SIGKILL)


UNTIED = """
import asyncio, sys
from backhaul.child import start_child
async def main():
    held = int(sys.argv[1])
    program = f"import os; print(os.getpid(), flush=True); os.read({held}, 1);"
    program += "print('in order', flush=True)"
    await start_child(
        [sys.executable, "-c", program], stdout=None, pass_fds=(held,), tied=False
    )
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_an_untied_child_can_put_things_in_order_when_its_parent_is_gone(
    wait: Wait,
) -> None:
    kept, passed = socket.socketpair()
    with kept, passed:
        parent = await start_child(
            [sys.executable, "-c", UNTIED, str(passed.fileno())],
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(passed.fileno(),),
        )
        passed.close()
        assert parent.stdout is not None
        child_pid = int(await parent.stdout.readline())
        parent.kill()
        await wait(lambda: is_gone(parent.pid))
        assert not is_gone(child_pid)
    assert await parent.stdout.read() == b"in order\n"
    await parent.wait()
    await wait(lambda: is_gone(child_pid))
