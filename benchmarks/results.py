"""A file of results with a section for each kind of processor: the newest run of each stays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from wmhseg.io import files


def slug(kind: str) -> str:
    """A kind of processor as a part of file names."""
    return re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-")


def with_section(text: str, head: Sequence[str], kind: str, lines: Sequence[str]) -> str:
    """Replaces or adds the section of a kind of processor.

    Args:
        text: The file as it is, "" for a new one.
        head: What stands above all sections.
        kind: Heading of the section.
        lines: Its lines.
    """
    parts = re.split(r"(?m)^## (.+)\n", text)[1:]
    sections = dict(zip(parts[::2], (body.strip("\n") for body in parts[1::2]), strict=True))
    sections[kind] = "\n".join(lines).strip("\n")
    written = (f"## {name}\n\n{body}\n" for name, body in sections.items())
    return "\n".join([*head, "", *written])


def write_section(path: Path, head: Sequence[str], kind: str, lines: Sequence[str]) -> None:
    """Does so to a file."""
    text = path.read_text("utf-8") if path.exists() else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, with_section(text, head, kind, lines))
