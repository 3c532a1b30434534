"""Writing volumes as NIfTI files, whole or not at all.

Nothing is written by SimpleITK, which reports success on a full disk. Equal arguments give equal
bytes. Arrays are (slice, row, column), see ``geometry``.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy.typing as npt

from wmhseg.errors import UsageError
from wmhseg.geometry import Grid
from wmhseg.io import forms, nifti
from wmhseg.io.files import PathLike, write_atomically

Array = npt.NDArray[Any]


def check_volume_name(path: PathLike) -> None:
    """Raises UsageError unless the name of a mask or map ends in .nii.gz or .nii."""
    if not os.fspath(path).endswith((".nii.gz", ".nii")):
        raise UsageError(
            "The name of a result should end in .nii.gz or .nii",
            received=path,
            advice="Give a file name, such as results/wmh.nii.gz.",
        )


def beside(path: PathLike, name: str) -> Path:
    """A file that is called like another and something more: ``p.nii.gz`` -> ``p_1.nii.gz``.

    Args:
        path: Checked by ``check_volume_name``.
        name: What to add.
    """
    own = Path(os.fspath(path))
    ending = ".nii.gz" if own.name.endswith(".nii.gz") else ".nii"
    return own.with_name(f"{own.name.removesuffix(ending)}_{name}{ending}")


def write_volume(
    path: PathLike,
    array: Array,
    grid: Grid,
    header: nifti.Header | None = None,
    *,
    space: int = nifti.SCANNER,
) -> None:
    """Writes labels or grey values in the array's own type; errors as of ``images.write_mask``.

    Args:
        path: As of ``images.write_mask``.
        array: (slice, row, column) in a type that can be read.
        grid: Where its voxels lie.
        header: As of ``images.write_mask``.
        space: What forms made of the grid name: ``nifti.SCANNER`` or ``nifti.MNI_152``.
    """
    check_volume_name(path)
    text = os.fspath(path)
    grid.check_shape(array)
    nifti.checked_shape(array.shape[::-1], "result")

    if header is not None and forms.grid(header) != grid:
        header = None

    def write_plain(file: BinaryIO) -> None:
        nifti.write(file, array, grid, header, space=space)

    def write_compressed(file: BinaryIO) -> None:
        # No name and no time in the gzip header: equal images make equal files.
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as stream:
            write_plain(stream)  # type: ignore[arg-type]

    write_atomically(path, write_compressed if text.endswith(".gz") else write_plain)
