"""The recipes (plans of training) that come with the program, published ones and our own.

The defaults of ``plan.Augmentation`` and ``plan.Restart`` are the published ones; all other numbers
of a published recipe stand here.
"""

from __future__ import annotations

from dataclasses import replace

from wmhseg.networks.location import LOCATION
from wmhseg.synthesis.recipe import REALISTIC, Recipe
from wmhseg.training import classes
from wmhseg.training.plan import (
    FORMAT,
    Augmentation,
    Fitting,
    Plan,
    Refinement,
    Restart,
    Run,
    Sampling,
    Stopping,
    Synthesis,
)
from wmhseg.weights.inputs import BRAIN_SCORE, OF_LOCATION, WMH, Input, Labels
from wmhseg.weights.methods import METHODS
from wmhseg.weights.preset import NetworkOption
from wmhseg.weights.processing import OtherLabel, Postprocessing
from wmhseg.weights.structures import STRUCTURES


def _published(name: str, method: str, what: str, runs: tuple[Run, ...]) -> Plan:
    """The recipe of both papers; they differ in networks and threshold."""
    return Plan(
        format=FORMAT,
        name=name,
        description=f"{what}, trained by wmhseg with the published recipe.",
        licence="as the training data allow",
        training_data="scans of the user, listed in split.json",
        reference=METHODS[method].reference,
        channels=2,
        without_t1="error",
        weights="float16",
        preprocessing=METHODS[method].preprocessing,
        postprocessing=METHODS[method].postprocessing,
        intensity_scale="auto",
        augmentation=Augmentation(),
        synthesis=None,
        fitting=Fitting(restart=Restart()),
        runs=runs,
    )


def _published_run(number: int, network: str, options: dict[str, NetworkOption]) -> Run:
    return Run(str(number), network, options, seed=101 + number, epochs=50, batch=30, rate=2e-4)


_WARM = Run("warm", member=False, steps=4200, crop=144, rate=6e-4, final_rate=2.5e-4, warmup=60)


# The warm start sees small crops, twice as fast; the members then see nearly whole slices, so that
# they know borders and position.
_MEMBER = Run("", start_from="warm", steps=300, crop=160, rate=2.5e-4, final_rate=0.0, warmup=20)


def _synthetic(name: str, method_of: str, what: str, runs: tuple[Run, ...]) -> Plan:
    """The recipe of the weights that come with the project.

    Args:
        name: Name of the model.
        method_of: The method of ``wmhseg.weights.methods.METHODS`` whose publication describes the
            networks.
        what: What it is, for the description.
        runs: See Plan.
    """
    method = METHODS["synthetic"]
    return Plan(
        format=FORMAT,
        name=name,
        description=f"{what}, trained by wmhseg on synthetic scans.",
        licence="Apache-2.0",
        training_data="synthetic scans drawn from SynthSeg label maps; no real image",
        reference=METHODS[method_of].reference,
        channels=2,
        without_t1="zero",
        weights="float16",
        preprocessing=method.preprocessing,
        postprocessing=method.postprocessing,
        intensity_scale="auto",
        augmentation=None,
        synthesis=Synthesis(),
        fitting=Fitting(
            loss="dice-and-cross-entropy",
            optimizer="adamw",
            weight_decay=1e-5,
            clip_norm=1.0,
            rare_start=True,
            precision="auto",
        ),
        runs=runs,
    )


# Members that differ on purpose -------------------------------------------------------------------

MIXED = replace(REALISTIC, small_lesions=0.8, reader="drawn")
"""What members of ``synthetic-mixed`` were shown, but for the thickness of the slices."""

_SHIPPED = "models/unet-synthetic/{}.safetensors"
_SHIPPED_STACK = "models/stacknet-synthetic/{0}x{0}.safetensors"
_GROWN = Run("", steps=1200, batch=24, crop=160, rate=4e-4, final_rate=8e-6, warmup=50)
_SHARP = replace(MIXED, thickness_mm=(0.9, 1.0, 1.2))
_THICK = replace(MIXED, thickness_mm=(3.0, 4.0, 5.0, 6.5, 8.0))

_FAMILIES = (
    # Sharp 3D scans, of which only every so many slices are seen, and thick slices as of 2D scans.
    replace(_GROWN, name="unet-sharp", start_from=_SHIPPED.format(0), seed=511, recipe=_SHARP),
    replace(_GROWN, name="unet-thick", start_from=_SHIPPED.format(1), seed=502, recipe=_THICK),
    # As they are: trained for so long in another way that they differ from the first two.
    Run("unet", start_from=_SHIPPED.format(2), steps=0),
    *(
        Run(
            f"stack{kernel}",
            "stacknet",
            {"kernel": kernel, "depth": 5},
            start_from=_SHIPPED_STACK.format(kernel),
            steps=0,
        )
        for kernel in (3, 5)
    ),
)


def _mixed() -> Plan:
    """Two U-Nets grown on scans of two kinds, and three members of ``models/`` as they are.

    Three further families were planned, a U-Net for scans of any kind and Stack-Nets for scans
    without the skull and for FLAIR alone. They were never trained to the end, so the members that
    they would have grown from stand in their place.
    """
    networks = "Ensemble of 3 U-Nets and 2 Stack-Nets of different recipes"
    plan = _synthetic("mixed-synthetic", "published", networks, _FAMILIES)
    references = (METHODS[name].reference for name in ("published", "published-stack"))
    return replace(
        plan,
        reference=" ".join(references),
        synthesis=Synthesis(MIXED, scans=16, slices=48),
        fitting=replace(plan.fitting, loss="lesion-weighted", average=0.995, rare_start=False),
    )


# Adapting a model ---------------------------------------------------------------------------------


def _refine() -> Plan:
    """What a model is adapted with; its inputs, method and members come from that model.

    The rate stays the same, and the result is an average of the weights: so a run of fewer steps
    is the beginning of a longer one, and the number of steps can be chosen afterwards.
    """
    plan = PLANS["synthetic"]
    run = Run("0", seed=401, steps=120, batch=8, crop=96, rate=3e-4, final_rate=3e-4, warmup=10)
    return replace(
        plan,
        name="refined",
        description="A model adapted by wmhseg to the scans of a user.",
        licence="as the training data and the model that was adapted allow",
        training_data="scans of the user, listed in split.json, and synthetic scans",
        augmentation=Augmentation(
            copies=1, rotation_deg=8.0, shear_deg=4.0, zoom=(0.93, 1.07), without_t1=0.15
        ),
        synthesis=Synthesis(scans=4),
        refinement=Refinement(),
        fitting=replace(
            plan.fitting, loss="dice-and-cross-entropy", rare_start=False, average=0.97
        ),
        runs=(run,),
    )


BACKGROUND_AND_WMH = Labels((classes.BACKGROUND, WMH), "softmax")

# VGG ----------------------------------------------------------------------------------------------

_T1, _FLAIR = (Input(scan, scan, "8-bit", "error") for scan in ("T1", "FLAIR"))
_TOP_HAT = Input("top-hat", "FLAIR", "top-hat", "error")
_PICTURES: dict[str, tuple[Input, ...]] = {
    "": (_T1, _FLAIR, _TOP_HAT),
    # The paper's comparisons: T1 in place of the top-hat, and three slices of FLAIR.
    "-no-top-hat": (_T1, _FLAIR, replace(_T1, name="T1 again")),
    "-3d-like": (
        replace(_FLAIR, name="slice before", slice=-1),
        _FLAIR,
        replace(_FLAIR, name="slice after", slice=1),
    ),
}
"""Ending of a recipe's name -> the colours of the picture that the network sees."""


def _published_vgg(ending: str) -> Plan:
    """SGD on the loss summed over the pixels of a slice, with the published numbers."""
    method = METHODS["published-vgg"]
    run = Run("0", "vgg", seed=101, steps=150_000, batch=20, rate=1e-8, final_rate=1e-9)
    return replace(
        PLANS["published"],
        name=f"vgg-published{ending}",
        description="VGG network on 8-bit pictures, trained by wmhseg with the published recipe.",
        reference=method.reference,
        channels=None,
        without_t1=None,
        inputs=_PICTURES[ending],
        labels=BACKGROUND_AND_WMH,
        preprocessing=method.preprocessing,
        postprocessing=method.postprocessing,
        # "Scaling and rotating", without ranges: those of the U-Net's paper.
        augmentation=Augmentation(shear_deg=0.0, flip=0.0),
        fitting=Fitting(
            loss="summed-cross-entropy",
            optimizer="sgd",
            weight_decay=5e-4,
            momentum=0.99,
            late_momentum=0.999,
        ),
        runs=(replace(run, drop_at=1 / 3),),  # after 50,000
    )


def _synthetic_vgg() -> Plan:
    """One network from random weights; crops hold more than what any of its maps sees."""
    method, plan = METHODS["synthetic-vgg"], PLANS["synthetic"]
    run = Run("0", "vgg", seed=361, steps=2400, batch=8, crop=128, rate=3e-4, final_rate=0.0)
    return replace(
        plan,
        name="vgg-synthetic",
        description="VGG network on 8-bit pictures, trained by wmhseg on synthetic scans.",
        reference=method.reference,
        channels=None,
        without_t1=None,
        inputs=(replace(_T1, if_missing="zero"), _FLAIR, _TOP_HAT),
        labels=BACKGROUND_AND_WMH,
        preprocessing=method.preprocessing,
        postprocessing=method.postprocessing,
        # The gradient of the first kernel is 64 times that of one for z-scores.
        fitting=replace(plan.fitting, clip_norm=10.0),
        runs=(replace(run, warmup=60),),
    )


# uResNet ------------------------------------------------------------------------------------------

_SCORES = (Input("FLAIR", "FLAIR", "z-score", "error"),)
_THREE, _STROKE = Labels(classes.NAMES, "softmax"), (OtherLabel(classes.STROKE),)


def _published_uresnet() -> Plan:
    """Patches around a fifth of the WMH voxels and four fifths of those of strokes."""
    method = METHODS["published-uresnet"]
    run = Run("0", "uresnet", seed=101, epochs=30, batch=128, rate=5e-4, final_rate=5e-5)
    return replace(
        PLANS["published"],
        name="uresnet-published",
        description="uResNet for WMH and stroke, trained by wmhseg with the published recipe.",
        reference=method.reference,
        channels=None,
        without_t1=None,
        inputs=_SCORES,
        labels=_THREE,
        others=_STROKE,
        preprocessing=method.preprocessing,
        postprocessing=method.postprocessing,
        augmentation=Augmentation(copies=1, rotation_deg=0.0, shear_deg=0.0, zoom=(1.0, 1.0)),
        sampling=Sampling("patches", 64, wmh=0.2, stroke=0.8, shift=0.5),
        fitting=Fitting(loss="cross-entropy"),
        runs=(replace(run, drop_at=25 / 30),),
    )


def _synthetic_uresnet() -> Plan:
    """As published but for what synthetic scans allow; also patches far from any lesion.

    Infarcts hold more voxels than WMH, so their weight is the smaller one here. A start near
    probability 0 holds strokes there. Patches are large, and few of each of many scans: of 12 scans
    with 320 patches of 64 x 64 each, every block was learnt by heart, and the loss on new scans
    stayed at 1.04 (0.57 like this). The weights in ``models/`` went through both.
    """
    method, plan = METHODS["synthetic-uresnet"], PLANS["synthetic"]
    run = Run("0", "uresnet", {"start": "he"}, seed=371, steps=8000, batch=48, rate=1e-3)
    # Cavities that are no infarct of the class would say the opposite of those that are.
    recipe = Recipe(
        pixel_mm=(0.95, 1.05), stroke=0.5, cavities=0.0, small_lesions=0.5, paired_noise=0.8
    )
    return replace(
        plan,
        name="uresnet-synthetic",
        description="uResNet for WMH and stroke, trained by wmhseg on synthetic scans.",
        reference=method.reference,
        channels=None,
        without_t1=None,
        inputs=_SCORES,
        labels=_THREE,
        others=_STROKE,
        preprocessing=method.preprocessing,
        postprocessing=method.postprocessing,
        synthesis=Synthesis(recipe, scans=40, slices=192),
        sampling=Sampling(
            "patches", 128, wmh=0.75, stroke=0.25, shift=0.5, elsewhere=0.4, bright=0.3
        ),
        fitting=replace(plan.fitting, rare_start=False, average=0.998),
        runs=(replace(run, final_rate=0.0, warmup=100),),
    )


# Location -----------------------------------------------------------------------------------------

_UNITS = (Input("FLAIR", "FLAIR", "unit", "error"), Input("T1", "T1", "unit", "error"))
_PLACES = tuple(Input(how, "MNI", how, "error", port=LOCATION) for how in OF_LOCATION)


def _published_location() -> Plan:
    """Half of the voxels with a hyperintensity, and as many others of the brain."""
    method = METHODS["published-location"]
    options: dict[str, NetworkOption] = {"architecture": "MSWS", "place": "FFCL"}
    run = Run("0", "location", options, seed=101, epochs=30, batch=128, rate=1e-4, final_rate=1e-4)
    return replace(
        PLANS["published"],
        name="location-published",
        description="Location-sensitive network, trained by wmhseg with the published recipe.",
        reference=method.reference,
        channels=None,
        without_t1=None,
        inputs=_UNITS + _PLACES,
        labels=BACKGROUND_AND_WMH,
        preprocessing=method.preprocessing,
        postprocessing=method.postprocessing,
        augmentation=Augmentation(1, rotation_deg=0.0, shear_deg=0.0, zoom=(1.0, 1.0), flip=0.0),
        sampling=Sampling("voxels", 128, wmh=0.5, stroke=0.0, elsewhere=0.5),
        fitting=Fitting(loss="cross-entropy", optimizer="rmsprop", stopping=Stopping()),
        runs=(run,),
    )


def _synthetic_location() -> Plan:
    """One scale, and means of squares for the first fully connected layer.

    10.7 million weights of single pixels learnt the patches by heart (DSC 0.51 at most). Windows
    tell a thousand voxels at the cost of 15 patches.
    """
    method, plan = METHODS["synthetic-location"], PLANS["synthetic"]
    options: dict[str, NetworkOption] = {"architecture": "SS", "place": "FFCL", "first": "means"}
    run = Run("0", "location", options, seed=381, steps=1200, batch=16, rate=1.5e-3)
    return replace(
        plan,
        name="location-synthetic",
        description="Location-sensitive network, trained by wmhseg on synthetic scans.",
        reference=method.reference,
        channels=None,
        without_t1=None,
        inputs=(
            replace(_UNITS[0], how=BRAIN_SCORE),
            replace(_UNITS[1], how=BRAIN_SCORE, if_missing="zero"),
            *_PLACES,
        ),
        labels=BACKGROUND_AND_WMH,
        preprocessing=method.preprocessing,
        postprocessing=method.postprocessing,
        synthesis=Synthesis(REALISTIC, scans=16, slices=64),
        sampling=Sampling("patches", 64, stroke=0.0, shift=0.25, elsewhere=0.35, bright=0.5),
        fitting=replace(plan.fitting, rare_start=False, average=0.995, precision="float32"),
        runs=(replace(run, final_rate=0.0, warmup=50),),
    )


# Anatomy ------------------------------------------------------------------------------------------


def _synthetic_anatomy() -> Plan:
    """Whole slices, as which structure a piece of tissue is of depends on all the rest.

    It goes on from the weights that are shipped. They went on from a network of pixels of 2 mm,
    which had gone on from one for hyperintensities. Infarcts lie anywhere and change nothing.
    """
    plan, field = PLANS["synthetic"], (208, 208)
    start = "models/anatomy-synthetic/0.safetensors"
    run = Run("0", start_from=start, seed=395, steps=1500, batch=8, rate=5e-4)
    recipe = replace(REALISTIC, stroke=0.15, field=field, pixel_mm=(0.875, 1.125))
    return replace(
        plan,
        name="anatomy-synthetic",
        description="U-Net that names the structures of a head, trained by wmhseg on synthetic "
        "scans.",
        labels=Labels(STRUCTURES, "softmax"),
        preprocessing=replace(plan.preprocessing, field=field, pixel_mm=1.0),
        postprocessing=Postprocessing(end_slices=0.0),
        synthesis=Synthesis(recipe, scans=8, slices=24),
        fitting=replace(plan.fitting, rare_start=False, average=0.998),
        runs=(replace(run, final_rate=0.0, warmup=50),),
    )


PLANS: dict[str, Plan] = {
    "published": _published(
        "unet-published",
        "published",
        "Ensemble of 3 U-Nets",
        tuple(_published_run(number, "unet", {}) for number in range(3)),
    ),
    "published-stack": _published(
        "stacknet-published",
        "published-stack",
        "Stack-Nets with kernels 3x3 and 5x5",
        tuple(_published_run(i, "stacknet", {"kernel": kernel}) for i, kernel in enumerate((3, 5))),
    ),
    "synthetic": _synthetic(
        "unet-synthetic",
        "published",
        "Ensemble of 3 U-Nets",
        (_WARM, *(replace(_MEMBER, name=str(i), seed=321 + i) for i in range(3))),
    ),
    # Grown from the same warm U-Net: learning deep stacks from nothing takes several times as long.
    "synthetic-stack": _synthetic(
        "stacknet-synthetic",
        "published-stack",
        "Stack-Nets with kernels 3x3 and 5x5",
        (
            _WARM,
            *(
                replace(
                    _MEMBER,
                    name=f"{kernel}x{kernel}",
                    network="stacknet",
                    options={"kernel": kernel, "depth": 5},
                    seed=341 + kernel,
                    steps=600,
                    crop=144,
                )
                for kernel in (3, 5)
            ),
        ),
    ),
}
PLANS |= {f"published-vgg{ending}": _published_vgg(ending) for ending in _PICTURES}
PLANS["synthetic-mixed"] = _mixed()
PLANS["synthetic-vgg"] = _synthetic_vgg()
PLANS["published-uresnet"] = _published_uresnet()
PLANS["synthetic-uresnet"] = _synthetic_uresnet()
PLANS["published-location"] = _published_location()
PLANS["synthetic-location"] = _synthetic_location()
PLANS["synthetic-anatomy"] = _synthetic_anatomy()
PLANS["refine"] = _refine()
