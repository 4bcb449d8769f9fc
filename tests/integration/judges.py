"""Programs of others that judge ours."""

import os
import shutil

import pytest


def installed(program: str, *, package: str) -> str:
    """Return where *program* is; without it there is no judge, and CI needs one."""
    path = shutil.which(program)
    if path is not None:
        return path
    reason = f"{program} is not installed (Debian package {package})"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
