"""wmhseg: white matter hyperintensities on brain MRI, by the networks of the MICCAI challenge.

All that is public stands here. The examples read the case that comes with the package:
``wmhseg demo --output DIR --case-only`` writes it.

>>> import wmhseg
>>> result = wmhseg.segment("FLAIR.nii.gz", "T1.nii.gz")
>>> result.report.lesions.count > 0
True

Importing this package loads neither engine nor SimpleITK nor NumPy; they come with the first call.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wmhseg.errors import (
    AnalysisLevelError,
    BidsError,
    CasesFailedError,
    ChecksumError,
    ClusterError,
    ConstantImageError,
    DeviceError,
    DimensionError,
    DiskFullError,
    DownloadError,
    EmptyMaskError,
    EvaluationError,
    GridMismatchError,
    InputError,
    InvalidDatasetError,
    LabelsError,
    MissingFileError,
    MissingPackageError,
    MissingT1Error,
    ModelError,
    NoCasesError,
    NonFiniteError,
    NotBetterError,
    NothingSelectedError,
    NotNiftiError,
    OfficialDifferenceError,
    OfficialScriptError,
    OutputError,
    OutputNotWritableError,
    PlanError,
    PlotsUnavailableError,
    PresetError,
    RegistrationError,
    ResumeError,
    ScoringFailedError,
    SubjectsFailedError,
    SubjectsSkippedError,
    TableError,
    TooLargeError,
    TrainingError,
    TrainingFailedError,
    TruncatedFileError,
    UnknownModelError,
    UnreadableFileError,
    UnsuitableScanError,
    UsageError,
    WeightsError,
    WmhsegError,
    WmhsegWarning,
)
from wmhseg.version import __version__

# The same as in _LAZY below, for editors and type checkers; a test holds them together.
if TYPE_CHECKING:
    from wmhseg.checking.check import check
    from wmhseg.checking.findings import Finding
    from wmhseg.geometry import Grid
    from wmhseg.io.images import Scan
    from wmhseg.measuring.call import Measurement, measure
    from wmhseg.preparation.steps import Steps
    from wmhseg.segmentation.anatomy import Anatomist, Anatomy, anatomy
    from wmhseg.segmentation.options import Options
    from wmhseg.segmentation.pipeline import Segmenter, segment
    from wmhseg.segmentation.result import Segmentation

# Public name -> module that holds it.
_LAZY = {
    "Anatomist": "wmhseg.segmentation.anatomy",
    "Anatomy": "wmhseg.segmentation.anatomy",
    "Finding": "wmhseg.checking.findings",
    "Grid": "wmhseg.geometry",
    "Measurement": "wmhseg.measuring.call",
    "Options": "wmhseg.segmentation.options",
    "Scan": "wmhseg.io.images",
    "Segmentation": "wmhseg.segmentation.result",
    "Segmenter": "wmhseg.segmentation.pipeline",
    "Steps": "wmhseg.preparation.steps",
    "anatomy": "wmhseg.segmentation.anatomy",
    "check": "wmhseg.checking.check",
    "measure": "wmhseg.measuring.call",
    "segment": "wmhseg.segmentation.pipeline",
}

__all__ = [
    "AnalysisLevelError",
    "Anatomist",
    "Anatomy",
    "BidsError",
    "CasesFailedError",
    "ChecksumError",
    "ClusterError",
    "ConstantImageError",
    "DeviceError",
    "DimensionError",
    "DiskFullError",
    "DownloadError",
    "EmptyMaskError",
    "EvaluationError",
    "Finding",
    "Grid",
    "GridMismatchError",
    "InputError",
    "InvalidDatasetError",
    "LabelsError",
    "Measurement",
    "MissingFileError",
    "MissingPackageError",
    "MissingT1Error",
    "ModelError",
    "NoCasesError",
    "NonFiniteError",
    "NotBetterError",
    "NotNiftiError",
    "NothingSelectedError",
    "OfficialDifferenceError",
    "OfficialScriptError",
    "Options",
    "OutputError",
    "OutputNotWritableError",
    "PlanError",
    "PlotsUnavailableError",
    "PresetError",
    "RegistrationError",
    "ResumeError",
    "Scan",
    "ScoringFailedError",
    "Segmentation",
    "Segmenter",
    "Steps",
    "SubjectsFailedError",
    "SubjectsSkippedError",
    "TableError",
    "TooLargeError",
    "TrainingError",
    "TrainingFailedError",
    "TruncatedFileError",
    "UnknownModelError",
    "UnreadableFileError",
    "UnsuitableScanError",
    "UsageError",
    "WeightsError",
    "WmhsegError",
    "WmhsegWarning",
    "__version__",
    "anatomy",
    "check",
    "measure",
    "segment",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
