"""What each step on scans as the scanner gave them did, and why: for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wmhseg.preparation import bias, registration
from wmhseg.preparation.registration import Registration, Rigid
from wmhseg.preparation.resampling import Resampling
from wmhseg.preparation.steps import Steps


@dataclass(frozen=True)
class Reorienting:
    """Axes turned to those of the model.

    Attributes:
        why: Why they were turned or not.
        before: Orientation of FLAIR's file, such as "PIR".
        after: Orientation that the networks see.
        oblique_deg: Angle between the slices and the axes of the body, which stays.
    """

    why: str
    before: str
    after: str
    oblique_deg: float

    @property
    def applied(self) -> bool:
        """Whether anything was turned."""
        return self.before != self.after

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            "applied": self.applied,
            "why": self.why,
            "from": self.before,
            "to": self.after,
            "oblique_deg": round(self.oblique_deg, 2),
        }


@dataclass(frozen=True)
class BiasCorrection:
    """Slow shading divided out.

    Attributes:
        why: Why it was corrected or not.
        fields: Name of the scan -> what was divided out; empty where nothing was.
        seconds: Wall-clock time.
    """

    why: str
    fields: Mapping[str, bias.Field] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def applied(self) -> bool:
        """Whether anything was divided out."""
        return bool(self.fields)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        values: dict[str, Any] = {"applied": self.applied, "why": self.why}
        if self.applied:
            values |= {"method": "N4", "voxels_mm": bias.SHRUNK_MM}
            for name, divided in self.fields.items():
                values[name] = {
                    "field_p2": round(divided.low, 3),
                    "field_p98": round(divided.high, 3),
                }
            values["seconds"] = round(self.seconds, 3)
        return values


@dataclass(frozen=True)
class T1Registration:
    """T1 registered to FLAIR.

    Attributes:
        why: Why it was registered or not.
        result: What the search found; None where nothing was searched.
        covered: Share of FLAIR's head in T1's field of view, of what was found.
        seconds: Wall-clock time.
    """

    why: str
    result: Registration | None = None
    covered: float = 0.0
    seconds: float = 0.0

    @property
    def applied(self) -> bool:
        """Whether it was searched."""
        return self.result is not None

    @property
    def failed(self) -> bool:
        """Whether what was found is not believed."""
        return self.result is not None and not self.result.succeeded

    @property
    def move(self) -> Rigid:
        """From FLAIR to T1: what was found, or where the headers put them."""
        return Rigid() if self.result is None or self.failed else self.result.move

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        values: dict[str, Any] = {"applied": self.applied, "why": self.why}
        if self.result is None:
            return values
        move = self.result.move
        values |= {
            "method": "rigid, Mattes mutual information",
            "succeeded": self.result.succeeded,
            "edge_agreement": round(self.result.agreement, 4),
            "least_edge_agreement": registration.LEAST_AGREEMENT,
            "rotation_rad": [round(v, 6) for v in move.rotation_rad],
            "shift_mm": [round(v, 4) for v in move.shift_mm],
            "centre_mm": [round(v, 4) for v in move.centre_mm],
            "angle_deg": round(move.angle_deg, 3),
            "start": self.result.start,
            "starts_tried": self.result.starts,
            "head_covered_by_t1": round(self.covered, 3),
            "seconds": round(self.seconds, 3),
        }
        if self.failed:
            values["fallback"] = "flair-only"
        return values


@dataclass(frozen=True)
class PixelSize:
    """Pixels, and thin slices, brought to the size seen in training.

    Attributes:
        why: Why they were resampled or not.
        resampling: From which grid to which.
        seconds: Wall-clock time, with that of resampling T1.
    """

    why: str
    resampling: Resampling
    seconds: float

    @property
    def applied(self) -> bool:
        """Whether the size changed."""
        return self.resampling.changes

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            "applied": self.applied,
            "why": self.why,
            "from_mm": [round(s, 4) for s in self.resampling.source.spacing_mm],
            "to_mm": [round(s, 4) for s in self.resampling.target.spacing_mm],
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class StepsTaken:
    """All steps, in their order; attributes have the names of the switches in ``Steps``.

    Attributes:
        reorient: Axes.
        bias_correction: Shading.
        registration: T1 to FLAIR.
        pixel_size: Pixels and slices.
        asked: The switches as they were given; "preset" where the model's preset decided.
        settings: The switches as they were used.
    """

    reorient: Reorienting
    bias_correction: BiasCorrection
    registration: T1Registration
    pixel_size: PixelSize
    asked: Steps
    settings: Steps

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Returns plain values, by step."""
        taken = {
            "reorient": self.reorient.to_dict(),
            "bias_correction": self.bias_correction.to_dict(),
            "registration": self.registration.to_dict(),
            "pixel_size": self.pixel_size.to_dict(),
        }
        return {
            name: {
                "asked": getattr(self.asked, name),
                "setting": getattr(self.settings, name),
                **values,
            }
            for name, values in taken.items()
        }
