"""What a change of the map of regions changes, and what it leaves alone."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.workspace import Workspace, workspace

EXAMPLE = "examples/minimal"
OLD = 'eu-west-1 = { cidr = "10.0.16.0/20" }'
NEW = 'ap-southeast-2 = { cidr = "10.0.32.0/20" }'
END = "\n  }\n\n  edges"
TASK = "aws_ecs_task_definition.this"


def changes(work: Workspace, edit: tuple[str, str]) -> dict[str, Any]:
    """Return what the plan would do after *edit* of the example, by address."""
    main = Path(work.tree / EXAMPLE / "main.tf")
    text = main.read_text(encoding="utf-8")
    assert edit[0] in text
    main.write_text(text.replace(*edit, 1), encoding="utf-8")
    work.plan(EXAMPLE).require()
    planned = work.shown(EXAMPLE, "plan.bin")["resource_changes"]
    main.write_text(text, encoding="utf-8")
    return {
        one["address"].removeprefix("module.warmline."): one["change"]["actions"]
        for one in planned
        if one["mode"] == "managed" and one["change"]["actions"] != ["no-op"]
    }


@pytest.mark.timeout(180)
def test_regions_come_and_go_by_themselves() -> None:
    with workspace() as work:
        work.init(EXAMPLE).require()
        work.plan(EXAMPLE).require()
        work.run(EXAMPLE, "apply", "-no-color", "plan.bin").require()
        added = changes(work, (OLD, f"{OLD}\n{NEW}"))
        removed = changes(work, (OLD + END, NEW + END))

    created = {where for where, what in added.items() if what == ["create"]}
    of_region = re.compile(r'.*\["(agents-)?ap-southeast-2"\]')
    assert len(created) > 50
    assert [where for where in created if not of_region.match(where)] == []
    # Edges learn of it by their configuration; nothing else of theirs is touched.
    others = {where: what for where, what in added.items() if where not in created}
    assert others == {
        **{
            f'module.edge["{place}"].module.service["{place}-{number}"].{TASK}': [
                "update"
            ]
            for place in ("eu-west-1", "us-east-1")
            for number in (1, 2)
        },
        "aws_cloudwatch_dashboard.global": ["update"],
    }

    gone = {where for where, what in removed.items() if what == ["delete"]}
    assert gone
    leaving = re.compile(r'module\.(agent\["eu-west-1"\]|dns\..*"agents-eu-west-1")')
    assert [where for where in gone if not leaving.match(where)] == []
