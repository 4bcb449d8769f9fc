"""The tree keeps its promises: tests are where one looks, and files are short."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("edge", "region_agent", "backhaul", "console", "lab")
PURE = ("edge/core", "region_agent/core", "backhaul/core")
MAX_LINES = 400


def sources(folder: str) -> Iterator[Path]:
    """Return every source file under *folder*, relative to the project."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path.name != "__init__.py":
            yield path.relative_to(ROOT)


def does_something(path: Path) -> bool:
    """Tell whether a module has any statement that runs when it is called."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return any(not is_declaration(function) for function in functions)


def is_declaration(function: ast.FunctionDef) -> bool:
    return all(
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        for statement in function.body
    )


def mirrored(source: Path) -> Path:
    return Path("tests/unit") / source.parent / f"test_{source.name}"


def folder_of(source: Path) -> Path:
    """Return where the tests of a module are that are too many for one file."""
    return Path("tests/unit") / source.parent / source.stem


def test_the_packages_are_where_this_test_looks() -> None:
    for folder in (*PACKAGES, *PURE):
        assert any(sources(folder)), folder


@pytest.mark.parametrize("folder", PURE)
def test_every_pure_module_has_its_unit_test(folder: str) -> None:
    missing = [
        str(path)
        for path in sources(folder)
        if does_something(path)
        and not (ROOT / mirrored(path)).is_file()
        and not any((ROOT / folder_of(path)).glob("test_*.py"))
    ]
    assert missing == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_unit_test_mirrors_a_source_file(package: str) -> None:
    files = {mirrored(path) for path in sources(package)}
    folders = {folder_of(path) for path in sources(package)}
    stray = [
        str(path)
        for path in sources(f"tests/unit/{package}")
        if path not in files
        and path.parent not in folders
        and path.name != "conftest.py"
    ]
    assert stray == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_source_file_is_too_long(package: str) -> None:
    lengths = {
        str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines())
        for path in sources(package)
    }
    too_long = {path: lines for path, lines in lengths.items() if lines > MAX_LINES}
    assert too_long == {}
