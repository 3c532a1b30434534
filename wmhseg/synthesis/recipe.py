"""The ranges that synthetic scans are drawn from: what networks have seen in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wmhseg import records
from wmhseg.weights.methods import TRAINING_PIXEL_MM

ReaderName = Literal["range", "drawn", "sparing", "balanced", "generous"]


@dataclass(frozen=True)
class Recipe:
    """The ranges that scans are drawn from; lengths in mm, intensities relative to white matter.

    A plain number from 0 to 1 is a share of the scans; 0 switches that ingredient off.
    """

    # Slices and pose. More slices than ``slices`` are thinned out evenly over the head.
    # ``pixel_mm`` is the distance of rows; columns lie 0.95 to 1.05 times as far apart.
    field: tuple[int, int] = (200, 200)
    slices: int = 24
    thickness_mm: tuple[float, ...] = (0.9, 1.0, 1.2, 3.0, 3.0, 4.0, 5.0, 6.5)
    gap: tuple[float, float] = (0.0, 0.3)  # between thick slices, relative to their thickness
    pixel_mm: tuple[float, float] = TRAINING_PIXEL_MM
    tilt_deg: float = 12.0
    zoom: tuple[float, float] = (0.87, 1.13)
    warp_mm: float = 2.5
    neck_mm: float = 25.0  # at most, below the brain
    vertex_mm: float = 12.0  # at most, above it
    cut_short: float = 0.12  # a part of the brain is not covered
    off_centre_mm: float = 10.0  # standard deviation

    # Age: the maps are mostly of younger heads.
    wide_ventricles: float = 0.5
    wide_ventricles_mm: tuple[float, float] = (0.5, 8.0)
    wide_third: float = 0.4
    atrophy: float = 0.45  # wide sulci
    cortex: float = 0.4  # thicker or thinner than in the map

    # Hyperintensities. Scans without any, then how loads share the ranges between the edges.
    without_lesions: float = 0.1
    load_ml: tuple[float, ...] = (0.05, 2.0, 10.0, 30.0, 100.0)
    load_shares: tuple[float, ...] = (0.28, 0.33, 0.28, 0.11)
    real_shapes: float = 0.5  # of heads that have them
    population: float = 0.7  # of grown lesions: where old people have them
    ovoid: float = 0.6  # lesions of multiple sclerosis beside others
    fingers: float = 0.5  # across the ventricles' border (Dawson)
    juxtacortical: float = 0.4
    deep_grey: float = 0.3
    infratentorial: float = 0.25
    halo: float = 0.6  # weak brightness around lesions, not marked
    # Readers differ in how much of a halo they mark: from this share of a lesion's brightness on.
    marked: tuple[float, float] = (0.3, 0.5)
    # "range" is that and nothing else; others are whole readers, see ``lesions.readers``: one drawn
    # for each scan, or always the same one.
    reader: ReaderName = records.added("range")
    uneven_gain: float = 0.7  # lesions of one scan differ in brightness
    cavities: float = 0.15  # lacunes and infarcts, not marked
    small_lesions: float = records.added(0.0)  # of scans with lesions: 3 to 25 small ones more

    # Infarcts, a class of their own: share of the scans that have one to three. Those that come
    # with ``cavities`` are other ones, which stay unmarked: who wants infarcts marked sets that 0.
    stroke: float = records.added(0.0)
    old_stroke: float = records.added(0.35)  # of infarcts: scars, most about a cavity
    stroke_shapes: float = records.added(0.6)  # of infarcts: real people's, in heads that have them

    skull_stripped: float = 0.45
    without_t1: float = 0.2

    # Look-alikes that are never marked: how often a scan has each (0 switches it off).
    mottled: float = 0.9  # uneven cortex, white matter and deep grey
    regions: float = 0.8  # tracts, callosum, brainstem, cingulate, insula brighter than the rest
    rim: float = 0.85  # bright ventricular lining and caps
    septum: float = 0.8  # the sheet between wide ventricles brighter than white matter
    dirty: float = 0.5  # diffusely bright white matter
    flow: float = 0.6  # bright CSF
    vessels: float = 0.4  # bright points in the sulci
    perivascular: float = 0.3  # dark points in white matter
    gadolinium: float = 0.25  # T1 with bright vessels, dura and plexus

    # What scanners, resampling and brain extraction do: how often a modality has each.
    coarse: float = 0.45  # acquired in larger pixels than the scan's
    ringing: float = 0.3  # k-space cut off, not tapered
    sharpened: float = 0.4  # edges enhanced
    ghosts: float = 0.15  # copies along one axis
    bias: float = 0.8  # a smooth field over the image
    uneven_noise: float = 0.4
    noise: tuple[float, float] = (0.006, 0.09)  # standard deviation, relative to white matter
    tone_curve: float = 0.6
    saturated: float = 0.1
    quantised: float = 0.15
    misregistered: float = 0.3  # T1 a part of a pixel off
    empty_ends: float = 0.06
    narrow: float = 0.25  # nothing beyond a border of some pixels
    badly_stripped: float = 0.3  # of the skull-stripped scans

    # What a detector of the fake found missing (evaluation/realism): shares of the scans. Each has
    # a generator of its own, so that 0 draws what was drawn before it was there.
    paired_noise: float = records.added(0.0)  # T1 has less noise than FLAIR, the centre has more
    soft: float = records.added(0.0)  # borders of tissues less stepped than the labels'
    young: float = records.added(0.0)  # narrow sulci, of the scans without ``atrophy``
    calm: float = records.added(0.0)  # white and deep grey matter less mottled
    sheet: float = records.added(0.0)  # a septum also between ventricles that were not widened
    plexus: float = records.added(0.0)  # choroid plexus in the atria and along the bodies
    sulci: float = records.added(0.0)  # cortex brighter in the depth of sulci
    places: float = records.added(0.0)  # more regions than ``regions`` has, and brighter ones
    shading: float = records.added(0.0)  # white matter brighter or darker over centimetres
    levels: float = records.added(0.0)  # tissues as bright as measured ones are together


REALISTIC = Recipe(
    paired_noise=0.8,
    soft=0.3,
    young=0.5,
    calm=0.6,
    sheet=0.7,
    plexus=0.7,
    sulci=0.6,
    places=0.7,
    shading=0.7,
    levels=0.5,
)
"""Everything that was added for realism; the rest of each range stays open to what is not known."""

NAMED: dict[str, Recipe] = {"realistic": REALISTIC}
"""Recipes that have a name, beside the one that ``Recipe()`` is."""
