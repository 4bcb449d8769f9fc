"""A copy of the Terraform tree in which the real Terraform runs without a cloud."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.terraform.provider import serving
from tests.terraform.schema import TREE
from tests.terraform.state_server import keeping_states

__all__ = ["IMAGE", "ROOTS", "Outcome", "Workspace", "workspace"]

IMAGE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/warmline@sha256:{'5' * 64}"
_DOMAIN = {"domain": "voice.example.com", "zone_id": "Z0123456789EXAMPLE"}
ROOTS = {
    "bootstrap": {"github_repository": "example/voices"},
    "environments/dev": {"image": IMAGE, **_DOMAIN},
    "environments/prod": {"image": IMAGE, **_DOMAIN},
    "examples/minimal": {"image": IMAGE},
    "examples/complete": {"image": IMAGE, "deletion_protection": False},
}
"""The directories that can be applied, and values for their variables."""
_CLI = Path(__file__).with_name("cli.py")
_BACKEND = 'terraform {\n  backend "http" {}\n}\n'
_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command of Terraform's came to."""

    code: int
    text: str

    def require(self) -> "Outcome":
        """Return this outcome if it is a success.

        Raises:
            AssertionError: With all that Terraform said.
        """
        if self.code:
            raise AssertionError(self.text)
        return self


class Workspace:
    """The copied tree, and Terraform run in its directories."""

    def __init__(self, tree: Path, *, reattach: str, states: str) -> None:
        self.tree = tree
        self._states = states
        self._environment = {
            "CHECKPOINT_DISABLE": "1",
            "HOME": str(tree),
            "PATH": os.environ.get("PATH", ""),
            "TF_IN_AUTOMATION": "1",
            "TF_REATTACH_PROVIDERS": reattach,
        }

    def run(self, directory: str, *arguments: str) -> Outcome:
        """Run Terraform with *arguments* in *directory* of the tree."""
        done = subprocess.run(  # noqa: S603 - our own command
            # -P: files of this folder are not to be found in place of libraries.
            [sys.executable, "-P", str(_CLI), *arguments],
            cwd=self.tree / directory,
            env=self._environment | {"TF_HTTP_ADDRESS": f"{self._states}/{directory}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return Outcome(done.returncode, done.stdout)

    def init(self, directory: str) -> Outcome:
        """Find the modules of *directory*."""
        return self.run(directory, "init", "-input=false", "-no-color")

    def plan(self, directory: str, *arguments: str) -> Outcome:
        """Plan *directory* into its plan file, from scratch or on what is applied."""
        return self.run(
            directory, "plan", "-input=false", "-no-color", "-out=plan.bin", *arguments
        )

    def shown(self, directory: str, *what: str) -> dict[str, Any]:
        """Return the plan file *what* of *directory*, or its state, as JSON."""
        shown = self.run(directory, "show", "-json", *what).require()
        loaded: dict[str, Any] = json.loads(shown.text)
        return loaded


@contextmanager
def workspace(tree: Path = TREE) -> Iterator[Workspace]:
    """Copy *tree* and serve the provider for as long as the context lasts."""
    with (
        TemporaryDirectory(prefix="warmline-terraform-") as folder,
        serving() as reattach,
        keeping_states() as states,
    ):
        copy = Path(folder) / "terraform"
        unwanted = shutil.ignore_patterns(".terraform*", "*.tfstate*", "__pycache__")
        shutil.copytree(tree, copy, ignore=unwanted)
        for directory, values in ROOTS.items():
            # Whatever backend they have: nobody here can reach it.
            override = copy / directory / "backend_override.tf"
            override.write_text(_BACKEND, encoding="utf-8")
            given = copy / directory / "given.auto.tfvars.json"
            given.write_text(json.dumps(values), encoding="utf-8")
        yield Workspace(copy, reattach=reattach, states=states)
