"""What a page is made of: measures, scans, what is told beside the mask, and what is lacking."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg.checking import examine
from wmhseg.checking.findings import Finding
from wmhseg.errors import InputError
from wmhseg.html_report import citing
from wmhseg.io import files
from wmhseg.measures.lesions import summarise
from wmhseg.measuring import measure, other_scan
from wmhseg.measuring.measure import Measures
from wmhseg.measuring.scene import Scene
from wmhseg.reporting.provenance import Provenance
from wmhseg.reporting.report import path_beside

Float = npt.NDArray[np.float32]

_MAX_BYTES = 1 << 24
NO_REPORT = (
    "no report (.json) of wmhseg lies beside the mask: model, checksums and what was done to the "
    "scans are not known"
)
NO_PROBABILITY = "without a probability map the threshold cannot be moved in the viewer"
NO_T1 = "no T1 was given: FLAIR and T1 cannot be compared by flicker"


@dataclass(frozen=True, eq=False)
class Facts:
    """Everything that a page tells.

    Attributes:
        name: Of the result, as its title.
        measures: What was measured.
        findings: What was found when the scans were looked over.
        told: The report of the mask, as it lies beside it; None if there is none.
        provenance: What the page was made from.
        t1: T1 on the measures' grid; None if there is none, or nobody knows where it lies.
        others: Label besides WMH -> its mask, on the scan's own axes.
        left_out: What the page lacks, and why, in sentences.
        warnings: What speaks against trusting it, in sentences.
        mask_sha256: Of the file of the mask; None if there is none yet.
    """

    name: str
    measures: Measures
    findings: tuple[Finding, ...]
    told: Mapping[str, Any] | None
    provenance: Provenance
    t1: Float | None = None
    others: Mapping[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    mask_sha256: str | None = None

    @property
    def anatomy_model(self) -> Mapping[str, object] | None:
        """Name and checksum of the model that has named structures; None if none has."""
        known = self.measures.scene.anatomy
        return None if known is None or known.model is None else asdict(known.model)


@dataclass(frozen=True)
class Origin:
    """Where a result comes from.

    Attributes:
        name: Of the result, as its title.
        provenance: Which files were read, when, by which command.
        told: The report of the mask; None if there is none.
        mask_sha256: Of the file of the mask; None if there is none yet.
    """

    name: str
    provenance: Provenance
    told: Mapping[str, Any] | None = None
    mask_sha256: str | None = None


def beside(mask: Path) -> dict[str, Any] | None:
    """The report of wmhseg beside a mask; None if there is none, or it is somebody else's."""
    try:
        with files.reading(path_beside(mask), "report", advice="") as file:
            told = json.loads(file.read(_MAX_BYTES))
    except (InputError, ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and "model" in told and "schema" in told else None


def gather(
    scene: Scene, origin: Origin, others: Mapping[str, npt.NDArray[np.uint8]] | None = None
) -> Facts:
    """Measures a scene and looks its scans over.

    Nothing is measured otherwise than without a page: whoever reads a scene has placed its T1.

    Args:
        scene: The mask and its scans.
        origin: Where they come from.
        others: Label besides WMH -> its mask.

    Raises:
        WmhsegError: As of ``measuring.measure.measure``.
    """
    left_out = [] if origin.told is not None else [NO_REPORT]
    if scene.probability is None:
        left_out.append(NO_PROBABILITY)
    t1 = scene.t1
    if t1 is None and "T1" not in origin.provenance.scans:
        left_out.append(NO_T1)
    measures = measure.measure(scene)
    findings = tuple(examine.examine(scene.flair, None if t1 is None else t1.scan))
    return Facts(
        name=origin.name,
        measures=measures,
        findings=findings,
        told=origin.told,
        provenance=origin.provenance,
        t1=None if t1 is None else other_scan.on_grid(t1, measures.turn),
        others=others or {},
        left_out=(*measures.left_out, *left_out),
        warnings=(*measures.warnings, *_doubts(scene, origin)),
        mask_sha256=origin.mask_sha256,
    )


def _doubts(scene: Scene, origin: Origin) -> list[str]:
    """Says when the report beside a mask is of another mask or scan."""
    told = origin.told
    if told is None:
        return []
    doubts = []
    volume_ml = citing.number(told, "volume_ml")
    own = summarise(scene.mask, scene.flair.grid.voxel_ml).volume_ml
    if volume_ml is not None and abs(volume_ml - own) > 1e-3 + 1e-3 * own:
        doubts.append(
            f"The report beside the mask tells of {volume_ml:.4g} ml, the mask holds {own:.4g} ml: "
            "the mask was changed afterwards, or the report is of another one."
        )
    inputs = told.get("inputs")
    scan = inputs.get("FLAIR") if isinstance(inputs, dict) else None
    theirs = scan.get("sha256") if isinstance(scan, dict) else None
    ours = origin.provenance.scans.get("FLAIR")
    if isinstance(theirs, str) and ours is not None and ours.sha256 not in (None, theirs):
        doubts.append(
            "The FLAIR scan is not the file that the report beside the mask tells of (its "
            "checksum is another)."
        )
    return doubts
