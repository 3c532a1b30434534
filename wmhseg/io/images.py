"""Images in and out: the API over SimpleITK, ``nifti`` and ``files``.

Before SimpleITK sees a file, ``nifti`` has checked its header and counted its voxels. SimpleITK
then reads the voxels alone: where they lie is read from the header by ``forms``. A slope and an
intercept are applied; a slope of 0 or NaN counts as 1.

Content decides, not the name: gzip in "x.nii", plain NIfTI in "x.nii.gz" or a file without any
suffix are read through a link of the right name in the temporary folder. NIfTI-2, and files with a
form that SimpleITK refuses, are read through a temporary copy without forms.

What is written goes through ``volume_files``.

Arrays are (slice, row, column), see ``geometry``.
"""

# SimpleITK comes without type hints.
# mypy: untyped-calls-exclude="SimpleITK"

from __future__ import annotations

import contextlib
import math
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from wmhseg.errors import ConstantImageError, NotNiftiError, UnreadableFileError, UsageError
from wmhseg.geometry import Grid, Triple
from wmhseg.io import forms, labels, nifti, volume_files
from wmhseg.io.files import PathLike, reading
from wmhseg.io.locks import ProcessLock

if TYPE_CHECKING:
    from SimpleITK import Image


Array = npt.NDArray[Any]

_ONE_READER = ProcessLock()
# ITK was seen to print of numbers below 4e-19 of the largest; here with a margin.
_TINY = 1e-14
_ONE_FILE = "Name one NIfTI file; convert DICOM folders with dcm2niix; save pipes to a file."
_SKEW = 1e-6  # cosine of two axes; ITK was seen to accept 1e-4 and to refuse 3e-4


@dataclass(frozen=True)
class Scan:
    """A grey-value image: finite, not constant, three-dimensional.

    Attributes:
        array: (slice, row, column) float32.
        grid: Where its voxels lie.
        name: How to call it in messages, such as "FLAIR".
        header: What its file says, None if it came from memory.
        source: Its file's name as it was given, "" if it came from memory.

    >>> import numpy as np
    >>> import wmhseg
    >>> array = np.random.default_rng(0).random((4, 5, 6), np.float32)
    >>> grid = wmhseg.Grid((4, 5, 6), spacing_mm=(3, 1, 1))  # slices, rows, columns
    >>> wmhseg.Scan(array, grid, "FLAIR").grid.orientation
    'LPS'
    """

    array: npt.NDArray[np.float32]
    grid: Grid
    name: str
    header: nifti.Header | None = None
    source: str = ""


# Reading ----------------------------------------------------------------------------------------


def read_scan(path: PathLike, *, name: str) -> Scan:
    """Reads a grey-value image.

    Args:
        path: A NIfTI-1 or NIfTI-2 file, gzip or plain; a symbolic link is followed.
        name: How to call it in messages, such as "FLAIR".

    Returns:
        The scan, slope and intercept applied.

    Raises:
        MissingFileError: If there is no such file.
        UnreadableFileError: If it is no regular file or must not be read.
        NotNiftiError: If it is something else, or its header is damaged or of an unsupported kind.
        TruncatedFileError: If it ends early or its gzip stream is damaged.
        DimensionError: If it is not 3D (4D with one volume counts as 3D) or an axis has 1 voxel.
        TooLargeError: If it claims more than MAX_VOXELS.
        NonFiniteError: If a voxel is NaN or infinite.
        ConstantImageError: If all voxels are equal.
    """
    label = f'{name} image "{os.fspath(path)}"'
    array, grid, header = _read(path, label, np.dtype(np.float32))
    return Scan(_checked(array, label), grid, name, header, os.fspath(path))


def read_labels(path: PathLike) -> tuple[Array, Grid]:
    """Reads a mask or label map; it may be constant.

    Args:
        path: As of ``read_scan``.

    Returns:
        (slice, row, column) in the type of the file (floating when it has a slope), and its grid.
        If all is within ``labels.TOLERANCE`` of whole numbers, it is these numbers.

    Raises:
        InputError: As ``read_scan``, but for ConstantImageError.
    """
    label = f'label map "{os.fspath(path)}"'
    array, grid, _ = _read(path, label, None)
    return labels.nearest(_finite(array, label)), grid


def read_grid(path: PathLike) -> Grid:
    """Tells where the voxels of a file lie; path and errors as of ``read_labels``."""
    label = f'image "{os.fspath(path)}"'
    with reading(path, label, advice=_ONE_FILE) as file:
        return forms.grid(nifti.inspect(file, label))


def scan_from_image(image: Image, *, name: str) -> Scan:
    """Makes a scan of a SimpleITK image, with the checks of ``read_scan``.

    Args:
        image: Grey values; 4D with one volume counts as 3D.
        name: How to call it in messages, such as "FLAIR".

    Returns:
        The scan; its array is a copy.

    Raises:
        InputError: DimensionError, TooLargeError, NonFiniteError, ConstantImageError, or
            NotNiftiError if the voxels are not single real numbers.
    """
    label = f"{name} image"
    sizes = image.GetSize()
    nifti.checked_shape(sizes, label)
    if len(sizes) > 3:
        image = image[(slice(None),) * 3 + (0,) * (len(sizes) - 3)]
    array = _voxels(image, label, np.dtype(np.float32))
    slices, rows, columns = array.shape
    x, y, z = image.GetSpacing()
    place = Grid((slices, rows, columns), (z, y, x), image.GetOrigin(), tuple(image.GetDirection()))
    return Scan(_checked(array, label), place, name)


def scan_from_array(array: npt.ArrayLike, spacing_mm: Triple, *, name: str) -> Scan:
    """Makes a scan of an array that lies at the origin in LPS order.

    Args:
        array: (slice, row, column), real numbers.
        spacing_mm: Distance between slices, rows and columns, in this order.
        name: How to call it in messages, such as "FLAIR".

    Returns:
        The scan; its array is a copy.

    Raises:
        UsageError: If the array does not hold real numbers, or the spacing is not three
            positive numbers.
        InputError: DimensionError, TooLargeError, NonFiniteError, ConstantImageError.
    """
    label = f"{name} array"
    values = np.asarray(array)
    if values.dtype.kind not in "biuf":
        raise UsageError(f"The {label} should hold real numbers", received=values.dtype)
    spacing = tuple(float(s) for s in spacing_mm)
    if len(spacing) != 3 or not all(math.isfinite(s) and s > 0 for s in spacing):
        raise UsageError(
            f"Three positive distances in mm (slices, rows, columns) are needed for the {label}",
            received=spacing,
        )
    shape = nifti.checked_shape(values.shape[::-1], label)
    with np.errstate(over="ignore", invalid="ignore"):
        copy = np.array(values, np.float32, order="C")
    return Scan(_checked(copy, label), Grid(shape, (spacing[0], spacing[1], spacing[2])), name)


def to_image(array: Array, grid: Grid) -> Image:
    """Makes a SimpleITK image of an array.

    Args:
        array: (slice, row, column); bool becomes uint8.
        grid: Where its voxels lie.

    Returns:
        The image.

    Raises:
        DimensionError: If the array is not of the grid's shape.
    """
    from SimpleITK import GetImageFromArray

    grid.check_shape(array)
    image = GetImageFromArray(array.astype(np.uint8) if array.dtype == bool else array)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    return image


def _finite(array: Array, label: str) -> Array:
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    nifti.check_finite(bad, array.size, label)
    return array


def _checked(array: Array, label: str) -> npt.NDArray[np.float32]:
    low, high = _finite(array, label).min(), array.max()
    if low == high:
        raise ConstantImageError(
            f"The {label} should show something",
            received=f"{array.size} voxels that are all {low:g}",
            advice="Check that this is the right file.",
        )
    return array


def _read(
    path: PathLike, label: str, dtype: np.dtype[Any] | None
) -> tuple[Array, Grid, nifti.Header]:
    """Checks a file, then has SimpleITK read it; ``dtype`` None keeps the file's."""
    with reading(path, label, advice=_ONE_FILE) as file:
        header = nifti.inspect(file, label)
        with _suitable(path, file, header, label) as suitable:
            array = _voxels(_read_image(suitable, label), label, dtype)
        return array, forms.grid(header), header


@contextlib.contextmanager
def _suitable(path: PathLike, file: BinaryIO, header: nifti.Header, label: str) -> Iterator[str]:
    """A name under which SimpleITK can read the file.

    SimpleITK goes by the suffix, reads no NIfTI-2, minds some forms that are none of its business
    here, and ends the whole program when a name is not valid Unicode.
    """
    suffix = ".nii.gz" if header.compressed else ".nii"
    text = os.fspath(path)
    usual = len(Path(text).name) > len(suffix) and text.endswith(suffix)
    scaled = float(header.record["scl_inter"]) in (0.0, header.scaling[1])
    as_it_is = header.version == 1 and scaled and not _form_is_minded(header)
    if usual and as_it_is and text.isprintable():
        yield text
        return
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="wmhseg-"))
            if as_it_is:
                name = f"{folder}/image{suffix}"
                os.symlink(os.path.realpath(path), name)
            else:
                name = f"{folder}/image.nii"
                with open(name, "xb") as target:
                    nifti.copy_voxels(file, header, target)
        except OSError as error:
            raise UnreadableFileError(
                f"A place to prepare the {label} for reading was expected in the temporary folder",
                received=error.strerror or error,
                advice="Set TMPDIR to a folder with room, or store the image as NIfTI-1 under a "
                f"name that ends in {suffix}.",
            ) from error
        yield name


def _form_is_minded(header: nifti.Header) -> bool:
    """Whether SimpleITK may refuse an sform for rounding, or print pages about it.

    ITK's matrix code prints where a qform and an sform that is not the scanner's are compared, and
    numbers in them, such as 1e-30 for 0, are so small that products of them are beyond float32.
    """
    record = header.record
    if int(record["sform_code"]) <= 0:
        return False
    matrix = np.array(record["srow"].tolist())[:, :3]
    axes = matrix / np.linalg.norm(matrix, axis=0)
    if np.abs(axes.T @ axes - np.eye(3)).max() > _SKEW:
        return True
    if int(record["qform_code"]) <= 0:
        return False
    quaternion = np.abs(np.array(record["quatern"].tolist()))
    products = np.outer(quaternion, quaternion)
    return any(
        bool(((numbers > 0) & (numbers < _TINY * largest)).any())
        for numbers, largest in ((np.abs(axes), 1.0), (quaternion, 1.0), (products, 1.0))
    )


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Switches ITK's warnings off, which belongs to the whole process: for one thread at a time."""
    from SimpleITK import ProcessObject

    with _ONE_READER.held():
        shown = ProcessObject.GetGlobalWarningDisplay()
        ProcessObject.SetGlobalWarningDisplay(False)
        try:
            yield
        finally:
            ProcessObject.SetGlobalWarningDisplay(shown)


def _read_image(name: str, label: str) -> Image:
    """Has SimpleITK read a checked file, without its warnings."""
    from SimpleITK import ReadImage

    try:
        with _without_warnings():
            image = ReadImage(name, imageIO="NiftiImageIO")
    except RuntimeError as error:
        # Addresses in memory and the places in its source code help nobody.
        reason = re.sub(r"\S+\(0x[0-9a-f]+\): ", "", str(error).strip().splitlines()[-1])
        raise NotNiftiError(
            f"The {label} should be an image that SimpleITK can read",
            received=reason,
            advice=nifti.CONVERT,
        ) from error
    return image


def _voxels(image: Image, label: str, dtype: np.dtype[Any] | None) -> Array:
    """Array of a 3D SimpleITK image; ``dtype`` None keeps its own."""
    from SimpleITK import GetArrayViewFromImage

    if image.GetNumberOfComponentsPerPixel() != 1 or "complex" in image.GetPixelIDTypeAsString():
        raise NotNiftiError(
            f"The {label} should hold one real number per voxel",
            received=image.GetPixelIDTypeAsString(),
            advice="Convert it to an image with one number per voxel.",
        )
    with np.errstate(over="ignore", invalid="ignore"):  # becomes infinite, which is reported
        return np.array(GetArrayViewFromImage(image), dtype)


# Writing ----------------------------------------------------------------------------------------


def write_mask(path: PathLike, mask: Array, grid: Grid, header: nifti.Header | None = None) -> None:
    """Writes a mask as uint8 with the values 0 and 1.

    Args:
        path: Ends in ".nii.gz" or ".nii"; an existing file (or link) is replaced.
        mask: (slice, row, column), bool or 0 and 1.
        grid: Where its voxels lie.
        header: Of the file whose voxels these are: its qform and sform, codes, units and voxel
            sizes are repeated. None, or one that puts them elsewhere: forms are made of the grid.

    Raises:
        UsageError: If the suffix is another, or the mask holds other values.
        DimensionError: If the mask is not of the grid's shape.
        OutputNotWritableError: If the place cannot be written to.
        DiskFullError: If the disk has no room.
    """
    ones = mask == 1
    if not np.all(ones | (mask == 0)):
        raise UsageError("A mask of 0 and 1 was expected", received="other values")
    volume_files.write_volume(path, ones.astype(np.uint8), grid, header)


def write_probability(
    path: PathLike, probability: Array, grid: Grid, header: nifti.Header | None = None
) -> None:
    """Writes probabilities as float32.

    Args:
        path: As of ``write_mask``.
        probability: (slice, row, column) between 0 and 1.
        grid: Where its voxels lie.
        header: As of ``write_mask``.

    Raises:
        UsageError: If the suffix is another, or a value is no probability.
        DimensionError: If the array is not of the grid's shape.
        OutputNotWritableError: If the place cannot be written to.
        DiskFullError: If the disk has no room.
    """
    low, high = probability.min(initial=1), probability.max(initial=0)
    if not (low >= 0 and high <= 1):  # true for NaN as well
        raise UsageError(
            "Probabilities between 0 and 1 were expected", received=f"{low:g} to {high:g}"
        )
    volume_files.write_volume(path, probability.astype(np.float32), grid, header)
