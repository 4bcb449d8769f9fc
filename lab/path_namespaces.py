"""Network namespaces of emulated paths: made, entered, removed; needs root.

The name of a namespace holds the pid of the process that made it, so that what a killed
process left is found and removed by the next one.
"""

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Final

from backhaul.errors import WarmlineError
from backhaul.owned_directory import has_dead_owner

__all__ = [
    "NAMESPACES",
    "PathUnavailableError",
    "inside",
    "make_namespace",
    "path_problem",
    "remove_namespace",
    "run_ip",
    "sweep_namespaces",
]

NAMESPACES: Final = Path("/run/netns")
"""Where ``ip netns`` keeps them. Source: ip-netns(8)."""

_PREFIX: Final = "warmline-path-"
_TUN: Final = Path("/dev/net/tun")
_CLONE_NEWNET: Final = 0x40000000
_IP_TIMEOUT_S: Final = 20.0


class PathUnavailableError(WarmlineError):
    """No path can be emulated here."""

    code = "path_unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"no network path can be emulated: {reason}")
        self.reason = reason


def path_problem() -> str | None:
    """Return in one line why no path can be emulated here; None when one can."""
    if not _TUN.exists():
        return f"{_TUN} does not exist (Linux, module tun)"
    if shutil.which("ip") is None:
        return "ip is not installed (Debian package iproute2)"
    if os.geteuid() != 0:
        return "it needs root, for network namespaces"
    return None


def make_namespace(label: str) -> str:
    """Make a namespace of this process and return its name.

    Raises:
        PathUnavailableError: If the kernel does not let us.
    """
    name = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(3)}-{label}"
    run_ip("netns", "add", name)
    return name


def remove_namespace(name: str) -> None:
    """Kill what still runs in a namespace and remove it; one that is gone is fine."""
    with contextlib.suppress(PathUnavailableError):
        for pid in run_ip("netns", "pids", name).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run_ip("netns", "delete", name)


def sweep_namespaces() -> None:
    """Remove the namespaces of owners that are dead."""
    for path in NAMESPACES.glob(f"{_PREFIX}*"):
        if has_dead_owner(path.name, _PREFIX):
            remove_namespace(path.name)


def run_ip(*arguments: str) -> str:
    """Run ``ip`` and return what it says.

    Raises:
        PathUnavailableError: If it fails or hangs.
    """
    program = shutil.which("ip") or "ip"
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=_IP_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as exc:
        said = str(exc.stderr).strip().splitlines() or [f"exit code {exc.returncode}"]
        command = " ".join(("ip", *arguments))
        raise PathUnavailableError(f"{command}: {said[0]}") from None
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise PathUnavailableError(str(exc)) from None
    return done.stdout


@contextlib.contextmanager
def inside(namespace: str) -> Generator[None]:
    """Put this thread into *namespace*, for opening sockets and devices.

    They stay there afterwards. Never await inside: other tasks would be there too.

    Raises:
        OSError: If the namespace does not exist or may not be entered.
    """
    with (
        open("/proc/thread-self/ns/net", "rb") as home,  # noqa: PTH123 - kept open
        (NAMESPACES / namespace).open("rb") as there,
    ):
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(namespace_fd: int) -> None:
    # os.setns exists from Python 3.12 on.
    if ctypes.CDLL(None, use_errno=True).setns(namespace_fd, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
