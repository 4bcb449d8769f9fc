"""What docs/observability.md and docs/alerts.yml say, to compare it with the code."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "observability.md"
RULES = ROOT / "docs" / "alerts.yml"
_ATTRIBUTE = re.compile(r"(warmline|gen_ai)\.[a-z_.]+")


@dataclass(frozen=True)
class Metric:
    """A row of a table of metrics."""

    name: str
    kind: str
    labels: frozenset[str]
    unit: str
    text: str
    alerts: tuple[str, ...]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, its head left out."""
    _, _, section = DOCUMENT.read_text().partition(f"\n{heading}\n")
    assert section, heading
    lines = re.split(r"\n#+ ", section)[0].splitlines()
    table = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table][
        2:
    ]


def codes(cell: str) -> list[str]:
    """Return what stands in backquotes."""
    return re.findall(r"`([^`]+)`", cell)


def spans() -> dict[str, str]:
    """Return every span and its service."""
    return {codes(row[0])[0]: row[1] for row in rows("### Spans")}


def attributes() -> dict[str, frozenset[str]]:
    """Return every attribute and the spans that have it."""
    return {
        codes(row[0])[0]: frozenset(codes(row[1])) for row in rows("### Attributes")
    }


def metrics(service: str) -> dict[str, Metric]:
    """Return every metric of a service, those of both included."""
    found = (*rows("### Of both"), *rows(f"### Of an {service}"))
    return {
        codes(name)[0]: Metric(
            codes(name)[0],
            kind,
            frozenset(codes(labels)),
            unit,
            text,
            tuple(one.strip() for one in rest.strip(" |").split(",") if one.strip()),
        )
        for name, kind, labels, unit, text, rest in (six(row) for row in found)
    }


def six(row: list[str]) -> list[str]:
    """Return a row of six cells: where the last one is empty, nothing is between."""
    return row if len(row) == 6 else [*row, ""]


def alerts() -> list[str]:
    """Return the alerts of the document."""
    return [codes(row[0])[0] for row in rows("## Alerts")]


def rules() -> dict[str, str]:
    """Return the rules: their expressions by name."""
    pairs = re.findall(r"- alert: (\w+)\n\s+expr: (.*)\n", RULES.read_text())
    return dict(pairs)


def attributes_in_code() -> frozenset[str]:
    """Return every attribute of spans that the services' source names."""
    return frozenset(
        text
        for package in ("edge", "region_agent", "backhaul")
        for path in (ROOT / package).rglob("*.py")
        for text in _strings(path)
        if _ATTRIBUTE.fullmatch(text)
    )


def _strings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
