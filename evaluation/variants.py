"""The trainings that the study compares: each differs from the reference in one thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wmhseg.training import plan as plans
from wmhseg.training import recipes
from wmhseg.training.plan import Run
from wmhseg.weights import preset

REFERENCE = "reference"
GROUPS = ("ingredients", "ensemble", "stack", "modalities")
MEMBERS = 5
DEPTHS = (1, 2, 3, 4, 5, 6)

_OFF: dict[str, tuple[str, tuple[str, ...]]] = {
    "no-look-alikes": (
        "no bright cortex, rims, tracts, flow, vessels or dirty white matter",
        ("mottled", "regions", "rim", "dirty", "flow", "vessels", "perivascular", "gadolinium"),
    ),
    "no-real-shapes": ("grown lesions only", ("real_shapes",)),
    "no-population": ("no prior of where old people have lesions", ("population",)),
    "no-ageing": (
        "ventricles, sulci and cortex as in the maps",
        ("wide_ventricles", "wide_third", "atrophy", "cortex"),
    ),
    "no-halos": ("lesions of one scan alike, with sharp borders", ("halo", "uneven_gain")),
    "no-faults": (
        "no coarse pixels, ringing, sharpening, ghosts, bias field, tone curve or saturation",
        (
            "coarse", "ringing", "sharpened", "ghosts", "bias", "uneven_noise", "tone_curve",
            "saturated", "quantised", "misregistered", "narrow",
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One training that differs from the reference in one thing.

    Attributes:
        group: One of GROUPS.
        name: Names its folder.
        about: What differs.
        recipe: Values of the synthesiser's recipe that differ.
        network: Network and its options.
        channels: 2 for FLAIR and T1, 1 for FLAIR alone.
    """

    group: str
    name: str
    about: str
    recipe: dict[str, Any] = field(default_factory=dict)
    network: tuple[str, dict[str, preset.NetworkOption]] = ("unet", {})
    channels: int = 2


def variants(depths: Sequence[int] = DEPTHS) -> list[Variant]:
    """Every variant but the reference.

    Args:
        depths: Convolutions a stack of the Stack-Nets.
    """
    made = [
        Variant("ingredients", name, about, dict.fromkeys(keys, 0.0))
        for name, (about, keys) in _OFF.items()
    ]
    thin = {"thickness_mm": (1.0,), "gap": (0.0, 0.0)}
    made.append(Variant("ingredients", "no-thick-slices", "slices of 1 mm only", thin))
    made += [
        Variant(
            "stack",
            f"stack-{kernel}x{kernel}-depth-{depth}",
            f"Stack-Net, kernel {kernel}, {depth} convolutions a stack",
            network=("stacknet", {"kernel": kernel, "depth": depth}),
        )
        for kernel in (3, 5)
        for depth in depths
    ]
    made.append(Variant("modalities", "flair-network", "a network of FLAIR alone", channels=1))
    return made


@dataclass(frozen=True)
class StudySetup:
    """What all variants share.

    Attributes:
        labels: Label maps or prepared heads.
        data: Validation cases.
        output: Folder for everything.
        steps: Steps of 8 slices for every training.
        crop: Side of the squares that networks see, in pixels.
        start: Weights that every training starts from where layers match, or None.
        members: Networks of the reference ensemble; at most MEMBERS.
        rate: Learning rate after the warm-up.
        depths: Convolutions a stack of the Stack-Nets.
        every: Of scans with slices thinner than 2 mm, every N-th slice is used; 1 for all.
        seed: Of the first member; the others have those after it.
    """

    labels: Path
    data: Path
    output: Path
    steps: int
    crop: int
    start: Path | None
    members: int = MEMBERS
    rate: float = 4e-4
    depths: tuple[int, ...] = DEPTHS
    every: int = 1
    seed: int = 401


def plan_of(setup: StudySetup, variant: Variant, members: int = 1) -> plans.Plan:
    """The training of a variant."""
    base = recipes.PLANS["synthetic"]
    assert base.synthesis is not None
    name, options = variant.network
    runs = tuple(
        Run(
            str(number),
            name,
            options,
            start_from=str(setup.start) if setup.start else None,
            seed=setup.seed + number,
            steps=setup.steps,
            crop=setup.crop,
            rate=setup.rate,
            final_rate=0.0,
            warmup=min(30, setup.steps // 5),
        )
        for number in range(members)
    )
    return replace(
        base,
        # Every lesion counts: networks after a short training are sure of few.
        postprocessing=replace(base.postprocessing, threshold=0.5, lesion_peak=0.0),
        readers=(),
        # Few processors have bfloat16, and all figures should be of one precision.
        fitting=replace(base.fitting, precision="float32"),
        name=variant.name,
        description=f"Study: {variant.about}.",
        channels=variant.channels,
        without_t1="zero" if variant.channels == 2 else "error",
        synthesis=replace(base.synthesis, recipe=replace(base.synthesis.recipe, **variant.recipe)),
        runs=runs,
    )
