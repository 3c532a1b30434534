"""wmhseg: white matter hyperintensities on brain MRI, by the networks of the MICCAI challenge.

>>> import wmhseg
>>> result = wmhseg.segment("FLAIR.nii.gz", "T1.nii.gz")  # doctest: +SKIP
>>> result.report.lesions.volume_ml  # doctest: +SKIP

Importing this package loads neither engine nor SimpleITK; they come with the first call.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wmhseg.version import __version__

if TYPE_CHECKING:
    from wmhseg.segmentation.options import Options
    from wmhseg.segmentation.pipeline import Segmenter, segment
    from wmhseg.segmentation.result import Segmentation

# Public name -> module that holds it.
_LAZY = {
    "Options": "wmhseg.segmentation.pipeline",
    "Segmentation": "wmhseg.segmentation.pipeline",
    "Segmenter": "wmhseg.segmentation.pipeline",
    "segment": "wmhseg.segmentation.pipeline",
}

__all__ = ["Options", "Segmentation", "Segmenter", "__version__", "segment"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
