"""N4 bias correction: the slow shading that receive coils leave on a scan.

The field is estimated on voxels of about 6 mm inside the head and divided out of the full scan. Its
mean logarithm inside the head is 0, so that the scan's intensity scale stays.

Reference:
    N. Tustison et al., IEEE TMI 29 (2010) 1310-1320 (N4, in ITK).
"""

# SimpleITK comes without type hints.
# mypy: untyped-calls-exclude="SimpleITK"

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from wmhseg.io import images
from wmhseg.io.images import Scan
from wmhseg.preparation import intensity
from wmhseg.preparation.itk_threads import one_thread

SHRUNK_MM = 6.0
ITERATIONS = (40, 40, 30)
CONVERGENCE = 1e-3


@dataclass(frozen=True)
class Field:
    """What was divided out.

    Attributes:
        low: 2nd percentile inside the head; 0.9 means 10 % darker than the mean.
        high: 98th percentile.
    """

    low: float
    high: float


def correct(scan: Scan) -> tuple[Scan, Field]:
    """Estimates the bias field of a scan and divides by it.

    Args:
        scan: A scan with the head in it.

    Returns:
        The corrected scan on the same grid, and what the field was. A scan without a head
        comes back as it is.
    """
    head = intensity.fill_holes(intensity.foreground(scan.array)) & (scan.array > 0)
    if not head.any():
        return scan, Field(1.0, 1.0)
    image = images.to_image(scan.array, scan.grid)
    factors = [
        max(1, min(round(SHRUNK_MM / size), count // 4))
        for size, count in zip(image.GetSpacing(), image.GetSize(), strict=True)
    ]
    small = sitk.BinShrink(image, factors)
    inside = sitk.BinShrink(images.to_image(head.astype(np.float32), scan.grid), factors) > 0.5
    method = sitk.N4BiasFieldCorrectionImageFilter()
    method.SetMaximumNumberOfIterations(ITERATIONS)
    method.SetConvergenceThreshold(CONVERGENCE)
    with one_thread():
        method.Execute(small, inside)
        logarithm = sitk.GetArrayFromImage(method.GetLogBiasFieldAsImage(image))
    field = np.exp(logarithm - logarithm[head].mean(dtype=np.float64)).astype(np.float32)
    low, high = (float(v) for v in np.percentile(field[head], [2, 98]))
    return Scan(scan.array / field, scan.grid, scan.name), Field(low, high)
