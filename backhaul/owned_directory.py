"""Temporary directories that are removed although their owner was killed."""

import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["has_dead_owner", "make_owned_directory"]


def make_owned_directory(prefix: str, parent: Path | None = None) -> Path:
    """Make a directory (0700) of this process; remove those of owners that are dead.

    Args:
        prefix: What the names of such directories begin with; the owner's pid follows.
        parent: Where to make it; None: the system's directory for temporary files.
    """
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in parent.glob(f"{prefix}*"):
        if _is_stale(path, prefix):
            shutil.rmtree(path, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent))


def has_dead_owner(name: str, prefix: str) -> bool:
    """Tell whether *name* is *prefix*, the pid of a process that is gone, ``-...``."""
    owner = name.removeprefix(prefix).partition("-")[0]
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return name.startswith(prefix)
    except (ValueError, OverflowError, PermissionError):
        return False
    return False


def _is_stale(path: Path, prefix: str) -> bool:
    try:
        is_ours = path.lstat().st_uid == os.geteuid()
    except OSError:
        return False
    return is_ours and has_dead_owner(path.name, prefix)
