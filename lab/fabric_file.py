"""Where a running local fabric leaves word, so that other commands find it."""

import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import orjson

__all__ = ["forget_fabric", "recall_fabric", "remember_fabric"]


def _path() -> Path:
    return Path(tempfile.gettempdir()) / f"warmline-{os.getuid()}" / "fabric.json"


def remember_fabric(description: dict[str, Any]) -> None:
    """Write the description of a running fabric, readable for this user alone."""
    path = _path()
    path.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_bytes(orjson.dumps({**description, "pid": os.getpid()}))
    temporary.replace(path)


def recall_fabric() -> dict[str, Any]:
    """Return the description of the fabric that was started last, or nothing."""
    try:
        description = msgspec.json.decode(_path().read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return {}
    return description


def forget_fabric() -> None:
    """Remove what this process remembered; another fabric's word stays."""
    if recall_fabric().get("pid") == os.getpid():
        _path().unlink(missing_ok=True)
