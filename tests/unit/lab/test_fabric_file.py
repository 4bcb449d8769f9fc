import json
import os
import tempfile
from pathlib import Path

import pytest

from lab.fabric_file import forget_fabric, recall_fabric, remember_fabric


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"warmline-{os.getuid()}"


def test_a_fabric_is_remembered_until_it_is_forgotten(directory: Path) -> None:
    assert recall_fabric() == {}
    remember_fabric({"account_sid": "AC1"})
    assert recall_fabric()["account_sid"] == "AC1"
    (path,) = directory.iterdir()
    assert path.stat().st_mode & 0o077 == 0
    forget_fabric()
    assert recall_fabric() == {}
    forget_fabric()


def test_the_fabric_of_another_process_is_not_forgotten(directory: Path) -> None:
    remember_fabric({"account_sid": "AC1"})
    (path,) = directory.iterdir()
    path.write_text(json.dumps({"account_sid": "AC2", "pid": os.getpid() + 1}))
    forget_fabric()
    assert recall_fabric()["account_sid"] == "AC2"


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_file_that_makes_no_sense_is_nothing(directory: Path, content: str) -> None:
    remember_fabric({})
    (path,) = directory.iterdir()
    path.write_text(content)
    assert recall_fabric() == {}
    forget_fabric()
