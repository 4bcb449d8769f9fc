"""The runbook knows every drill, and names only what there is."""

import re
from pathlib import Path

import pytest

from lab.drills.catalogue import DRILLS

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
OBSERVABILITY = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
ALERTS = (ROOT / "docs" / "alerts.yml").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", RUNBOOK, re.MULTILINE))
CODES = re.findall(r"`([^`]+)`", RUNBOOK)


def source() -> str:
    packages = ("edge", "region_agent", "backhaul")
    files = (path for name in packages for path in (ROOT / name).rglob("*.py"))
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@pytest.mark.parametrize("name", sorted(DRILLS))
def test_every_drill_has_its_section(name: str) -> None:
    section = SECTIONS[name]
    assert "- **Seen**: " in section
    assert "- **Do**: " in section


def test_every_section_is_a_drill() -> None:
    assert sorted(SECTIONS) == sorted(DRILLS)


def test_every_metric_is_documented() -> None:
    known = set(re.findall(r"^\| `([a-z0-9_]+)`", OBSERVABILITY, re.MULTILINE))
    names = {code.partition("{")[0] for code in CODES}
    metrics = {name for name in names if re.fullmatch(_METRIC, name)}
    assert "edge_sessions_lost_total" in metrics
    assert metrics - known - settings() == set()


_METRIC = r"[a-z]+(_[a-z0-9]+)+"


def settings() -> set[str]:
    """Return the settings, which look like metrics."""
    return set(re.findall(r"^    ([a-z_]+): ", source(), re.MULTILINE))


def test_every_alert_exists() -> None:
    alerts = {code for code in CODES if code.startswith("Warmline")}
    assert alerts
    known = set(re.findall(r"alert: (\w+)", ALERTS))
    assert alerts - known == set()


def test_every_log_event_is_logged() -> None:
    text = source()
    events = {code for code in CODES if re.fullmatch(r"[a-z]+\.[a-z_]+", code)}
    assert "region.state_changed" in events
    assert [one for one in sorted(events) if f'"{one}"' not in text] == []


def test_every_link_leads_somewhere() -> None:
    for anchor in re.findall(r"\]\(#([a-z0-9-]+)\)", RUNBOOK):
        assert anchor in SECTIONS
    for file in re.findall(r"\]\(([a-z.]+)\)", RUNBOOK):
        assert (ROOT / "docs" / file).exists()


def test_every_drill_is_held_in_ci() -> None:
    files = (ROOT / "tests" / "integration").glob("test_drills_of_*.py")
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert [name for name in DRILLS if f'"{name}"' not in text] == []
