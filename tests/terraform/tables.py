"""Keeps the tables of variables and outputs in the READMEs of terraform/.

``python -m tests.terraform.tables`` rewrites what stands between the markers.
"""

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from tests.terraform.schema import TREE

__all__ = ["render", "stale"]

_BEGIN, _END = "<!-- tables -->", "<!-- end of tables -->"
_BLOCK = r'^{kind} "(\w+)" \{{\n(.*?)^\}}\n'
_HEREDOC = re.compile(r"<<-EOT\n(.*?)^ *EOT$", re.DOTALL | re.MULTILINE)


def stale() -> list[str]:
    """Return the READMEs whose tables are not those of the files beside them."""
    return [
        str(path.relative_to(TREE))
        for path in _readmes()
        if path.read_text(encoding="utf-8") != render(path)
    ]


def render(readme: Path) -> str:
    """Return the text of *readme* with the tables as they should be."""
    text = readme.read_text(encoding="utf-8")
    head, rest = text.split(_BEGIN)
    _, tail = rest.split(_END)
    return f"{head}{_BEGIN}\n{''.join(_tables(readme.parent))}{_END}{tail}"


def _readmes() -> Iterator[Path]:
    for path in sorted(TREE.rglob("README.md")):
        if _BEGIN in path.read_text(encoding="utf-8"):
            yield path


def _tables(directory: Path) -> Iterator[str]:
    variables = _blocks(directory / "variables.tf", "variable")
    if variables:
        yield "\n| variable | default | what it is |\n|---|---|---|\n"
        for name, body in variables:
            yield f"| `{name}` | {_default(body)} | {_description(body)} |\n"
    outputs = _blocks(directory / "outputs.tf", "output")
    if outputs:
        yield "\n| output | what it is |\n|---|---|\n"
        for name, body in outputs:
            yield f"| `{name}` | {_description(body)} |\n"
    yield "\n"


def _blocks(path: Path, kind: str) -> list[tuple[str, str]]:
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    pattern = re.compile(_BLOCK.format(kind=kind), re.DOTALL | re.MULTILINE)
    return sorted(pattern.findall(text))


def _default(body: str) -> str:
    found = re.search(r"^  default += (.+)$", body, re.MULTILINE)
    return f"`{found[1]}`" if found else "required"


def _description(body: str) -> str:
    heredoc = _HEREDOC.search(body)
    if heredoc:
        text = textwrap.dedent(heredoc[1])
    else:
        line = re.search(r'^  description = "(.*)"$', body, re.MULTILINE)
        text = line[1].replace('\\"', '"').replace("$${", "${") if line else ""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    for outdated in stale():
        (TREE / outdated).write_text(render(TREE / outdated), encoding="utf-8")
        sys.stdout.write(f"{outdated} rewritten\n")
