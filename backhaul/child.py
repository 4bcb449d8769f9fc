"""Child processes that cannot outlive the process that started them."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["start_child", "stop_child"]

_PR_SET_PDEATHSIG = 1


async def start_child(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: int | None = asyncio.subprocess.DEVNULL,
    stderr: int = asyncio.subprocess.DEVNULL,
    log_path: Path | None = None,
    pass_fds: Sequence[int] = (),
    tied: bool = True,
) -> asyncio.subprocess.Process:
    """Start a process that the kernel kills when this one ends, however it ends.

    The tie is Linux's PR_SET_PDEATHSIG. It follows the *thread* that starts the
    child, so call this on the main thread. Elsewhere a child is not tied.

    Args:
        arguments: The command line; the first one is the program's path.
        env: The whole environment of the child; None: ours.
        stdout: As in ``subprocess``.
        stderr: As in ``subprocess``.
        log_path: A file to append stderr to instead.
        pass_fds: Descriptors that the child keeps open.
        tied: False for a child that notices the end of this process by itself, and
            has something to put in order first.
    """
    log = None if log_path is None else log_path.open("ab")
    try:
        return await asyncio.create_subprocess_exec(
            *arguments,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr if log is None else log,
            pass_fds=pass_fds,
            preexec_fn=_tie_to_parent() if tied else None,
        )
    finally:
        if log is not None:
            log.close()


async def stop_child(process: asyncio.subprocess.Process, *, grace_s: float) -> None:
    """Ask a process to end, and end it when *grace_s* have passed."""
    try:
        _send(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await process.wait()
    finally:
        # Also when the wait was cancelled: nobody else would end it.
        _send(process, signal.SIGKILL)
    await process.wait()


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        # It may have ended without the event loop having noticed yet. Process's own
        # send_signal would then collect the exit status, and asyncio report 255.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _tie_to_parent() -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    # All look-ups happen before the fork: after it, only these calls run.
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            # The parent died between the fork and the tie.
            os._exit(1)

    return tie
