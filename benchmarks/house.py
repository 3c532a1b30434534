"""Who imports whom in a package: read from the code as text, nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

House = Mapping[str, set[str]]
"""Module -> the modules of the package that it imports."""


def modules(root: Path, package: str = "wmhseg") -> dict[str, Path]:
    """Every module of a package: name without the package's, "" for its root -> file."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root / package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> set[str]:
    """Dotted names of everything that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # What is taken may be a module or something in one: the house knows its modules.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def house(root: Path, package: str = "wmhseg") -> dict[str, set[str]]:
    """The arrows between the modules of a package."""
    known = modules(root, package)
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        arrows = set()
        for full in imports(path):
            top, _, rest = full.partition(".")
            if top == package:
                parts = rest.split(".")
                names = (".".join(parts[:n]) for n in range(len(parts), -1, -1))
                arrows.add(next(one for one in names if one in known))
        found[name] = arrows - {name}
    return found


def wings(found: House) -> dict[str, set[str]]:
    """The arrows between wings; what stands alone at the top is a wing of its own."""
    made: dict[str, set[str]] = {}
    for name, others in found.items():
        wing = name.split(".")[0]
        made.setdefault(wing, set()).update(
            other.split(".")[0] for other in others if other.split(".")[0] != wing
        )
    return made


def circles(found: House) -> list[list[str]]:
    """Groups of more than one node that can all reach each other (Tarjan's components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(found.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for node in sorted(found):
        if node not in index:
            visit(node)
    return groups
