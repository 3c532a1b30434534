"""wmhseg in a container on a cluster: Apptainer for a .sif file, otherwise podman or Docker.

What is given to the container has the same path inside as outside. Scans and tables are read-only;
only the folder of the results can be written. There is no network, no home folder, and no variable
of the environment but those that are named.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wmhseg import errors

Engine = Literal["apptainer", "podman", "docker"]
SCRATCH = "$scratch"
"""Variable of a script: a folder for what is temporary."""

_MOST_BINDS = 12
_FEWEST_PARTS = 3
"""Of a folder that is given in place of those in it: "/", "data" and one more."""


@dataclass(frozen=True)
class Container:
    """An image, and what it is given.

    Attributes:
        engine: What runs it.
        image: File of Apptainer's, or name of an image.
        read: Folders to read.
        write: The folder of the results.
    """

    engine: Engine
    image: str
    read: tuple[Path, ...]
    write: Path

    def preparation(self) -> Iterable[str]:
        """Lines of shell that the command needs before it."""
        if self.engine == "apptainer":
            yield "# In place of a /tmp of 64 MB at most, which Apptainer would make."
            yield "scratch=$(mktemp -d)"
            yield "trap 'rm -rf \"$scratch\"' EXIT"

    def command(self, settings: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
        """Words that start wmhseg in it, in lines.

        Args:
            settings: Variables that it is to have.

        Raises:
            UsageError: A folder has a name that no engine can be given.
        """
        for folder in (*self.read, self.write):
            _check(folder)
        if self.engine == "apptainer":
            return self._apptainer(settings)
        return self._docker(settings)

    def _apptainer(self, settings: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
        return [
            ("apptainer", "exec"),
            # Its own /tmp, home, processes and environment; no network. Where a cluster's
            # Apptainer does not allow the second line, leave it out.
            ("--containall", "--no-home", "--pwd", "/", "--workdir", SCRATCH),
            ("--net", "--network", "none"),
            *(("--bind", f"{folder}:{folder}:ro") for folder in self.read),
            ("--bind", f"{self.write}:{self.write}"),
            *(("--env", f"{name}={value}") for name, value in settings),
            (self.image, "wmhseg"),
        ]

    def _docker(self, settings: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
        me = f"{os.getuid()}:{os.getgid()}"
        same = [("--userns", "keep-id")] if self.engine == "podman" and os.getuid() else []
        return [
            (self.engine, "run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp"),
            ("--user", me),
            *same,
            *(("-v", f"{folder}:{folder}:ro") for folder in self.read),
            ("-v", f"{self.write}:{self.write}"),
            *(("-e", f"{name}={value}") for name, value in settings),
            (self.image,),
        ]


def of(image: str, read: Iterable[Path], write: Path) -> Container:
    """The container that an image is run in.

    Args:
        image: Path of a .sif file, or name of an image.
        read: Files and folders that are read.
        write: Folder of the results.

    Raises:
        MissingFileError: There is no such .sif file.
        UsageError: A folder has a name that no engine can be given.
    """
    engine: Engine
    if image.endswith(".sif"):
        path = Path(image).absolute()
        if not path.is_file():
            raise errors.MissingFileError(
                "--container: a file of an image was expected", received=f"{path}, not there"
            )
        engine, image = "apptainer", str(path)
    else:
        engine = "podman" if shutil.which("podman") or not shutil.which("docker") else "docker"
    # What lies in the folder of the results is there already.
    others = (folder for folder in folders_of(read) if write not in (folder, *folder.parents))
    made = Container(engine, image, tuple(others), write)
    made.command(())
    return made


def folders_of(paths: Iterable[Path]) -> tuple[Path, ...]:
    """A few folders in which all of some files and folders lie.

    Args:
        paths: Absolute. Where one is a link, what it leads to counts as well.

    Returns:
        Folders, none within another. They are those of the files as long as these are few;
        otherwise some hold more.
    """
    found: set[Path] = set()
    for path in paths:
        for place in (path, path.resolve()):
            found.add(place if place.is_dir() else place.parent)
    found = _outermost(found)
    while len(found) > _MOST_BINDS:
        deepest = max(len(folder.parts) for folder in found)
        if deepest <= _FEWEST_PARTS:
            break
        found = _outermost({f.parent if len(f.parts) == deepest else f for f in found})
    return tuple(sorted(found))


def _outermost(folders: set[Path]) -> set[Path]:
    return {folder for folder in folders if not folders & {*folder.parents}}


def _check(folder: Path) -> None:
    text = str(folder)
    if set(text) & set(":,") or not text.isprintable():
        raise errors.UsageError(
            "Folders without colons, commas and line ends in their names were expected, as a "
            "container can be given no others",
            received=text,
            advice="Rename it, or leave --container out.",
        )
