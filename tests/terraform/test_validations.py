"""Every validation has a run that needs it: without it, ``terraform test`` fails."""

import re
from pathlib import Path

import pytest

from tests.terraform.schema import TREE
from tests.terraform.workspace import workspace

VALIDATION = re.compile(r"^  validation \{\n.*?^  \}\n", re.DOTALL | re.MULTILINE)
RUNS = "tests/validations.tftest.hcl"
PLACES = [
    (directory, number)
    for directory in (".", "bootstrap")
    for number in range(
        len(VALIDATION.findall((TREE / directory / "variables.tf").read_text()))
    )
]


def without(text: str, number: int) -> str:
    match = list(VALIDATION.finditer(text))[number]
    return text[: match.start()] + text[match.end() :]


@pytest.mark.parametrize("directory", [".", "bootstrap"])
@pytest.mark.timeout(300)
def test_every_validation_is_needed(directory: str) -> None:
    with workspace() as work:
        # The copy has a file where the tree has a link to the root's variables.
        path = Path("tests/variables" if directory == "." else directory)
        variables = work.tree / path / "variables.tf"
        text = variables.read_text(encoding="utf-8")
        work.init(directory).require()
        test = ("test", "-no-color", f"-filter={RUNS}")
        work.run(directory, *test).require()
        unneeded = []
        for where, number in PLACES:
            if where == directory:
                variables.write_text(without(text, number), encoding="utf-8")
                if work.run(directory, *test).code == 0:
                    unneeded.append(VALIDATION.findall(text)[number])
        assert unneeded == []
