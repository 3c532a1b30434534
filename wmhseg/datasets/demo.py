"""A synthetic case to try everything with; it travels with the package.

It was drawn by ``wmhseg.synthesis.scan`` from a label map of SynthSeg (Apache-2.0), by
``python -m evaluation.package_data.demo_case``: no real scan is in it.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from wmhseg.datasets.scan_names import challenge_scans
from wmhseg.io import files


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
    for target in (*challenge_scans(case).values(), case / "wmh.nii.gz"):
        files.write_bytes(target, (stored / target.name).read_bytes())
    return case
