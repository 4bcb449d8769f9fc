"""Directories go with the process that made them, at the latest when another comes."""

import os
import subprocess
import sys
from pathlib import Path

from backhaul.owned_directory import has_dead_owner, make_owned_directory


def test_what_dead_owners_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f"mine-{ended.pid}-abc"
    alive = tmp_path / f"mine-{os.getpid()}-abc"
    odd = tmp_path / "mine-of-nobody"
    other = tmp_path / f"other-{ended.pid}-abc"
    for path in (left, alive, odd, other):
        path.mkdir()
        (path / "file").touch()
    made = make_owned_directory("mine-", tmp_path)
    assert not left.exists()
    assert alive.exists()
    assert odd.exists()
    assert other.exists()
    assert made.stat().st_mode & 0o777 == 0o700
    assert made.name.startswith(f"mine-{os.getpid()}-")


def test_the_parent_is_made_when_it_is_missing(tmp_path: Path) -> None:
    made = make_owned_directory("mine-", tmp_path / "a" / "b")
    assert made.parent == tmp_path / "a" / "b"


def test_only_a_name_with_the_pid_of_a_dead_process_has_a_dead_owner() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert has_dead_owner(f"mine-{ended.pid}-abc", "mine-")
    assert not has_dead_owner(f"mine-{os.getpid()}-abc", "mine-")
    assert not has_dead_owner(f"{ended.pid}-abc", "mine-")
    assert not has_dead_owner("mine-of-nobody", "mine-")
    assert not has_dead_owner(f"mine-{10**30}-abc", "mine-")
