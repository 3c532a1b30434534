"""What the files of the derivatives are called, and where they lie.

A scan is called by the entities of its FLAIR scan, ``sub-01_ses-a_run-1``. What is made of it has
the same and, as BIDS orders them, ``space-orig``, ``label`` and ``desc``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wmhseg.datasets.folders import natural

LOGS = "logs"
"""Folder of what is no derivative: the summary of ``batch``, stamps, logs, the citation."""

GROUP_PAGE = "group.html"
"""The page about everybody, at the root."""

DESC = "wmh"
STRUCTURES_DESC = "anatomy"
# Of the entities that scans and derivatives may have, in the order of BIDS 1.11.
_ORDER = (
    "sub", "ses", "sample", "task", "acq", "ce", "rec", "run", "echo", "part",
    "space", "chunk", "res", "den", "label", "desc",
)  # fmt: skip
_RESULT = re.compile(rf"(?P<before>.+)_space-orig(?P<after>.*)_label-L_desc-{DESC}_mask\.json")


def entities_of(scan: str) -> dict[str, str]:
    """Key -> value of the name of a scan, such as sub -> 01."""
    return dict(part.split("-", 1) for part in scan.split("_"))


def form(entities: Mapping[str, str], suffix: str) -> str:
    """A name of BIDS; entities that BIDS does not know come last."""
    known = {key: place for place, key in enumerate(_ORDER)}
    keys = sorted(entities, key=lambda key: known.get(key, len(known)))
    return "_".join([*(f"{key}-{entities[key]}" for key in keys), suffix])


def plain_label(text: str) -> str:
    """A text as entities may have it: letters and digits."""
    return re.sub(r"[^0-9a-zA-Z]", "", text)


@dataclass(frozen=True)
class Places:
    """The files of one scan's result.

    Attributes:
        root: Folder of the derivatives.
        scan: Name of the scan.
    """

    root: Path
    scan: str

    @property
    def session_folder(self) -> Path:
        """``sub-<label>`` or ``sub-<label>/ses-<label>``."""
        found = entities_of(self.scan)
        return self.root.joinpath(*(f"{k}-{found[k]}" for k in ("sub", "ses") if k in found))

    @property
    def folder(self) -> Path:
        """That of the images."""
        return self.session_folder / "anat"

    def file(self, suffix: str, ending: str, **entities: str) -> Path:
        """A file of the result.

        Args:
            suffix: Such as "mask".
            ending: Such as ".nii.gz".
            **entities: Besides the scan's, ``space`` and ``desc``.
        """
        every = {**entities_of(self.scan), "space": "orig", "desc": DESC, **entities}
        return self.folder / (form(every, suffix) + ending)

    @property
    def mask(self) -> Path:
        """The mask of WMH; ``label-L`` is BIDS' word for lesions."""
        return self.file("mask", ".nii.gz", label="L")

    @property
    def probability(self) -> Path:
        """The probability map."""
        return self.file("probseg", ".nii.gz", label="L")

    @property
    def lesions(self) -> Path:
        """The map of numbered lesions."""
        return self.file("dseg", ".nii.gz")

    @property
    def lesion_table(self) -> Path:
        """The table of lesions, a row a number."""
        return self.file("dseg", ".tsv")

    @property
    def structures(self) -> Path:
        """The label map of structures of the head."""
        return self.file("dseg", ".nii.gz", desc=STRUCTURES_DESC)

    @property
    def structure_table(self) -> Path:
        """The table of structures, a row a number."""
        return self.file("dseg", ".tsv", desc=STRUCTURES_DESC)

    @property
    def page(self) -> Path:
        """The page about the result."""
        return self.file("report", ".html")

    def other_mask(self, label: str) -> Path:
        """The mask of a label besides WMH."""
        plain = plain_label(label)
        return self.file("mask", ".nii.gz", label=plain, desc=plain)

    def picture(self, name: str) -> Path:
        """The picture, of the type of a file's name such as overlay.png."""
        stem, _, ending = name.rpartition(".")
        return self.file(stem, f".{ending}")

    @property
    def scans_table(self) -> Path:
        """The table of all results of the subject's session."""
        found = entities_of(self.scan)
        kept = {key: value for key, value in found.items() if key in ("sub", "ses")}
        return self.session_folder / form(kept, "scans.tsv")


def results_below(root: Path) -> Iterator[tuple[str, Path]]:
    """Name of each scan that has a result, and the sidecar of its mask; in the order of names.

    Args:
        root: Folder of the derivatives, or of a subject or session in it.
    """
    folders = ("anat", "ses-*/anat", "sub-*/anat", "sub-*/ses-*/anat")
    found = [p for folder in folders for p in root.glob(f"{folder}/sub-*_desc-{DESC}_mask.json")]
    for path in sorted(found, key=lambda path: natural(path.name)):
        name = _RESULT.fullmatch(path.name)
        if name is not None:
            yield name["before"] + name["after"], path
