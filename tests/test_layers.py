"""Arrows point down: what each part of the package may import, and that the core stays pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "qorum"
LAYERS = [
    {"cli", "membership_cli", "node_cli", "operating_cli", "store_cli"},
    {"lab"},
    {"browser"},
    {"federation"},
    {"sim"},
    {"node"},
    {"dashboard"},
    {"store"},
    {"core"},
    {"agent", "merge", "identity"},
    {"experience", "qtable", "exchange"},
    {"encoding", "evidence", "config"},
    {"errors", "__init__"},
]
"""Top to bottom; a part imports its own and lower layers only. The package itself imports names when they are used."""
PURE = ["core", "merge", "agent.py", "experience.py", "qtable.py", "encoding.py", "evidence.py", "config.py"]
IMPURE = {"time", "datetime", "socket", "asyncio", "threading", "subprocess", "secrets", "os", "pickle"}


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports when it runs; those for type checkers only do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(part: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    mine = layer(path.relative_to(SOURCE).parts[0].removesuffix(".py"))
    for name in imports(path):
        first, *rest = name.split(".")
        if first == "qorum":
            part = rest[0] if rest and any(rest[0] in parts for parts in LAYERS) else "__init__"
            assert layer(part) >= mine, f"{path.name} imports {name} from a higher layer"


@pytest.mark.parametrize("part", PURE)
def test_the_pure_parts_know_no_clock_socket_or_file(part: str) -> None:
    paths = [path for path in FILES if path == SOURCE / part or SOURCE / part in path.parents]
    for path in paths:
        roots = {name.split(".")[0] for name in imports(path)}
        assert not roots & IMPURE, f"{path.name} imports {roots & IMPURE}"
        assert roots & {"cryptography", "aiohttp", "typer", "rich", "matplotlib"} == set()
