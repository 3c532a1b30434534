"""From anatomy and lesions to FLAIR and T1 intensities, with the look-alikes that stay 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wmhseg.training.anatomy import Anatomy
from wmhseg.training.heads import INDEX, TISSUES, Mask
from wmhseg.training.noise import Float, between


@dataclass(frozen=True)
class Contrast:
    """Mean intensity per tissue class, FLAIR and T1, and of hyperintensities."""

    flair: Float
    t1: Float
    lesion_flair: float
    lesion_t1: float


def draw_contrast(rng: np.random.Generator) -> Contrast:
    """Draws intensities per tissue around plausible ratios to white matter."""
    grey_f, grey_t = between(rng, 1.0, 1.42), between(rng, 0.52, 1.0)
    fluid_f, fluid_t = between(rng, 0.03, 0.45), between(rng, 0.1, 0.5)
    deep_t = between(rng, 0.0, 1.0)  # how far deep grey lies between cortex and white matter

    def deep() -> float:
        mix = float(np.clip(deep_t + rng.normal(0, 0.2), 0, 1))
        return grey_t + (1 - grey_t) * mix

    brain: dict[str, tuple[float, float]] = {
        "background": (0.0, 0.0),
        "white_matter": (1.0, 1.0),
        "wmh": (1.0, 1.0),
        "cortex": (grey_f, grey_t),
        "thalamus": (between(rng, 0.95, 1.25), deep()),
        "striatum": (grey_f * between(rng, 0.85, 1.05), deep()),
        "pallidum": (between(rng, 0.7, 1.1), deep() * between(rng, 0.95, 1.05)),
        "limbic": (grey_f * between(rng, 0.95, 1.2), grey_t * between(rng, 0.95, 1.1)),
        "ventral_dc": (between(rng, 0.9, 1.2), between(rng, 0.8, 1.0)),
        "brainstem": (between(rng, 0.88, 1.3), between(rng, 0.82, 1.05)),
        "cerebellar_white_matter": (between(rng, 0.88, 1.2), between(rng, 0.9, 1.1)),
        "cerebellar_cortex": (grey_f * between(rng, 0.88, 1.12), grey_t * between(rng, 0.9, 1.1)),
        "ventricle": (fluid_f, fluid_t),
        "fourth_ventricle": (fluid_f * between(rng, 0.8, 2.5), fluid_t),
        "csf": (fluid_f * between(rng, 0.8, 1.8), fluid_t * between(rng, 0.9, 1.4)),
        "choroid_plexus": (between(rng, 0.4, 1.8), between(rng, 0.3, 1.4)),
        "vessel": (between(rng, 0.1, 1.4), between(rng, 0.3, 1.6)),
    }
    flair = np.zeros(len(TISSUES), np.float32)
    t1 = np.zeros(len(TISSUES), np.float32)
    for name, number in INDEX.items():
        if name in brain:
            flair[number], t1[number] = brain[name]
        else:
            dark = rng.random() < (0.8 if name == "bone" else 0.35)
            flair[number] = between(rng, 0, 0.2) if dark else between(rng, 0.2, 2.2)
            t1[number] = between(rng, 0, 0.25) if dark else between(rng, 0.2, 2.4)
    lesion = max(between(rng, 1.22, 2.2), grey_f * between(rng, 1.04, 1.6))
    return Contrast(flair, t1, lesion, between(rng, 0.5, 1.02))


def paint(
    rng: np.random.Generator, anatomy: Anatomy, lesions: Mask, contrast: Contrast
) -> tuple[Float, Float]:
    """Turns anatomy into FLAIR and T1 before averaging over slices."""
    tissue, near, noise = anatomy.tissue, anatomy.ventricle_mm, anatomy.noise
    flair, t1 = contrast.flair[tissue], contrast.t1[tissue]
    white = (tissue == INDEX["white_matter"]) | (tissue == INDEX["wmh"])
    grey = (tissue == INDEX["cortex"]) | (tissue == INDEX["limbic"])
    slow, mid = noise(between(rng, 20, 45)), noise(between(rng, 5, 12))
    # Look-alikes that stay 0: bright cortex, dirty white matter, a normal rim and caps,
    # pulsation in CSF, uneven choroid plexus.
    uneven = between(rng, 0, 0.13) * slow + between(rng, 0, 0.12) * mid
    flair = np.where(grey, flair * (1 + uneven), flair)
    flair = np.where(white, flair * (1 + between(rng, 0, 0.05) * mid), flair)
    if rng.random() < 0.5:
        halo = between(rng, 0, 0.22) * np.exp(-near / between(rng, 4, 14))
        flair = np.where(white, flair * (1 + halo * (1 + 0.4 * slow)), flair)
    if rng.random() < 0.8:
        thick = between(rng, 0.3, 2.3) * (1 + 0.35 * mid)
        rim = white & (near < thick)
        flair = np.where(rim, flair * between(rng, 1.0, 1.45), flair)
        t1 = np.where(rim, t1 * between(rng, 0.88, 1.0), t1)
    fluid = np.isin(tissue, [INDEX[n] for n in ("ventricle", "fourth_ventricle", "csf")])
    if rng.random() < 0.5:
        flow = np.clip(slow + 0.5 * mid - between(rng, 0.8, 2.2), 0, None)
        flair = np.where(fluid, flair + between(rng, 0, 0.9) * flow, flair)
    plexus = tissue == INDEX["choroid_plexus"]
    flair = np.where(plexus, flair * np.clip(1 + 0.4 * mid, 0.2, 2), flair)

    bright = 1 + (contrast.lesion_flair - 1) * (1 + between(rng, 0, 0.2) * mid)
    flair = np.where(lesions, np.maximum(bright, 1.08 * flair), flair)
    t1 = np.where(lesions, contrast.lesion_t1 * (1 + 0.05 * mid), t1)
    return flair.astype(np.float32), t1.astype(np.float32)
