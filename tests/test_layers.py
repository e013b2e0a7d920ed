"""A lower floor never imports from a higher one (docs/internals.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Module prefix -> floor; the longest prefix wins.
FLOORS = {
    "anonfilter.kernels": 0,
    "anonfilter.errors": 1,
    "anonfilter.records": 1,
    "anonfilter.frame": 1,
    "anonfilter.memory": 2,
    "anonfilter.job": 1,
    "anonfilter.options": 1,
    "anonfilter.syntax": 1,
    "anonfilter.expr": 1,
    "anonfilter.colour": 1,
    "anonfilter.regionmask": 1,
    "anonfilter.located": 1,
    "anonfilter.exprcode": 1,
    "anonfilter.values": 1,
    "anonfilter.streamspec": 1,
    "anonfilter.partfile": 2,
    "anonfilter.recordjson": 2,
    "anonfilter.channel": 1,
    "anonfilter.filter": 2,
    "anonfilter.assoc": 2,
    "anonfilter.curves": 2,
    "anonfilter.lumasearch": 2,
    "anonfilter.motion": 2,
    "anonfilter.shots": 2,
    "anonfilter.glance": 2,
    "anonfilter.watch": 2,
    "anonfilter.novelty": 2,
    "anonfilter.sampling": 2,
    "anonfilter.sightings": 2,
    "anonfilter.shotnet": 2,
    "anonfilter.transitions": 2,
    "anonfilter.recordfile": 2,
    "anonfilter.infer": 2,
    "anonfilter.io": 2,
    "anonfilter.models": 2,
    "anonfilter.filters": 3,
    "anonfilter.replay": 3,
    "anonfilter.added": 4,
    "anonfilter.plan": 4,
    "anonfilter.unpack": 4,
    "anonfilter.lane": 4,
    "anonfilter.tail": 4,
    "anonfilter.live": 4,
    "anonfilter.run": 4,
    "anonfilter.api": 5,
    "anonfilter.leak": 5,
    "anonfilter.scan": 5,
    "anonfilter.ledger": 4,
    "anonfilter.folder": 5,
    "anonfilter.cli": 5,
    "anonfilter.avoptions": 5,
    "anonfilter.clihelp": 5,
    "anonfilter.cliopts": 5,
    "anonfilter.clijob": 5,
    "anonfilter.cliparse": 5,
    "anonfilter.clirefused": 5,
    "anonfilter.clivalues": 5,
    "anonfilter.signals": 5,
    "anonfilter.progress": 5,
    "anonfilter.sink": 5,
    "anonfilter.report": 5,
    "anonfilter.__main__": 5,
}


def floor(module: str) -> int | None:
    """The floor of a module, None for one that has none (the package itself)."""
    while module:
        if module in FLOORS:
            return FLOORS[module]
        module = module.rpartition(".")[0]
    return None


def modules() -> list[tuple[str, Path]]:
    """All modules of the package as (name, file)."""
    found = []
    for folder, package in (
        ("anonfilter", "anonfilter"),
        ("kernels", "anonfilter.kernels"),
        ("models", "anonfilter.models"),
    ):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found.append((".".join((package, *parts)).removesuffix(".__init__"), path))
    return found


def imported(path: Path) -> set[str]:
    """Modules of ours that a file imports at any depth, type-checking imports included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.startswith("anonfilter")}


@pytest.mark.parametrize(("name", "path"), modules(), ids=[name for name, _ in modules()])
def test_no_import_goes_up(name: str, path: Path) -> None:
    own = floor(name)
    if name == "anonfilter":
        assert imported(path) == set()
        return
    assert own is not None, f"{name} has no floor: add it to FLOORS"
    for other in imported(path):
        above = floor(other)
        assert above is None or above <= own, f"{name} (floor {own}) imports {other} (floor {above})"


def test_the_check_can_fail() -> None:
    assert floor("anonfilter.io.reader") == 2
    assert floor("anonfilter.cli") == 5
    assert "anonfilter.frame" in imported(ROOT / "anonfilter" / "filter.py")
