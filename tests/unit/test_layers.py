"""Imports point inwards: entry points → services → domain → messages; never back or sideways."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENTRY_POINTS = ("agents", "tables", "web", "bot")
OURS = ("app", "bloxtr8", "proto", *ENTRY_POINTS)
# What starts the whole application may know the entry points.
STARTERS = ("bloxtr8.cli", "bloxtr8.dev", "bloxtr8.__main__")
# One table each, which would only be harder to read in pieces.
TABLES_OF_DATA = {
    "bloxtr8/errors.py",
    "bloxtr8/escrow/transitions.py",
    "bloxtr8/store/migrations/0001_initial.py",
    "bloxtr8/store/migrations/0003_people.py",
    "bloxtr8/store/migrations/0005_listings.py",
}
# Agents keep their state in tables, and wiring names every part.
ALLOWED_SIDEWAYS = {("agents", "tables")}


def _modules(package: str) -> Iterator[Path]:
    for path in (ROOT / package).rglob("*.py"):
        if not path.stem.endswith("_pb2"):
            yield path


def _imports(path: Path) -> set[str]:
    """Return the modules that `path` imports when it runs, not those for type checking only."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.add(node.module or "")
        todo += ast.iter_child_nodes(node)
    return found


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_entry_points_do_not_import_each_other(entry: str) -> None:
    wrong = [
        f"{_name(path)} imports {imported}"
        for path in _modules(entry)
        for imported in _imports(path)
        if (other := imported.split(".")[0]) in (*ENTRY_POINTS, "app")
        and other != entry
        and (entry, other) not in ALLOWED_SIDEWAYS
    ]
    assert not wrong


def test_services_do_not_import_entry_points() -> None:
    wrong = [
        f"{_name(path)} imports {imported}"
        for path in _modules("bloxtr8")
        if not _name(path).startswith(STARTERS)
        for imported in _imports(path)
        if imported.split(".")[0] in (*ENTRY_POINTS, "app")
    ]
    # The app class makes durable tables for its parts; tables import nothing but it.
    assert [line for line in wrong if not line.endswith("imports tables.durable")] == []


def test_what_runs_in_production_does_not_import_the_local_stack() -> None:
    wrong = [
        f"{_name(path)} imports {imported}"
        for package in ("bloxtr8", *ENTRY_POINTS)
        for path in _modules(package)
        if not _name(path).startswith((*STARTERS, "bloxtr8.sandbox"))
        for imported in _imports(path)
        if imported.startswith(("bloxtr8.dev", "bloxtr8.sandbox"))
    ]
    assert not wrong


@pytest.mark.parametrize("package", OURS)
def test_our_top_level_names_are_ours(package: str) -> None:
    # PyPI has packages called agents, tables, web and proto.
    origin = import_module(package).__file__
    assert origin is not None
    assert Path(origin).resolve().is_relative_to(ROOT)
    assert ".venv" not in Path(origin).parts


def test_files_are_short() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for package in ("app.py", "bloxtr8", "tests", *ENTRY_POINTS)
        for path in ([ROOT / package] if package.endswith(".py") else _modules(package))
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert set(long) <= TABLES_OF_DATA
