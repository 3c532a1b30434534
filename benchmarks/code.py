"""The code itself, measured: modules, folders, functions, docstrings, tests.

    python -m benchmarks.code [PACKAGE ...]

Prints a table with a column for this project and one for each further package that is named by
its folder. All are read as text: nothing is imported.
"""

from __future__ import annotations

import argparse
import ast
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import ROOT

Def = ast.FunctionDef | ast.AsyncFunctionDef


def size(node: Def) -> tuple[int, int]:
    """Arguments of a function, but for self and cls, and the statements in it."""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    count = len([a for a in arguments if a.arg not in ("self", "cls")])
    return count, sum(isinstance(n, ast.stmt) for n in ast.walk(node)) - 1


@dataclass(frozen=True)
class Sizes:
    """A package in figures, tests left out.

    Attributes:
        module_lines: Lines of each module.
        folder_modules: Modules of each folder, ``__init__`` left out.
        function_lines: Lines of each function, docstring and comments included.
        long: Functions of more than 40 statements.
        wide: Functions of more than 6 arguments.
        annotated: Share of functions whose arguments and result all have types.
        docstring_lines: In all docstrings.
        doctest_lines: Of those, examples that can be run.
        code_lines: What is neither blank, comment nor docstring.
        test_lines: The same of the tests; None where there are none beside the package.
    """

    module_lines: list[int]
    folder_modules: list[int]
    function_lines: list[int]
    long: int
    wide: int
    annotated: float
    docstring_lines: int
    doctest_lines: int
    code_lines: int
    test_lines: int | None


def functions(tree: ast.AST) -> list[Def]:
    """Every function and method of a module."""
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def docstrings(tree: ast.AST) -> list[ast.Constant]:
    """Every docstring of a module, of its classes and functions, and of its constants."""
    found = []
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for one in body if isinstance(body, list) else []:
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                found += [one.value] if isinstance(one.value.value, str) else []
    return found


def is_annotated(node: Def) -> bool:
    """Whether a function's arguments and result all have types."""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    named = [a for a in arguments if a.arg not in ("self", "cls")]
    return all(a.annotation for a in named) and (
        node.returns is not None or node.name == "__init__"
    )


def lines_of_code(text: str, tree: ast.AST) -> int:
    """Lines that are neither blank nor comment nor docstring."""
    lines = dict(enumerate(text.splitlines(), 1))
    for described in docstrings(tree):
        for number in range(described.lineno, (described.end_lineno or described.lineno) + 1):
            lines.pop(number, None)
    return sum(1 for line in lines.values() if line.strip() and line.strip()[0] != "#")


def is_test(path: Path) -> bool:
    """Whether a file belongs to the tests of a package that keeps them inside."""
    return any(part in ("tests", "test", "testing", "conftest.py") for part in path.parts)


def measure(package: Path, tests: Path | None = None) -> Sizes:
    """Measures a package.

    Args:
        package: Its folder.
        tests: Folder of its tests; tests inside the package count as well.
    """
    sources, checks = [], sorted(tests.rglob("*.py")) if tests else []
    for path in sorted(package.rglob("*.py")):
        (checks if is_test(path.relative_to(package)) else sources).append(path)
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in sources}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    defs = [node for tree in trees.values() for node in functions(tree)]
    described = [str(node.value) for tree in trees.values() for node in docstrings(tree)]
    folders = Counter(path.parent for path in sources if path.name != "__init__.py")
    checked = [
        (text, ast.parse(text)) for text in (p.read_text("utf-8", "replace") for p in checks)
    ]
    return Sizes(
        module_lines=[len(text.splitlines()) for text in texts.values()],
        folder_modules=list(folders.values()),
        function_lines=[(node.end_lineno or node.lineno) - node.lineno + 1 for node in defs],
        long=sum(size(node)[1] > 40 for node in defs),
        wide=sum(size(node)[0] > 6 for node in defs),
        annotated=statistics.fmean(map(is_annotated, defs)),
        docstring_lines=sum(len([x for x in d.splitlines() if x.strip()]) for d in described),
        doctest_lines=sum(x.strip().startswith(">>>") for d in described for x in d.splitlines()),
        code_lines=sum(lines_of_code(texts[path], trees[path]) for path in sources),
        test_lines=sum(lines_of_code(*one) for one in checked) if checked else None,
    )


def table(measured: Mapping[str, Sizes]) -> list[str]:
    """A row a figure, a column a package."""

    def row(name: str, text: Callable[[Sizes], str]) -> str:
        return f"| {name} | " + " | ".join(text(found) for found in measured.values()) + " |"

    def middle(values: Sequence[int]) -> str:
        return f"{statistics.median(values):.0f} / {max(values)}"

    def tests(found: Sizes) -> str:
        return "-" if found.test_lines is None else f"{found.test_lines / found.code_lines:.2f}"

    return [
        "| | " + " | ".join(measured) + " |",
        "|---" * (1 + len(measured)) + "|",
        row(
            "modules / lines",
            lambda s: f"{len(s.module_lines)} / {sum(s.module_lines) / 1000:.0f}k",
        ),
        row("fullest folder, modules", lambda s: str(max(s.folder_modules))),
        row("lines of a module, median / most", lambda s: middle(s.module_lines)),
        row("lines of a function, median / most", lambda s: middle(s.function_lines)),
        row("functions over 40 statements / over 6 arguments", lambda s: f"{s.long} / {s.wide}"),
        row("functions with all types, %", lambda s: f"{100 * s.annotated:.0f}"),
        row("docstring lines / code lines", lambda s: f"{s.docstring_lines / s.code_lines:.2f}"),
        row("examples in docstrings, lines", lambda s: str(s.doctest_lines)),
        row("test lines / code lines", tests),
    ]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("packages", nargs="*", type=Path, help="folders of other packages")
    packages = parser.parse_args().packages
    measured = {"wmhseg": measure(ROOT / "wmhseg", ROOT / "tests")}
    for folder in packages:
        near = (folder.parent / "tests", folder.parent.parent / "tests")
        measured[folder.name] = measure(folder, next((p for p in near if p.is_dir()), None))
    print("\n".join(table(measured)))


if __name__ == "__main__":
    main()
