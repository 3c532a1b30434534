"""Which files this version's models are released as: names, sizes and checksums.

The list travels in the package (``data/models.json``), so that what is fetched can be checked
against what this version was tested with. ``python -m wmhseg.fetching.pack`` writes it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from importlib import resources

from wmhseg import records
from wmhseg.errors import UnknownModelError
from wmhseg.version import __version__

FILE = "models.json"
FORMAT = 1
VARIABLE = "WMHSEG_MODELS_URL"
"""The environment variable that says where the files of models are."""


@dataclass(frozen=True)
class Asset:
    """The file that a model is released as.

    Attributes:
        name: Of the model.
        file: Of the file, without a folder.
        size: Bytes of the file.
        sha256: Of the file, 64 hexadecimal digits.
        preset_sha256: Of the preset.json in it, which in turn has those of the weights.
    """

    name: str
    file: str
    size: int
    sha256: str
    preset_sha256: str


@dataclass(frozen=True)
class Index:
    """All files of a version.

    Attributes:
        format: Of the list.
        repository: Address of the project's repository, as pyproject.toml has it, or None.
        models: The files, in the order of ``weights.known``.
    """

    format: int
    repository: str | None
    models: tuple[Asset, ...]


@cache
def load() -> Index:
    """The list of this version."""
    text = (resources.files("wmhseg") / "data" / FILE).read_text("utf-8")
    return records.parse(Index, records.loads(text))


def find(name: str) -> Asset:
    """The file of a model.

    Raises:
        UnknownModelError: If this version has none of that name.
    """
    models = load().models
    found = next((one for one in models if one.name == name), None)
    if found is None:
        raise UnknownModelError(
            "The name of a model that is released with this version was expected",
            received=f'"{name}"',
            advice="They are " + ", ".join(one.name for one in models) + ".",
        )
    return found


def address() -> str | None:
    """Where this version's files are by default; None if nobody has said.

    ``$WMHSEG_MODELS_URL``, else the release page of the repository, as GitHub lays them out.
    """
    said = os.environ.get(VARIABLE, "").strip()
    repository = load().repository
    if said or repository is None:
        return said or None
    return f"{repository.rstrip('/')}/releases/download/v{__version__}"
