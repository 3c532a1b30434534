"""Every number of a published method, with its source, under one name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wmhseg.weights.preset import Preset
from wmhseg.weights.processing import Postprocessing, Preprocessing


@dataclass(frozen=True)
class Method:
    """Pre- and post-processing that belong together, with their source."""

    preprocessing: Preprocessing
    postprocessing: Postprocessing
    reference: str


_ANY_SCORE = 1e6  # nothing is so bright: a limit that never bites


_UNET_PAPER = (
    "H. Li et al. Fully convolutional network ensembles for white matter hyperintensities "
    "segmentation in MR images. NeuroImage 183 (2018) 650-665."
)


_STACK_PAPER = (
    "H. Li et al. Multi-scale convolutional-stack aggregation for robust white matter "
    "hyperintensities segmentation. BrainLes workshop, MICCAI 2018."
)


_VGG_PAPER = (
    "Y. Xu et al. White matter hyperintensities segmentation in a few seconds using fully "
    "convolutional network and transfer learning. BrainLes workshop, MICCAI 2017, LNCS 10670, "
    "501-514."
)


_URESNET_PAPER = (
    "R. Guerrero et al. White matter hyperintensity and stroke lesion segmentation and "
    "differentiation using convolutional neural networks. NeuroImage: Clinical 17 (2018) 918-934."
)


_LOCATION_PAPER = (
    "M. Ghafoorian et al. Location sensitive deep convolutional neural networks for segmentation "
    "of white matter hyperintensities. Scientific Reports 7 (2017) 5110."
)


_OURS = Preprocessing(orientation="LPS", ceiling=1.8, clip=(-6.0, 12.0), centre="head")


METHODS: dict[str, Method] = {
    # The U-Net ensemble as the paper describes it.
    "published": Method(Preprocessing(), Postprocessing(), _UNET_PAPER),
    # The Stack-Net aggregation: the same but for the threshold.
    "published-stack": Method(Preprocessing(), Postprocessing(threshold=0.4), _STACK_PAPER),
    # What the authors' 2025 release of the U-Net ensemble applies; goes with the public weights.
    "released": Method(
        Preprocessing(
            order="normalise-crop",
            mask="flair",
            flair_threshold=30.0,
            t1_threshold=30.0,
            largest_component=False,
            padding="zero",
        ),
        Postprocessing(threshold=0.45, end_slices=0.125),
        _UNET_PAPER,
    ),
    # This project's own training: the published steps on turned scans, extremes cut.
    # Ceiling, thresholds and smallest lesion were chosen on the validation scans of the model card.
    "synthetic": Method(
        _OURS,
        Postprocessing(threshold=0.7, lesion_peak=0.98, end_slices_of="head"),
        _UNET_PAPER,
    ),
    # The same for an ensemble with a network that was tuned on real scans, which is less sure.
    "tuned": Method(
        _OURS, Postprocessing(threshold=0.6, lesion_peak=0.98, end_slices_of="head"), _UNET_PAPER
    ),
    # The VGG network on pictures of 8 bit: whole slices, nothing removed afterwards.
    "published-vgg": Method(Preprocessing(field=None), Postprocessing(end_slices=0.0), _VGG_PAPER),
    # Our own training of it. The ceiling is what 255 stands for: lesions must not reach it.
    # Threshold and smallest lesion were chosen on the validation scans of the model card.
    "synthetic-vgg": Method(
        Preprocessing(field=None, orientation="LPS", ceiling=2.5),
        Postprocessing(threshold=0.9, min_lesion_mm3=10.0, end_slices_of="head"),
        _VGG_PAPER,
    ),
    # The u-shaped residual network: whole slices of 1 mm pixels, no scores below -3.
    "published-uresnet": Method(
        Preprocessing(field=None, pixel_mm=1.0, clip=(-3.0, _ANY_SCORE)),
        Postprocessing(end_slices=0.0),
        _URESNET_PAPER,
    ),
    # Our own training of it: on turned scans, extremes cut.
    "synthetic-uresnet": Method(
        Preprocessing(field=None, orientation="LPS", pixel_mm=1.0, ceiling=1.8, clip=(-3.0, 12.0)),
        # Patches of its training hold far more WMH than slices do: probabilities are high.
        Postprocessing(threshold=0.97, min_lesion_mm3=10.0, end_slices_of="head"),
        _URESNET_PAPER,
    ),
    # The location-sensitive networks: intensities from 0 to 1; which side is left must be known.
    "published-location": Method(
        Preprocessing(field=None, orientation="LPS"),
        Postprocessing(end_slices=0.0),
        _LOCATION_PAPER,
    ),
    # Our own training of it. Threshold and smallest lesion were chosen as those of the VGG network.
    "synthetic-location": Method(
        Preprocessing(field=None, orientation="LPS", ceiling=2.5, centre="head"),
        Postprocessing(threshold=0.85, min_lesion_mm3=10.0, end_slices_of="head"),
        _LOCATION_PAPER,
    ),
}


TRAINING_PIXEL_MM = (0.8, 1.25)
"""Pixel sizes of the scans that the method "synthetic" trains on, which also hold those of the
challenge's scanners (0.95 to 1.21 mm). Scans with others are warned of."""


_PUBLISHED = (
    "published",
    "published-stack",
    "released",
    "published-vgg",
    "published-uresnet",
    "published-location",
)


def is_published(preset: Preset) -> bool:
    """Whether scans are prepared exactly as a publication, or its authors' program, does.

    Then nothing is adapted to a scan, only told: a thing that differs is another method.
    """
    return preset.preprocessing in [METHODS[name].preprocessing for name in _PUBLISHED]


def intensity_scale(
    asked: Literal["preset", "adapt", "keep"], preset: Preset
) -> Literal["adapt", "keep"]:
    """What is done to intensities: what was asked for, else what the preset says.

    A published method is run as the challenge ran it; scans for our own models are adapted.
    """
    if asked == "preset":
        return "keep" if is_published(preset) else "adapt"
    return asked


def method_name(preset: Preset) -> str:
    """Name of the method in METHODS that a preset follows, or "custom".

    It is followed with the rules of one of the preset's own readers, too.
    """
    for name, method in METHODS.items():
        own = method.postprocessing
        rules = (own, *(reader.rules(own) for reader in preset.readers))
        if preset.preprocessing == method.preprocessing and preset.postprocessing in rules:
            return name
    return "custom"
