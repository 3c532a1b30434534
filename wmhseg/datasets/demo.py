"""A synthetic case to try everything with; it travels with the package.

It was drawn by ``wmhseg.synthesis.scan`` from a label map of SynthSeg (Apache-2.0), by
``python -m evaluation.make_demo_case``: no real scan is in it.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from wmhseg.io import files

_FILES = {
    "FLAIR.nii.gz": "pre/FLAIR.nii.gz",
    "T1.nii.gz": "pre/T1.nii.gz",
    "wmh.nii.gz": "wmh.nii.gz",
}


def write_case(folder: Path) -> Path:
    """Writes the case in the challenge's layout.

    Args:
        folder: Where to; the case goes to ``folder/input``.

    Returns:
        The case's folder, with pre/FLAIR.nii.gz, pre/T1.nii.gz and the reference wmh.nii.gz.

    Raises:
        OutputNotWritableError: If the folder cannot be written to.
        DiskFullError: If there is no room.
    """
    case = folder / "input"
    stored = resources.files("wmhseg") / "data" / "demo"
    for name, target in _FILES.items():
        files.write_bytes(case / target, (stored / name).read_bytes())
    return case
