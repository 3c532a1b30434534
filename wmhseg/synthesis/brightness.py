"""How bright tissues and hyperintensities of one scan are: numbers for whole classes, no maps.

Intensities are relative to white matter. The ranges cover FLAIR and T1 of 1.5 and 3 tesla, spin
echo and gradient echo, young and old brains; they are wider than any one scanner's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wmhseg.synthesis import regions
from wmhseg.synthesis.heads import INDEX, TISSUES
from wmhseg.synthesis.noise import Float, between, sometimes
from wmhseg.synthesis.recipe import Recipe

GREY = ("cortex", "limbic", "cerebellar_cortex")
WHITE = ("white_matter", "wmh", "cerebellar_white_matter")
DEEP = ("thalamus", "striatum", "pallidum", "ventral_dc", "brainstem")
FLUID = ("ventricle", "fourth_ventricle", "csf")
_BLOOD = ("vessel", "dura_sinus", "choroid_plexus")


@dataclass(frozen=True)
class Channel:
    """One modality; arrays have one number a tissue class.

    Attributes:
        mean: Mean intensity.
        slow: Relative amplitude of slow unevenness.
        mottled: Relative amplitude of mottling.
        lesion: Intensity of a fully developed hyperintensity.
        fluid: Intensity of CSF.
        vessels: What bright points in the sulci add.
    """

    mean: Float
    slow: Float
    mottled: Float
    lesion: float
    fluid: float
    vessels: float


@dataclass(frozen=True)
class LookAlikes:
    """Amplitudes of what must not be marked, relative to white matter; 0 where there is none.

    Attributes:
        rim: What the ventricular lining adds in FLAIR.
        rim_mm: Its thickness.
        caps_mm: What caps at the horns add to the thickness.
        dirty: Diffuse brightness of white matter at the ventricles.
        dirty_mm: Length over which it falls.
        fibres: How far white matter just below the cortex goes towards it, 0 to 1.
        flow: Bright CSF.
        flow_level: How rare it is, in standard deviations.
        base: How much more there is at the base of the skull.
        perivascular: Dark points in white matter.
        septum: How much brighter than white matter the sheet between the ventricles is in FLAIR.
        septum_t1: How much darker in T1.
        inner, outer: Regions of white matter and cortex.
    """

    rim: float
    rim_mm: float
    caps_mm: float
    dirty: float
    dirty_mm: float
    fibres: float
    flow: float
    flow_level: float
    base: float
    perivascular: float
    septum: float
    septum_t1: float
    inner: regions.Drawn
    outer: regions.Drawn


@dataclass(frozen=True)
class Contrast:
    """All brightness of one scan; ``details``: what a recipe adds for realism, None: nothing."""

    flair: Channel
    t1: Channel
    alike: LookAlikes
    details: regions.Details | None = None


def draw_contrast(rng: np.random.Generator, recipe: Recipe) -> Contrast:
    """Draws the brightness of tissues, look-alikes and hyperintensities."""
    brain = _flair(rng)
    enhanced = rng.random() < recipe.gadolinium
    t1_brain = _t1(rng, enhanced=enhanced)
    mottled = sometimes(rng, recipe.mottled, 0, 1)
    spots = sometimes(rng, recipe.vessels, 0, 0.8)
    blood = between(rng, 0.5, 1.8)
    flair = Channel(
        mean=_table(_head(rng, dark=0.2, bright=2.2), brain),
        slow=_texture(rng, mottled, grey=0.1, deep=0.06, white=0.025),
        mottled=_texture(rng, mottled, grey=0.1, deep=0.06, white=0.035),
        lesion=1 + float(np.exp(between(rng, np.log(0.18), np.log(1.3)))),
        fluid=brain["ventricle"],
        vessels=spots,
    )
    t1 = Channel(
        mean=_table(_head(rng, dark=0.25, bright=2.4), t1_brain),
        slow=_texture(rng, mottled, grey=0.05, deep=0.05, white=0.02),
        mottled=_texture(rng, mottled, grey=0.06, deep=0.05, white=0.015),
        lesion=sometimes(rng, 0.8, 0.4, 1.0, otherwise=1.0),
        fluid=t1_brain["ventricle"],
        vessels=blood if enhanced else spots,
    )
    alike = _look_alikes(rng, recipe)
    return Contrast(flair, t1, alike, regions.draw_details(rng, recipe))


def _flair(rng: np.random.Generator) -> dict[str, float]:
    # Thick spin-echo slices show cortex as bright as white matter, 3D scans a third brighter.
    grey = between(rng, 0.92, 1.42)
    fluid = between(rng, 0.03, 0.3) if rng.random() < 0.75 else between(rng, 0.3, 0.6)
    deep = 1 + (grey - 1) * between(rng, 0.1, 0.9)
    return {
        "white_matter": 1.0,
        "wmh": 1.0,
        "cortex": grey,
        "thalamus": deep * between(rng, 0.94, 1.1),
        "striatum": deep * between(rng, 0.92, 1.1),
        "pallidum": between(rng, 0.7, 1.05),
        "limbic": grey * between(rng, 0.97, 1.2),
        "ventral_dc": between(rng, 0.88, 1.15),
        "brainstem": between(rng, 0.85, 1.25),
        "cerebellar_white_matter": between(rng, 0.88, 1.15),
        "cerebellar_cortex": grey * between(rng, 0.88, 1.1),
        "ventricle": fluid,
        "fourth_ventricle": fluid * between(rng, 0.8, 2.5),
        "csf": fluid * between(rng, 0.8, 1.8),
        "choroid_plexus": between(rng, 0.5, 2.0),
        "vessel": between(rng, 0.1, 1.4),
    }


def _t1(rng: np.random.Generator, *, enhanced: bool) -> dict[str, float]:
    spin_echo = rng.random() < 0.35  # little contrast, moderately dark fluid
    grey = between(rng, 0.82, 1.0) if spin_echo else between(rng, 0.52, 0.86)
    fluid = between(rng, 0.35, 0.8) * grey if spin_echo else between(rng, 0.08, 0.45)
    mix = between(rng, 0.0, 1.0)  # how far deep grey lies between cortex and white matter

    def deep(more: float) -> float:
        share = float(np.clip(mix + more + rng.normal(0, 0.15), 0, 1.1))
        return grey + (1 - grey) * share

    tissues = {
        "white_matter": 1.0,
        "wmh": 1.0,
        "cortex": grey,
        "thalamus": deep(0.25),
        "striatum": deep(0.0),
        "pallidum": deep(0.5),
        "limbic": grey * between(rng, 0.95, 1.1),
        "ventral_dc": between(rng, 0.82, 1.0),
        "brainstem": between(rng, 0.82, 1.05),
        "cerebellar_white_matter": between(rng, 0.9, 1.1),
        "cerebellar_cortex": grey * between(rng, 0.9, 1.1),
        "ventricle": fluid,
        "fourth_ventricle": fluid * between(rng, 0.9, 1.3),
        "csf": fluid * between(rng, 0.9, 1.4),
        "choroid_plexus": between(rng, 0.4, 1.0),
        "vessel": between(rng, 0.3, 1.4),
        "dura_sinus": between(rng, 0.1, 1.2),
    }
    blood = {name: between(rng, 1.3, 2.4) for name in _BLOOD}
    if enhanced:
        tissues |= blood
    return tissues


def _head(rng: np.random.Generator, dark: float, bright: float) -> dict[str, float]:
    """Intensities of head tissues in one modality; in a quarter of the scans they may be any."""
    usual = {
        "bone": (0.0, 0.25),
        "marrow": (0.3, 1.8),
        "scalp_fat": (0.5, bright),
        "soft_tissue": (0.35, 1.2),
        "dura_sinus": (0.1, 1.0),
    }
    odd = rng.random() < 0.25
    made = {}
    for name, number in INDEX.items():
        if number < INDEX["scalp_fat"]:
            continue
        if odd or name not in usual:
            low, high = (0.0, dark) if rng.random() < 0.35 else (0.2, bright)
            made[name] = between(rng, low, high)
        else:
            made[name] = between(rng, *usual[name])
    return made


def _table(head: dict[str, float], brain: dict[str, float]) -> Float:
    table = np.zeros(len(TISSUES), np.float32)
    for name, value in (head | brain).items():
        if name in INDEX:
            table[INDEX[name]] = value
    return table


def _texture(
    rng: np.random.Generator, amount: float, *, grey: float, deep: float, white: float
) -> Float:
    """Relative amplitude of a texture, one number a tissue class; the arguments are the largest."""
    table = np.full(len(TISSUES), 0.25 * amount, np.float32)  # anything will do for the head's
    table[INDEX["background"]] = 0
    for names, largest in ((GREY, grey), (DEEP, deep), (WHITE, white), (FLUID, 0.15)):
        value = amount * between(rng, 0, largest)
        table[[INDEX[name] for name in names]] = value
    table[INDEX["choroid_plexus"]] = amount * between(rng, 0.1, 0.5)
    return table


def _look_alikes(rng: np.random.Generator, recipe: Recipe) -> LookAlikes:
    # A lining as bright as hyperintensities is thin: raters mark thick ones.
    thick, caps = between(rng, 0.3, 1.7), between(rng, 0, 1.5)
    brightest = 0.7 / max(1.0, thick + 0.5 * caps)
    return LookAlikes(
        rim=sometimes(rng, recipe.rim, 0.03, brightest),
        rim_mm=thick,
        caps_mm=caps,
        dirty=sometimes(rng, recipe.dirty, 0.02, 0.18),
        dirty_mm=between(rng, 4, 16),
        fibres=between(rng, 0, 0.5),
        flow=sometimes(rng, recipe.flow, 0.1, 0.7),
        flow_level=between(rng, 0.6, 2.2),
        base=between(rng, 0, 1.2),
        perivascular=sometimes(rng, recipe.perivascular, 0.1, 0.5),
        septum=sometimes(rng, recipe.septum, -0.1, 0.8),
        septum_t1=between(rng, 0, 0.3),
        inner=regions.draw(rng, regions.INNER, sometimes(rng, recipe.regions, 0.4, 1.2)),
        outer=regions.draw(rng, regions.OUTER, sometimes(rng, recipe.regions, 0.4, 1.2)),
    )
