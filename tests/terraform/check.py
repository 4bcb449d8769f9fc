"""Runs every offline stage of the check of terraform/: ``make terraform-check``.

One line per stage: its name, what it found, and how long it took. The first stage that
fails says why, and ends the check.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from backhaul.clock import monotonic_s
from tests.terraform import tables
from tests.terraform.schema import SCHEMA, TREE, used_types
from tests.terraform.workspace import ROOTS, Workspace, workspace

__all__ = ["Stage", "main", "run", "stages"]

LARGEST = "examples/complete"
"""What is applied: three regions, three edges, every feature."""
_CHECKOV = os.environ.get("CHECKOV", "")
"""The command that runs checkov; it lives in an environment of its own."""

_CHECKOV_OPTIONS = (
    "--framework",
    "terraform",
    "--compact",
    "--quiet",
    "--skip-download",
)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: what it does, and its last word when all is well.

    Attributes:
        name: As printed.
        run: Returns a short account; raises AssertionError with a long one.
    """

    name: str
    run: Callable[[Workspace], str]


def stages() -> Iterator[Stage]:
    """Return the stages in their order."""
    yield Stage("schema", _schema)
    yield Stage("fmt", _fmt)
    yield Stage("init", _init)
    yield Stage("validate", _validate)
    yield Stage("test", _test)
    yield Stage("plan", _plan)
    yield Stage("apply", _apply)
    yield Stage("second plan", _second_plan)
    yield Stage("destroy", _destroy)
    yield Stage("readme", _readme)
    if _CHECKOV:
        yield Stage("checkov", _checkov)


def run(work: Workspace, *, say: Callable[[str], None]) -> float:
    """Run every stage in *work*; return how long all but checkov took (s).

    Raises:
        AssertionError: With what the first stage that failed has to say.
    """
    total_s = 0.0
    for stage in stages():
        started_at = monotonic_s()
        try:
            account = stage.run(work)
        except AssertionError:
            say(f"{stage.name:12} FAILED  {monotonic_s() - started_at:6.1f} s")
            raise
        took_s = monotonic_s() - started_at
        total_s += 0 if stage.name == "checkov" else took_s
        say(f"{stage.name:12} ok      {took_s:6.1f} s  {account}")
    say(f"{'offline':12} ok      {total_s:6.1f} s  all of these but checkov")
    return total_s


def _schema(_: Workspace) -> str:
    known = SCHEMA.read_text(encoding="utf-8")
    missing = [
        kind for kind in used_types() if f'"{kind.removeprefix("data.")}":' not in known
    ]
    assert not missing, f"make terraform-schema: {missing} are not in {SCHEMA.name}"
    version = re.search(r'"version":"([\d.]+)"', known)
    return f"provider {version[1] if version else '?'}, {len(used_types())} types"


def _fmt(work: Workspace) -> str:
    work.run(".", "fmt", "-check", "-diff", "-recursive").require()
    return f"{len(list(TREE.rglob('*.tf')))} files"


def _init(work: Workspace) -> str:
    for directory in (".", *ROOTS):
        work.init(directory).require()
    return f"the module and {len(ROOTS)} directories that use it"


def _validate(work: Workspace) -> str:
    for directory in (".", *ROOTS):
        said = work.run(directory, "validate", "-no-color").require()
        assert "Warning" not in said.text, f"{directory}: {said.text}"
    return "no warnings"


def _test(work: Workspace) -> str:
    passed = 0
    for directory in (".", "bootstrap"):
        said = work.run(directory, "test", "-no-color").require()
        passed += _count(r"(\d+) passed", said.text)
    return f"{passed} runs"


def _plan(work: Workspace) -> str:
    planned = {}
    # The largest comes last: what it plans is applied.
    for directory in sorted(ROOTS, key=LARGEST.__eq__):
        text = work.plan(directory).require().text
        found = _count(r"Plan: ([0-9]+) to add, 0 to change, 0 to destroy", text)
        planned[directory] = found
    return ", ".join(f"{directory} {count}" for directory, count in planned.items())


def _apply(work: Workspace) -> str:
    text = work.run(LARGEST, "apply", "-no-color", "plan.bin").require().text
    return f"{LARGEST}: {_count(r'Resources: ([0-9]+) added', text)} created"


def _second_plan(work: Workspace) -> str:
    again = work.run(LARGEST, "plan", "-no-color", "-detailed-exitcode")
    assert again.code == 0, again.text
    return "changes nothing"


def _destroy(work: Workspace) -> str:
    text = (
        work.run(LARGEST, "destroy", "-no-color", "-auto-approve", "-refresh=false")
        .require()
        .text
    )
    left = work.shown(LARGEST).get("values", {})
    assert not left.get("root_module"), f"left behind: {left}"
    return f"{_count(r'Resources: ([0-9]+) destroyed', text)} destroyed, nothing left"


def _readme(_: Workspace) -> str:
    stale = tables.stale()
    assert not stale, f"python -m tests.terraform.tables: {stale} are out of date"
    return "tables are those of the variables and outputs"


def _checkov(_: Workspace) -> str:
    done = subprocess.run(  # noqa: S603 - the command is the Makefile's
        [*_CHECKOV.split(), "--directory", str(TREE), *_CHECKOV_OPTIONS],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return "clean, but for the exceptions that give their reason"


def _count(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found, text
    return int(found[1])


def main() -> int:
    """Run the check; return its exit code."""
    with workspace() as work:
        try:
            run(work, say=lambda line: print(line, flush=True))  # noqa: T201
        except AssertionError as exc:
            sys.stderr.write(f"{exc}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
