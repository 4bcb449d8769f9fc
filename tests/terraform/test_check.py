"""Every stage of ``make terraform-check``, as that command runs them."""

import pytest

from tests.terraform.check import run, stages
from tests.terraform.workspace import workspace


@pytest.mark.timeout(600)
def test_every_stage_passes() -> None:
    lines: list[str] = []
    with workspace() as work:
        run(work, say=lines.append)
    named = [line.split("  ")[0].strip() for line in lines]
    assert named == [*(stage.name for stage in stages()), "offline"]
    assert not any("FAILED" in line for line in lines)
