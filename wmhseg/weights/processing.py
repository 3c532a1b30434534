"""The numbers of a method: from intensities to the network's input, from probability to masks.

The defaults are the numbers of the published U-Net ensemble; what other methods differ in stands in
``methods``, and no number of either stands anywhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from wmhseg import records
from wmhseg.records import require
from wmhseg.weights import inputs as ends
from wmhseg.weights.inputs import Labels

SIDES = 8
"""Whole slices are padded to a multiple of so many rows and columns."""


@dataclass(frozen=True)
class Preprocessing:
    """From the scan's intensities to the network's input.

    Attributes:
        field: Rows and columns of the network's input; null for whole slices, padded to a multiple
            of 8.
        orientation: "stored" takes arrays as they lie in the file, as the published programs do;
            a code such as "LPS" turns them first (see ``wmhseg.geometry.turn_to``).
        order: Whether mean and standard deviation come from the cropped field or the full one.
        mask: "each" makes one brain mask a modality, "flair" one from FLAIR for both.
        flair_threshold: Lowest FLAIR intensity inside the brain mask, on the challenge's scale.
        t1_threshold: Lowest T1 intensity inside its brain mask (unused with mask "flair").
        largest_component: Keep the largest component of each slice of the mask.
        padding: "background" pads with the lowest normalised value, "zero" with 0.
        ceiling: Intensities above this multiple of the tissue median, and negative ones, are cut
            off before masks and z-scores are made, so that very bright fat does not change the
            scale of the brain; null cuts nothing.
        clip: Lowest and highest z-score kept, or null for no clipping.
        centre: What the field is centred on: "matrix", as published, or "head", where that would
            cut off a head that fits.
        pixel_mm: Size of pixels that the method works on; null takes those of the scan.
    """

    field: tuple[int, int] | None = (200, 200)
    orientation: str = "stored"
    order: Literal["crop-normalise", "normalise-crop"] = "crop-normalise"
    mask: Literal["each", "flair"] = "each"
    flair_threshold: float = 70.0
    t1_threshold: float = 30.0
    largest_component: bool = True
    padding: Literal["background", "zero"] = "background"
    ceiling: float | None = None
    clip: tuple[float, float] | None = None
    centre: Literal["matrix", "head"] = records.added("matrix")
    pixel_mm: float | None = records.added(None)


# More than any single lesion has is a slip of the pen.
MAX_MIN_LESION_MM3 = 10_000.0


@dataclass(frozen=True)
class Postprocessing:
    """From the mean probability to the mask.

    Attributes:
        threshold: Voxels above (not at) this probability are WMH.
        end_slices: Share of the slices that is emptied at either end, rounded down.
        end_slices_of: Which slices are counted: those of the "scan", as published, or of the
            "head", where padding would empty clearly more of it.
        min_lesion_mm3: Lesions of a smaller volume are removed; 0 keeps all, as published.
        lesion_peak: Lesions without a voxel above (not at) this probability are removed; 0 keeps
            all, as published. Above the threshold it is the higher of two thresholds of a
            hysteresis (J. Canny, IEEE PAMI 8 (1986) 679-698).
    """

    threshold: float = 0.5
    end_slices: float = 0.10
    min_lesion_mm3: float = records.added(0.0)
    lesion_peak: float = records.added(0.0)
    end_slices_of: Literal["scan", "head"] = records.added("scan")


ReaderName = Literal["balanced", "sparing", "generous"]
"""How generously lesions are marked: ``balanced`` is what a model's post-processing says."""


@dataclass(frozen=True)
class Reader:
    """Rules for WMH that stand in for those of the post-processing, on request.

    People differ in how much of a lesion's border they mark, and from which lesion on. What stands
    in the post-processing is the balanced reader, the default.

    Attributes:
        name: Who marks less, or more, than the balanced reader.
        threshold: See ``Postprocessing``, as the others.
        min_lesion_mm3: As above.
        lesion_peak: As above.
    """

    name: Literal["sparing", "generous"]
    threshold: float
    min_lesion_mm3: float
    lesion_peak: float

    def rules(self, post: Postprocessing) -> Postprocessing:
        """The post-processing with this reader's numbers."""
        return replace(
            post,
            threshold=self.threshold,
            min_lesion_mm3=self.min_lesion_mm3,
            lesion_peak=self.lesion_peak,
        )


@dataclass(frozen=True)
class OtherLabel:
    """From the mean probability of a label besides WMH to its mask.

    A voxel belongs to it where its probability exceeds the threshold and is not below that of WMH;
    WMH is not marked there. End slices are those of WMH.

    Attributes:
        label: Name among the labels.
        threshold: Voxels above (not at) this probability have the label.
        min_lesion_mm3: Connected parts of a smaller volume are removed; 0 keeps all.
        lesion_peak: Connected parts without a voxel above (not at) this probability are removed;
            0 keeps all.
        caution: What a user of its mask has to know, a sentence; stands among the warnings of
            every result.
    """

    label: str
    threshold: float = 0.5
    min_lesion_mm3: float = 0.0
    lesion_peak: float = records.added(0.0)
    caution: str = records.added("")


def check_method(pre: Preprocessing, post: Postprocessing) -> None:
    """Checks the numbers of a method.

    Raises:
        MismatchError: If one is out of range.
    """
    require(
        _is_orientation(pre.orientation),
        "preprocessing.orientation",
        '"stored" or a code such as "LPS"',
        pre.orientation,
    )
    field = pre.field
    whole = field is None or all(16 <= n <= 1024 for n in field)
    require(whole, "preprocessing.field", "16 to 1024, or null", field)
    pixel = pre.pixel_mm
    require(pixel is None or 0.3 <= pixel <= 3, "preprocessing.pixel_mm", "0.3 to 3", pixel)
    for name in ("flair_threshold", "t1_threshold"):
        value = getattr(pre, name)
        require(0 < value < math.inf, f"preprocessing.{name}", "more than 0", value)
    require(
        pre.ceiling is None or 1 < pre.ceiling < math.inf,
        "preprocessing.ceiling",
        "a number above 1",
        pre.ceiling,
    )
    require(
        pre.clip is None or -math.inf < pre.clip[0] < 0 < pre.clip[1] < math.inf,
        "preprocessing.clip",
        "a negative and a positive number",
        pre.clip,
    )
    require(
        0 <= post.end_slices < 0.5, "postprocessing.end_slices", "0 to below 0.5", post.end_slices
    )
    _check_rules(post, "postprocessing")


def _check_rules(rules: Postprocessing | Reader | OtherLabel, where: str) -> None:
    """Checks what all kinds of rules for lesions have."""
    require(0 <= rules.threshold < 1, f"{where}.threshold", "0 to below 1", rules.threshold)
    peak, least, most = rules.lesion_peak, rules.min_lesion_mm3, MAX_MIN_LESION_MM3
    require(0 <= peak < 1, f"{where}.lesion_peak", "0 to below 1", peak)
    require(0 <= least <= most, f"{where}.min_lesion_mm3", f"0 to {most:g}", least)


def check_readers(readers: tuple[Reader, ...], post: Postprocessing) -> None:
    """Checks the rules of readers besides the balanced one.

    Raises:
        MismatchError: If one stands twice, has a number out of range, or does not mark less
            (sparing) or more (generous) than the balanced reader.
    """
    names = [one.name for one in readers]
    require(len(set(names)) == len(names), "readers", "each reader once", names)
    for number, one in enumerate(readers):
        where = f"readers[{number}]"
        _check_rules(one, where)
        sparing = one.name == "sparing"
        fits = one.threshold >= post.threshold if sparing else one.threshold <= post.threshold
        bound = f"{'at least' if sparing else 'at most'} {post.threshold:g}, as the balanced one's"
        require(fits, f"{where}.threshold", bound, one.threshold)


def check_others(others: tuple[OtherLabel, ...], labels: Labels) -> None:
    """Checks the rules of labels besides WMH.

    Raises:
        MismatchError: If one is no such label, stands twice, or has a number out of range.
    """
    possible = tuple(name for name in labels.names if name != ends.WMH)
    for number, one in enumerate(others):
        where = f"others[{number}]"
        earlier = [other.label for other in others[:number]]
        fits = one.label in possible and one.label not in earlier
        require(fits, f"{where}.label", "another of the labels besides WMH", one.label)
        _check_rules(one, where)
        said = one.caution
        require(said.isprintable(), f"{where}.caution", "one line of printable text", said)


def check_anatomical(model: Any) -> None:
    """Checks a model that names structures: left and right must be known, and stay what they are.

    Args:
        model: A preset, or the plan of its training.

    Raises:
        MismatchError: If it also marks something, or may exchange sides.
    """
    labels: Labels | None = model.labels
    if labels is None or not labels.anatomical:
        return
    axes = model.preprocessing.orientation
    require(axes == "LPS", "preprocessing.orientation", '"LPS" (structures)', axes)
    require(not model.flips, "flips", "false (structures)", model.flips)
    for name in ("others", "readers"):
        value = getattr(model, name)
        require(not value, name, "none (structures)", value)


def _is_orientation(text: str) -> bool:
    """Whether ``wmhseg.geometry.turn_to`` takes it: "stored", or one side of each axis."""
    sides = sorted("RAI".find(letter) + "LPS".find(letter) + 1 for letter in text.upper())
    return text == "stored" or sides == [0, 1, 2]


def padded_field(rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns of whole slices, padded to a multiple of ``SIDES``."""
    return -(-rows // SIDES) * SIDES, -(-columns // SIDES) * SIDES
