"""Names of files as BIDS forms them, ``sub-01_ses-a_label-WMH_mask``, and its table of people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wmhseg.datasets.tables import read_table

_NAME = re.compile(
    r"(?P<entities>sub-[0-9a-z+]+(?:_[0-9a-z]+-[0-9a-z+]+)*)_(?P<suffix>[0-9a-z]+)", re.IGNORECASE
)
_NAMING = ("sub", "ses", "run")
_MASK_SUFFIXES = ("mask", "dseg")
_MASK_LABELS = ("wmh", "lesion")


@dataclass(frozen=True)
class BidsName:
    """The parts of a name.

    Attributes:
        entities: Key -> value, such as sub -> 01, in the order of the name.
        suffix: What follows them, in lower case, such as "flair".
    """

    entities: Mapping[str, str]
    suffix: str

    @property
    def case(self) -> str:
        """The entities that tell cases apart: ``sub-…[_ses-…][_run-…]``."""
        return self._of(_NAMING)

    @property
    def session(self) -> str:
        """The entities that tell visits apart: ``sub-…[_ses-…]``."""
        return self._of(_NAMING[:2])

    def _of(self, keys: tuple[str, ...]) -> str:
        parts = self.entities
        return "_".join(f"{key}-{parts[key]}" for key in keys if key in parts)

    @property
    def is_lesion_mask(self) -> bool:
        """Whether it is called a mask of white matter hyperintensities."""
        label = self.entities.get("label", "").lower()
        return self.suffix in _MASK_SUFFIXES and label in _MASK_LABELS


def parse(stem: str) -> BidsName | None:
    """Takes a name apart, None if it is not one of BIDS.

    Args:
        stem: Name of a file without its ending.

    >>> parse("sub-01_ses-a_space-T1w_FLAIR").case
    'sub-01_ses-a'
    """
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    entities = dict(part.split("-", 1) for part in match["entities"].split("_"))
    return BidsName(entities, match["suffix"].lower())


def mask_owner(stem: str) -> str:
    """Name of the case that a lesion mask belongs to, "" for other files."""
    name = parse(stem)
    return name.case if name is not None and name.is_lesion_mask else ""


def read_participants(path: Path) -> dict[str, Mapping[str, str]]:
    """Rows of a ``participants.tsv`` by their ``participant_id``.

    Raises:
        InputError: It cannot be read.
        TableError: It is far too large, or no text.
    """
    # Nobody named this table: what is odd about it must not keep the scans from being used.
    table = read_table(path, lenient=True)
    return {row["participant_id"]: row for row in table.rows if row.get("participant_id")}
