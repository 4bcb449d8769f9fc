"""Programs of others that judge ours."""

import os
import shutil

import pytest

from lab.path_namespaces import path_problem


def installed(program: str, *, package: str) -> str:
    """Return where *program* is; without it there is no judge, and CI needs one."""
    path = shutil.which(program)
    if path is not None:
        return path
    reason = f"{program} is not installed (Debian package {package})"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def emulated_paths_possible() -> None:
    """Go on only where network paths can be emulated; CI has to be such a place."""
    problem = path_problem()
    if problem is not None and os.environ.get("CI"):
        pytest.fail(problem)
    if problem is not None:
        pytest.skip(problem)
