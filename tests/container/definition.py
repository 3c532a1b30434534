"""Reads ``containers/Apptainer.def``: its head and its sections."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "containers" / "Apptainer.def"


@dataclass(frozen=True)
class Definition:
    """A definition file.

    Attributes:
        head: Such as {"Bootstrap": "docker"}.
        sections: Name without "%" -> lines.
    """

    head: dict[str, str]
    sections: dict[str, list[str]]

    @property
    def files(self) -> list[tuple[str, str]]:
        """What is copied: from the clone, into the image."""
        pairs = [line.split() for line in self.sections["files"]]
        return [(source, target) for source, target in pairs]

    @property
    def environment(self) -> dict[str, str]:
        """Variables of who runs it."""
        lines = [line.removeprefix("export ") for line in self.sections["environment"]]
        return dict(line.split("=", 1) for line in lines)

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the file."""
        return dict(line.split(None, 1) for line in self.sections["labels"])

    def script(self, name: str) -> str:
        """A section as a shell script."""
        return "\n".join(self.sections[name]) + "\n"


def read(path: Path = FILE) -> Definition:
    """Reads a definition file."""
    head: dict[str, str] = {}
    sections: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in path.read_text("utf-8").splitlines():
        text = line.strip()
        if found := re.fullmatch(r"%(\w+)", line):
            current = sections.setdefault(found[1], [])
        elif text and not text.startswith("#"):
            if current is None:
                name, _, value = text.partition(":")
                head[name] = value.strip()
            else:
                current.append(text)
    return Definition(head, sections)
