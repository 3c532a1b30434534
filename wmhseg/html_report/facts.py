"""What a page is made of: measures, scans, what is told beside the mask, and what is lacking."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wmhseg import geometry
from wmhseg.checking import examine
from wmhseg.checking.findings import Finding
from wmhseg.errors import InputError
from wmhseg.io import files
from wmhseg.io.images import Scan
from wmhseg.measures.lesions import summarise
from wmhseg.measuring import measure, saving
from wmhseg.measuring.measure import Measures
from wmhseg.measuring.scene import OtherScan, Scene
from wmhseg.preparation import registration
from wmhseg.reporting.provenance import Provenance
from wmhseg.reporting.report import path_beside

Float = npt.NDArray[np.float32]

_MAX_BYTES = 1 << 24
_OF_MODEL = "model "  # begins the source of an anatomy that a model has named
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
        told = saving.report(self.measures, self.provenance)
        model, source = told.get("anatomy_model"), told.get("anatomy")
        if isinstance(model, dict) and model.get("name"):
            return model
        # Without a checksum of its own the anatomy says at least which model it is of.
        if isinstance(source, str) and source.startswith(_OF_MODEL):
            return {"name": source.removeprefix(_OF_MODEL), "sha256": None}
        return None


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

    T1 that lies on other voxels than FLAIR is registered, if nobody has done so.

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
    scene = replace(scene, t1=_placed(scene, left_out))
    measures = measure.measure(scene)
    t1 = None if scene.t1 is None else scene.t1.scan
    findings = tuple(examine.examine(scene.flair, t1))
    return Facts(
        name=origin.name,
        measures=measures,
        findings=findings,
        told=origin.told,
        provenance=origin.provenance,
        t1=_on_flair(scene, measures),
        others=others or {},
        left_out=(*measures.left_out, *left_out),
        warnings=(*measures.warnings, *_doubts(scene, origin)),
        mask_sha256=origin.mask_sha256,
    )


def _placed(scene: Scene, left_out: list[str]) -> OtherScan | None:
    """T1, with its place where that can be found."""
    t1 = scene.t1
    if t1 is None:
        left_out.append(NO_T1)
        return None
    if t1.on_flair is not None or t1.move is not None:
        return t1
    found = registration.register(_axial(scene.flair), _axial(t1.scan))
    if not found.succeeded:
        left_out.append(
            "T1 was not brought to FLAIR, as their edges match too badly "
            f"({found.agreement:.3f}; at least {registration.LEAST_AGREEMENT} is needed): they "
            "cannot be compared by flicker"
        )
        return t1
    return replace(t1, move=found.move, agreement=found.agreement)


def _axial(scan: Scan) -> Scan:
    turn = geometry.turn_to(scan.grid, "LPS")
    return Scan(np.ascontiguousarray(turn.forward(scan.array)), turn.target, scan.name)


def _on_flair(scene: Scene, measures: Measures) -> Float | None:
    """T1 on the measures' grid."""
    t1 = scene.t1
    if t1 is None:
        return None
    if t1.on_flair is not None:
        return np.ascontiguousarray(measures.turn.forward(t1.on_flair))
    if t1.move is None:
        return None
    return registration.resample(t1.scan, measures.grid, t1.move).array


def _doubts(scene: Scene, origin: Origin) -> list[str]:
    """Says when the report beside a mask is of another mask or scan."""
    told = origin.told
    if told is None:
        return []
    doubts = []
    volume_ml = told.get("volume_ml")
    own = summarise(scene.mask, scene.flair.grid.voxel_ml).volume_ml
    known = isinstance(volume_ml, (int, float)) and not isinstance(volume_ml, bool)
    if known and volume_ml is not None and abs(volume_ml - own) > 1e-3 + 1e-3 * own:
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
