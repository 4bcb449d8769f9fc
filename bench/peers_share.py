"""Holds processes to a share of a core each, as the CPU limit of a container does.

Needs root, and control groups (of version 1 or 2) with the ``cpu`` controller.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["CannotHoldError", "hold_to_share"]

_V2: Final = Path("/sys/fs/cgroup")
_V1: Final = _V2 / "cpu"
_QUOTA_US: Final = 1000
"""The least there is. What a process uses beyond it until the kernel looks, at the next
tick of its clock, it pays back by waiting: up to 10 ms, near its share."""


class CannotHoldError(Exception):
    """This machine does not let us hold processes to a share."""


@contextmanager
def hold_to_share(cores: float, pids: Iterable[int]) -> Iterator[None]:
    """Give each process, by id, and its children *cores* of a core until the end.

    Raises:
        CannotHoldError: If this machine does not let us.
    """
    made: list[Path] = []
    try:
        try:
            for pid in pids:
                made.append(_make_group(pid))
                _limit(made[-1], cores)
                for one in (pid, *_children(pid)):
                    _move(one, made[-1])
        except OSError as exc:
            raise CannotHoldError(str(exc)) from None
        yield
    finally:
        for group in made:
            _remove(group)


def _make_group(pid: int) -> Path:
    root = _V1 if _V1.is_dir() else _V2
    group = root / f"warmline-bench-{os.getpid()}-{pid}"
    group.mkdir()
    return group


def _remove(group: Path) -> None:
    for line in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):  # it may have ended just now
            _move(int(line), group.parent)
    group.rmdir()


def _limit(group: Path, cores: float) -> None:
    period_us = round(_QUOTA_US / cores)
    if group.parent == _V1:
        (group / "cpu.cfs_period_us").write_text(str(period_us))
        (group / "cpu.cfs_quota_us").write_text(str(_QUOTA_US))
    else:
        (group / "cpu.max").write_text(f"{_QUOTA_US} {period_us}")


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]


def _move(pid: int, group: Path) -> None:
    (group / "cgroup.procs").write_text(str(pid))
