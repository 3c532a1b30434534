"""The part of the docs that is made from the code: every command's help, and the public names."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import wmhseg
from wmhseg.cli import main as cli

TITLES = {"commands": "Commands", "python": "Python"}
_WIDTH = "100"


def commands() -> str:
    """A page of Markdown: what ``--help`` says, command by command."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _WIDTH  # argparse asks it for the width of the terminal
    try:
        parts = [f"## {one.prog}\n\n```text\n{one.format_help()}```\n" for one in cli.parsers()]
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    about = "What `--help` says of each command, as this version has it."
    return "\n".join([f"# {TITLES['commands']}", about, *parts])


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, (Exception, Warning))


def python() -> str:
    """A page of Markdown: the public names, as their docstrings describe them."""
    names = [name for name in wmhseg.__all__ if name != "__version__"]
    values = {name: getattr(wmhseg, name) for name in names}
    functions = [name for name in names if not isinstance(values[name], type)]
    classes = [name for name in names if name not in functions and not _is_error(values[name])]
    errors = [name for name in names if _is_error(values[name])]
    about = (
        "All that `import wmhseg` has. Arrays are (slice, row, column). What stays is told in "
        "[What stays, and what may change](../docs/stability.md)."
    )
    parts = [f"# {TITLES['python']}", about, "## Functions"]
    parts += [_directive("autofunction", name) for name in functions]
    parts += ["## Classes", *(_directive("autoclass", name, ":members:") for name in classes)]
    parts += [
        "## Errors and warnings",
        "[Exit codes](../docs/exit-codes.md) lists what each means to the command line.",
    ]
    parts += [_directive("autoexception", name, ":show-inheritance:") for name in errors]
    return "\n\n".join(parts) + "\n"


def _directive(kind: str, name: str, *options: str) -> str:
    lines = [f".. {kind}:: wmhseg.{name}", *(f"   {option}" for option in options)]
    return "\n".join(["```{eval-rst}", *lines, "```"])


def write(folder: Path) -> list[PurePosixPath]:
    """Writes the pages into ``reference``.

    Args:
        folder: Of what the site is made of.

    Returns:
        The pages, from there.
    """
    (folder / "reference").mkdir()
    made = {"commands": commands(), "python": python()}
    for name, text in made.items():
        (folder / "reference" / f"{name}.md").write_text(text, encoding="utf-8")
    return [PurePosixPath("reference") / f"{name}.md" for name in made]
