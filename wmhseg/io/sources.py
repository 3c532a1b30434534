"""What a caller may give as a scan: a path, an image, an array, or a scan."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from wmhseg.errors import UsageError
from wmhseg.geometry import Triple
from wmhseg.io import images, nibabel_images
from wmhseg.io.images import Scan
from wmhseg.io.nibabel_images import SpatialImage

if TYPE_CHECKING:
    import SimpleITK as sitk

    Image: TypeAlias = sitk.Image
else:
    Image = Any  # at run time a hint is not worth the time that importing SimpleITK takes

Source = str | os.PathLike[str] | Image | SpatialImage | npt.NDArray[Any] | Scan


def read(source: Source, spacing_mm: Triple | None, *, name: str) -> Scan:
    """Makes a scan of what a caller gave.

    Args:
        source: A path to a NIfTI file, a SimpleITK or nibabel image, an array (slice, row,
            column), or a scan, which is returned as it is.
        spacing_mm: Voxel size (slice, row, column) of an array, which is taken to be axial in LPS
            order; None for everything else.
        name: How to call it in messages, such as "FLAIR".

    Returns:
        The scan.

    Raises:
        UsageError: If it is something else, or ``spacing_mm`` is missing or out of place.
        InputError: If it cannot be read, or is no grey-value image.
    """
    if isinstance(source, np.ndarray):
        if spacing_mm is None or np.shape(spacing_mm) != (3,):
            raise UsageError(
                f"spacing_mm=(slice, row, column) was expected with the {name} array",
                received=spacing_mm if spacing_mm is not None else "none",
                advice="Give the voxel size in mm, or a path, a SimpleITK or a nibabel image.",
            )
        return images.scan_from_array(source, spacing_mm, name=name)
    if spacing_mm is not None:
        raise UsageError(
            "spacing_mm was expected with arrays only: paths and images know theirs",
            received=f"{type(source).__name__} for {name}, and spacing_mm={spacing_mm}",
        )
    if isinstance(source, Scan):
        return source
    if isinstance(source, (str, os.PathLike)):
        return images.read_scan(Path(source), name=name)
    image: Any = source
    if nibabel_images.is_one(image):
        return nibabel_images.scan(image, name=name)
    if not hasattr(image, "GetPixelIDTypeAsString"):
        raise UsageError(
            f"A path, a SimpleITK or nibabel image or a NumPy array was expected as {name}",
            received=f"{type(source).__module__}.{type(source).__name__}",
        )
    return images.scan_from_image(image, name=name)
