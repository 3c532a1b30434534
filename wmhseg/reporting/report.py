"""What is told about a result: the JSON report, and lines for a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from wmhseg.engines import runtime
from wmhseg.engines.runtime import Runtime
from wmhseg.geometry import Grid
from wmhseg.measures.lesions import LesionSummary
from wmhseg.preparation import registration
from wmhseg.preparation.intensity import ScaleFinding
from wmhseg.preparation.steps import PRESET, PUBLISHED
from wmhseg.preparation.steps_taken import StepsTaken
from wmhseg.reporting.caption import Caption, counted, lesion_count, millilitres
from wmhseg.reporting.provenance import Provenance
from wmhseg.version import __version__
from wmhseg.weights.methods import method_name
from wmhseg.weights.preset import Preset
from wmhseg.weights.processing import ReaderName

SCHEMA = 1
"""Version of the report's form; see ``data/report.schema.json``."""

NOT_A_DEVICE = "For research. Not a medical device; not for diagnosis."


def path_beside(result: Path) -> Path:
    """Where the report of a result goes: ``result.nii.gz`` -> ``result.json``."""
    name = result.name
    for ending in (".nii.gz", ".nii"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
            break
    return result.with_name(f"{name}.json")


def caption(report: Report, source: str) -> Caption:
    """What stands above the picture of a result.

    Args:
        report: The result's.
        source: Name of the FLAIR scan as it was given, "" if it came from memory.
    """
    lesions, model = report.lesions, report.model
    found = lesion_count(lesions.count) if lesions.count else "nothing marked"
    title = f"WMH {millilitres(lesions.volume_ml)}, {found}"
    for label, other in report.others.items():
        title += f"; {label} {millilitres(other.volume_ml)}, {lesion_count(other.count)}"
    lines = [
        f"model {model.name}, preset {method_name(model)}, "
        f"{'FLAIR and T1' if report.t1_used else 'FLAIR alone'}, {report.rules}; "
        f"wmhseg {__version__}"
    ]
    if report.warnings:
        many = (
            f"are {len(report.warnings)} warnings" if len(report.warnings) > 1 else "is a warning"
        )
        lines.append(f"There {many} about this result: see its report (.json).")
    return Caption(title, source or "FLAIR from memory, no file", tuple(lines), NOT_A_DEVICE)


@dataclass(frozen=True)
class ScaleReport:
    """How intensities were brought to the challenge's scale.

    Attributes:
        asked: As it was given, see ``segmentation.options.Options``.
        mode: As it was used.
        scans: Name of the scan -> whether it was on that scale, and the factor to it.
    """

    asked: Literal["preset", "adapt", "keep"]
    mode: Literal["adapt", "keep"]
    scans: dict[str, ScaleFinding]

    def applied(self, name: str) -> bool:
        """Whether a scan was multiplied by its factor."""
        return not self.scans[name].on_scale and self.mode == "adapt"

    @property
    def _why(self) -> str:
        if self.asked != PRESET:
            return f"switched to {self.asked}"
        return PUBLISHED if self.mode == "keep" else "a model of our own: scans may be on any scale"

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        values: dict[str, Any] = {"asked": self.asked, "mode": self.mode, "why": self._why}
        for name, scale in self.scans.items():
            values[name] = {
                "on_scale": scale.on_scale,
                "factor": scale.factor,
                "applied": self.applied(name),
            }
        return values


@dataclass(frozen=True)
class Report:
    """Everything that is known about a segmentation besides its voxels.

    Attributes:
        lesions: Volume and count.
        grid: Grid of scan and mask.
        model: The preset that was used.
        runtime: Backend, device and threads.
        t1_used: Whether the networks saw a T1 scan.
        intensity_scale: How intensities were brought to the challenge's scale.
        steps: What each step on scans as the scanner gave them did, and why.
        slices_computed: Slices that the networks see, of equal empty ones the first; the rest is
            emptied by post-processing.
        versions: Package -> version.
        seconds: Stage -> wall-clock seconds.
        warnings: Sentences.
        provenance: Which scans, when, by which command.
        others: Label besides WMH that the model marks -> volume and count.
        reader: Whose rules the mask was made by.
        temperature: By which the logits of given probabilities were divided; not those by which
            the mask was made.
        more: Keys of others' standards, such as those of BIDS, and plain values.
    """

    lesions: LesionSummary
    grid: Grid
    model: Preset
    runtime: Runtime
    t1_used: bool
    intensity_scale: ScaleReport
    steps: StepsTaken
    slices_computed: int
    versions: dict[str, str]
    seconds: dict[str, float]
    warnings: tuple[str, ...]
    provenance: Provenance
    others: dict[str, LesionSummary] = field(default_factory=dict)
    reader: ReaderName = "balanced"
    temperature: float = 1.0
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rules(self) -> str:
        """Reader and threshold in words, and whether the scan was flipped."""
        threshold = f"threshold {self.model.postprocessing.threshold:g}"
        return f"reader {self.reader}, {threshold}" + ", with flips" * self.model.flips

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain values, as ``data/report.schema.json`` describes them."""
        post = self.model.postprocessing
        return {
            "schema": SCHEMA,
            "volume_ml": round(self.lesions.volume_ml, 4),
            "lesion_count": self.lesions.count,
            "largest_lesion_ml": round(self.lesions.largest_ml, 4),
            "others": self._others_dict(),
            "warnings": list(self.warnings),
            **self.provenance.to_dict(),
            "model": self.model.name,
            "preset": method_name(self.model),
            "reader": self.reader,
            "threshold": post.threshold,
            "end_slices": post.end_slices,
            "end_slices_of": post.end_slices_of,
            "min_lesion_mm3": post.min_lesion_mm3,
            "lesion_peak": post.lesion_peak,
            "flips": self.model.flips,
            "temperature": self.temperature,
            "members": [
                {"file": m.file, "network": m.network, "sha256": m.sha256}
                for m in self.model.members
            ],
            "training_data": self.model.training_data,
            "t1_used": self.t1_used,
            "intensity_scale": self.intensity_scale.to_dict(),
            "steps": self.steps.to_dict(),
            "grid": {
                "slices_rows_columns": list(self.grid.shape),
                "spacing_mm": [round(s, 6) for s in self.grid.spacing_mm],
                "orientation": self.grid.orientation,
            },
            "slices_computed": self.slices_computed,
            "engine": {
                "name": self.runtime.engine,
                "version": self.versions.get(self.runtime.engine),
                "backend": self.runtime.backend,
                "device": self.runtime.device,
                "threads": self.runtime.threads,
                "precision": runtime.PRECISIONS[self.runtime.precision],
            },
            "versions": {"wmhseg": __version__, **self.versions},
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            **self.more,
            "notice": NOT_A_DEVICE,
        }

    def _others_dict(self) -> dict[str, dict[str, Any]]:
        """What is marked besides WMH, and by which rules."""
        rules = {rule.label: rule for rule in self.model.others}
        return {
            label: {
                "volume_ml": round(found.volume_ml, 4),
                "lesion_count": found.count,
                "largest_lesion_ml": round(found.largest_ml, 4),
                "threshold": rules[label].threshold,
                "min_lesion_mm3": rules[label].min_lesion_mm3,
                "lesion_peak": rules[label].lesion_peak,
            }
            for label, found in self.others.items()
        }

    def with_command(self, command: str) -> Report:
        """The same report, with the command line that made it."""
        return replace(self, provenance=replace(self.provenance, command=command))

    def to_json(self, more: Mapping[str, Any] | None = None) -> str:
        """Returns the report as JSON text.

        Args:
            more: What else to say, before the notice.
        """
        content = self.to_dict()
        notice = content.pop("notice")
        content |= {**(more or {}), "notice": notice}
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def to_lines(self) -> list[str]:
        """Returns the report as lines for a terminal."""
        checksums = ", ".join(m.sha256[:12] for m in self.model.members)
        packages = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        stages = ", ".join(f"{name} {value:.1f} s" for name, value in self.seconds.items())
        return [
            f"WMH volume   {self.lesions.volume_ml:.2f} ml",
            f"lesions      {self.lesions.count}, largest {self.lesions.largest_ml:.2f} ml",
            *(
                f"{label:<12} {found.volume_ml:.2f} ml, {lesion_count(found.count)}, "
                f"largest {found.largest_ml:.2f} ml"
                for label, found in self.others.items()
            ),
            f"model        {self.model.name} ({counted(len(self.model.members), 'member')}, "
            f"preset {method_name(self.model)}, {self.rules})",
            f"sha256       {checksums}",
            f"versions     wmhseg {__version__}, {packages}",
            *(
                f"intensity    {name} multiplied by {scale.factor:.4g} (--intensity-scale)"
                for name, scale in self.intensity_scale.scans.items()
                if self.intensity_scale.applied(name)
            ),
            *self._step_lines(),
            f"run on       {self.runtime.engine}, {self.runtime.device}, "
            f"{self.runtime.threads} threads, {self.runtime.precision}",
            f"time         {sum(self.seconds.values()):.1f} s ({stages})",
        ]

    def _step_lines(self) -> list[str]:
        """One line for each step that was taken on raw scans, with its main number."""
        lines = []
        if self.steps.reorient.applied:
            lines.append(
                f"reoriented   {self.steps.reorient.before} to {self.steps.reorient.after}"
            )
        if self.steps.bias_correction.applied:
            lines.append("bias         corrected (N4)")
        if self.steps.pixel_size.applied:
            way = self.steps.pixel_size.resampling
            before, after = (
                " x ".join(f"{s:.2f}" for s in grid.spacing_mm) for grid in (way.source, way.target)
            )
            lines.append(f"resampled    {before} to {after} mm (slice, row, column)")
        registered = self.steps.registration.result
        if registered is not None and not self.steps.registration.failed:
            lines.append(
                f"registered   T1 by {registered.move.angle_deg:.1f} degrees, "
                f"{registered.move.distance_mm:.1f} mm; edges match {registered.agreement:.3f} "
                f"(at least {registration.LEAST_AGREEMENT} is needed)"
            )
        return lines
