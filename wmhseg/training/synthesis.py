"""Synthetic FLAIR and T1 scans with known white matter hyperintensities, from label maps.

No real image is used: tissue intensities are drawn at random around plausible ratios, lesions are
grown from smooth noise, a periventricular field and ellipsoids, and the result is degraded as
scanners do (thick slices, blur, bias, noise). Arrays are (slice, row, column).

Source of the label maps: B. Billot et al., SynthSeg, Medical Image Analysis 86 (2023) 102789.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wmhseg import geometry, images, intensity
from wmhseg.errors import InputError, MissingFileError
from wmhseg.preset import METHODS

Float = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

# Tissue classes of this module <- label numbers of the maps (FreeSurfer, head tissues 5xx).
TISSUES: dict[str, tuple[int, ...]] = {
    "background": (0,),
    "white_matter": (2, 41, 85),
    "cortex": (3, 42),
    "thalamus": (10, 49),
    "striatum": (11, 50, 12, 51, 26, 58),
    "pallidum": (13, 52),
    "limbic": (17, 53, 18, 54),
    "ventral_dc": (28, 60),
    "brainstem": (16,),
    "cerebellar_white_matter": (7, 46),
    "cerebellar_cortex": (8, 47),
    "ventricle": (4, 43, 5, 44, 14, 72),
    "fourth_ventricle": (15,),
    "csf": (24,),
    "choroid_plexus": (136, 137, 163, 164),
    "vessel": (30, 62),
    "wmh": (25, 57),
    "scalp_fat": (511,),
    "soft_tissue": (507,),
    "bone": (515,),
    "marrow": (516,),
    "dura_sinus": (514,),
    "head_502": (502,),
    "head_506": (506,),
    "head_508": (508,),
    "head_509": (509,),
    "head_512": (512,),
    "head_530": (530,),
}
INDEX = {name: number for number, name in enumerate(TISSUES)}
_N_BRAIN = INDEX["scalp_fat"]
_IN_PLANE = np.array([False, True, False])[:, None, None]
_LATERAL = (4, 43, 5, 44, 136, 137, 163, 164)


@dataclass(frozen=True)
class Head:
    """One person's anatomy, ready to be sampled; all arrays (slice, row, column) at 1 mm.

    Attributes:
        tissue: Tissue class, see TISSUES.
        ventricle_mm: Distance to the lateral ventricles, in quarters of a millimetre.
        depth_mm: Depth inside white matter, in quarters of a millimetre.
        pial_mm: Distance to the outer CSF, in quarters of a millimetre.
        centre: Centre of the brain in voxels.
        extent: First and last slice that holds a good part of the brain.
    """

    tissue: Bytes
    ventricle_mm: Bytes
    depth_mm: Bytes
    pial_mm: Bytes
    centre: tuple[float, float, float]
    extent: tuple[int, int]


def load_head(labels: npt.NDArray[np.integer]) -> Head:
    """Prepares a whole-head label map.

    Args:
        labels: (slice, row, column), 1 mm, LPS, label numbers as in TISSUES.

    Returns:
        The head. Label numbers that TISSUES does not know become soft tissue.

    Raises:
        InputError: If it holds hardly any brain.
    """
    table = np.full(int(labels.max()) + 1, INDEX["soft_tissue"], np.uint8)
    for name, numbers in TISSUES.items():
        for number in numbers:
            if number < table.size:
                table[number] = INDEX[name]
    tissue = table[labels]

    def quarters(mask: Mask) -> Bytes:
        distance = ndimage.distance_transform_edt(mask)
        rounded: Bytes = np.minimum(np.round(distance * 4), 255).astype(np.uint8)
        return rounded

    white = (tissue == INDEX["white_matter"]) | (tissue == INDEX["wmh"])
    brain = (tissue > 0) & (tissue < _N_BRAIN) & (tissue != INDEX["csf"])
    rows = np.flatnonzero(brain.sum((1, 2)) > 1500)
    if rows.size < 2:
        raise InputError(
            "A whole-head label map at 1 mm, numbered as in TISSUES, was expected",
            received=f"{rows.size} slices with more than 15 cm2 of brain",
        )
    middle = ndimage.center_of_mass(brain[rows[0] : rows[-1]])
    return Head(
        tissue=tissue,
        ventricle_mm=quarters(~np.isin(labels, _LATERAL)),
        depth_mm=quarters(white),
        pial_mm=quarters(tissue != INDEX["csf"]),
        centre=(float(rows[0] + middle[0]), float(middle[1]), float(middle[2])),
        extent=(int(rows[0]), int(rows[-1])),
    )


def load_heads(folder: Path) -> list[Head]:
    """Loads every label map (``*.nii.gz``, 1 mm) of a folder, in the order of their names.

    Raises:
        MissingFileError: If the folder holds none.
        InputError: If one cannot be read.
    """
    paths = sorted(folder.glob("*.nii.gz"))
    if not paths:
        raise MissingFileError(
            "A folder of whole-head label maps (*.nii.gz) was expected", received=folder
        )
    heads = []
    for path in paths:
        stored, grid = images.read_labels(path)
        way = geometry.conform(grid, (16, 16), "LPS")
        heads.append(load_head(way.orient(stored).astype(np.int32)))
    return heads


@dataclass(frozen=True)
class Recipe:
    """The ranges that scans are drawn from; lengths in mm, intensities relative to white matter."""

    field: tuple[int, int] = METHODS["synthetic"].preprocessing.field
    slices: int = 16
    thickness_mm: tuple[float, ...] = (0.9, 1.0, 1.2, 3.0, 3.0, 4.0, 5.0, 6.5)
    pixel_mm: tuple[float, float] = (0.85, 1.15)
    tilt_deg: float = 12.0
    zoom: tuple[float, float] = (0.87, 1.13)
    warp_mm: float = 2.5
    without_lesions: float = 0.12
    skull_stripped: float = 0.45
    without_t1: float = 0.2


@dataclass(frozen=True)
class SyntheticScan:
    """A scan as the network sees it.

    Attributes:
        inputs: (slice, row, column, channel) float32, z-scored; channel 0 FLAIR, 1 T1.
        target: (slice, row, column) bool, the hyperintensities.
    """

    inputs: Float
    target: Mask


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


class _Noise:
    """Smooth random fields on the points of one scan, made by separable linear maps."""

    def __init__(self, rng: np.random.Generator, axes_mm: Sequence[Float]) -> None:
        self.rng = rng
        self.axes = axes_mm

    def __call__(self, wavelength_mm: float) -> Float:
        """Draws a field of about zero mean and unit variance, (slice, row, column)."""
        maps = [_spline_map(axis, wavelength_mm) for axis in self.axes]
        low = self.rng.standard_normal([m.shape[1] for m in maps]).astype(np.float32)
        out = np.tensordot(maps[0], low, 1)  # (slice, y, x)
        out = np.matmul(maps[1], out)  # (slice, row, x)
        out = np.matmul(out, maps[2].T)  # (slice, row, column)
        field: Float = (out / max(float(out.std()), 1e-6)).astype(np.float32)
        return field


def _spline_map(axis_mm: Float, wavelength_mm: float) -> Float:
    """Cubic B-spline weights from knots ``wavelength_mm`` apart to the points of an axis."""
    position = (axis_mm - axis_mm.min()) / wavelength_mm
    knots = np.arange(-1, int(np.ceil(position.max())) + 2)
    distance = np.abs(position[:, None] - knots[None, :])
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.clip(2 - distance, 0, None) ** 3 / 6
    weights: Float = np.where(distance < 1, inner, outer).astype(np.float32)
    return weights


@dataclass(frozen=True)
class _Anatomy:
    """What lies at every point of a scan before slices are averaged."""

    tissue: Bytes
    ventricle_mm: Float
    depth_mm: Float
    noise: _Noise
    axes_mm: tuple[Float, Float, Float]


def _rotation(rng: np.random.Generator, tilt_deg: float) -> Float:
    a, b, c = np.deg2rad(rng.uniform(-tilt_deg, tilt_deg, 3))
    about_z = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    about_y = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    about_x = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
    return (np.array(about_z) @ np.array(about_y) @ np.array(about_x)).astype(np.float32)


def _sample_anatomy(
    rng: np.random.Generator, head: Head, recipe: Recipe, thickness_mm: float, parts: int
) -> _Anatomy:
    """Draws a pose, a deformation and degrees of atrophy, and looks the tissue up."""
    zoom = rng.uniform(*recipe.zoom, 3)
    pixel = _between(rng, *recipe.pixel_mm) * np.array([1, _between(rng, 0.93, 1.07)])
    low = (head.extent[0] - head.centre[0]) * zoom[0]
    high = (head.extent[1] - head.centre[0]) * zoom[0]
    places = low + (high - low) * (np.arange(recipe.slices) + rng.random()) / recipe.slices
    within = (np.arange(parts) - (parts - 1) / 2) * thickness_mm / parts
    z = (places[:, None] + within).ravel().astype(np.float32)
    shift = rng.uniform(-8, 8, 2)
    y, x = (
        ((np.arange(n) - n / 2) * p + s).astype(np.float32)
        for n, p, s in zip(recipe.field, pixel, shift, strict=True)
    )
    noise = _Noise(rng, (z, y, x))
    matrix = _rotation(rng, recipe.tilt_deg) / zoom[None, :].astype(np.float32)
    if rng.random() < 0.5:
        matrix[2] *= -1  # mirror left and right
    amplitude = _between(rng, 0, recipe.warp_mm)
    yy = y[None, :, None] + amplitude * noise(_between(rng, 25, 60))
    xx = x[None, None, :] + amplitude * noise(_between(rng, 25, 60))
    zz = z[:, None, None]
    index = []
    for axis in range(3):
        m = matrix[axis]
        place = m[0] * zz + m[1] * yy + m[2] * xx + np.float32(head.centre[axis] + 0.5)
        index.append(place.astype(np.int32))
    shape = head.tissue.shape
    inside = np.ones(index[0].shape, bool)
    for axis in range(3):
        inside &= (index[axis] >= 0) & (index[axis] < shape[axis])
        np.clip(index[axis], 0, shape[axis] - 1, out=index[axis])
    flat = (index[0] * shape[1] + index[1]) * shape[2] + index[2]
    tissue = np.where(inside, head.tissue.ravel()[flat], 0).astype(np.uint8)
    ventricle = head.ventricle_mm.ravel()[flat] * np.float32(0.25)
    depth = head.depth_mm.ravel()[flat] * np.float32(0.25)

    if rng.random() < 0.5:  # the maps are of younger heads: widen the ventricles
        growth = _between(rng, 0.5, 5.5) * (1 + 0.35 * noise(18))
        ventricle = ventricle - growth
        soft = np.isin(tissue, [INDEX[n] for n in ("white_matter", "wmh", "striatum", "thalamus")])
        tissue[soft & (ventricle <= 0)] = INDEX["ventricle"]
        ventricle = np.maximum(ventricle, 0)
    if rng.random() < 0.4:  # and the sulci
        pial = head.pial_mm.ravel()[flat] * np.float32(0.25)
        thin = _between(rng, 0.5, 1.6) * (1 + 0.3 * noise(12))
        tissue[(tissue == INDEX["cortex"]) & (pial < thin)] = INDEX["csf"]
    return _Anatomy(tissue, ventricle, depth, noise, (z, y, x))


def _paint_ellipsoids(
    rng: np.random.Generator,
    out: Mask,
    allowed: Mask,
    axes_mm: tuple[Float, Float, Float],
    radii_mm: npt.NDArray[np.float64],
) -> None:
    """Paints one randomly turned ellipsoid for each radius at a random allowed point."""
    candidates = np.flatnonzero(allowed[:, ::3, ::3])
    if candidates.size == 0:
        return
    coarse = allowed[:, ::3, ::3].shape
    places = np.unravel_index(rng.choice(candidates, len(radii_mm)), coarse)
    for radius, k, i, j in zip(radii_mm, places[0], places[1] * 3, places[2] * 3, strict=True):
        centre = [axes_mm[0][k], axes_mm[1][i], axes_mm[2][j]]
        reach = 1.7 * radius
        spans = [
            np.flatnonzero(np.abs(axis - c) <= reach)
            for axis, c in zip(axes_mm, centre, strict=True)
        ]
        if any(span.size == 0 for span in spans):
            continue
        box = tuple(slice(span[0], span[-1] + 1) for span in spans)
        grid = np.stack(
            np.meshgrid(
                *(axis[part] - c for axis, part, c in zip(axes_mm, box, centre, strict=True)),
                indexing="ij",
            ),
            -1,
        )
        turn = _rotation(rng, 90)
        stretch = rng.uniform(0.65, 1.55, 3)
        local = (grid @ turn) / (radius * stretch)
        ball = (local**2).sum(-1) < 1 + 0.25 * np.sin(3 * local[..., 0] + rng.random() * 6)
        out[box] |= ball & allowed[box]


def _grow_lesions(rng: np.random.Generator, anatomy: _Anatomy, recipe: Recipe) -> Mask:
    """Draws where the hyperintensities are, (sub-slice, row, column)."""
    tissue, near = anatomy.tissue, anatomy.ventricle_mm
    noise = anatomy.noise
    lesions = np.zeros(tissue.shape, bool)
    if rng.random() < recipe.without_lesions:
        return lesions
    real = tissue == INDEX["wmh"]  # hyperintensities that the people of the maps really had
    white = (tissue == INDEX["white_matter"]) | real
    style = rng.choice(3, p=[0.45, 0.3, 0.25])  # small-vessel disease, multiple sclerosis, mixed
    load = _between(rng, 0, 1)
    if style in (0, 2):
        large, small = noise(_between(rng, 10, 25)), noise(_between(rng, 3, 8))
        jitter = 0.25 * noise(3)
        score = 1.6 * np.exp(-near / (2 + 9 * load)) + 0.55 * large + 0.25 * small + jitter
        score += _between(rng, 0, 0.9) * real
        lesions |= white & (score > 2.1 - 1.1 * load) & (near < 4 + 25 * load)
        if rng.random() < 0.6:
            deep = noise(_between(rng, 3, 7)) + jitter + 0.3 * large
            lesions |= (
                white & (anatomy.depth_mm > 1) & (deep > 3.0 - 1.1 * load * _between(rng, 0.6, 1))
            )
    if style in (1, 2):
        periventricular = white & (near < 6)
        radii = rng.uniform(2.0, 3.5 + 4 * load, rng.poisson(2 + 14 * load))
        _paint_ellipsoids(rng, lesions, periventricular, anatomy.axes_mm, radii)
        radii = rng.uniform(1.5, 3.0 + 3 * load, rng.poisson(2 + 14 * load))
        _paint_ellipsoids(rng, lesions, white, anatomy.axes_mm, radii)
        cortex = tissue == INDEX["cortex"]
        juxtacortical = (white & (anatomy.depth_mm < 2)) | (cortex & (rng.random() < 0.1))
        radii = rng.uniform(1.2, 3.5, rng.poisson(4 * load))
        _paint_ellipsoids(rng, lesions, juxtacortical, anatomy.axes_mm, radii)
    radii = rng.uniform(0.9, 2.4, rng.poisson(3 + 25 * load * rng.random()))
    _paint_ellipsoids(rng, lesions, white & (anatomy.depth_mm > 0.9), anatomy.axes_mm, radii)
    if rng.random() < 0.3:
        rare = [INDEX[n] for n in ("brainstem", "thalamus", "striatum", "cerebellar_white_matter")]
        radii = rng.uniform(1.2, 3.5, rng.poisson(3))
        _paint_ellipsoids(rng, lesions, np.isin(tissue, rare), anatomy.axes_mm, radii)
    return lesions


@dataclass(frozen=True)
class _Contrast:
    """Mean intensity per tissue class, FLAIR and T1, and of hyperintensities."""

    flair: Float
    t1: Float
    lesion_flair: float
    lesion_t1: float


def _draw_contrast(rng: np.random.Generator) -> _Contrast:
    """Draws intensities per tissue around plausible ratios to white matter."""
    grey_f, grey_t = _between(rng, 1.0, 1.42), _between(rng, 0.52, 1.0)
    fluid_f, fluid_t = _between(rng, 0.03, 0.45), _between(rng, 0.1, 0.5)
    deep_t = _between(rng, 0.0, 1.0)  # how far deep grey lies between cortex and white matter

    def deep() -> float:
        mix = float(np.clip(deep_t + rng.normal(0, 0.2), 0, 1))
        return grey_t + (1 - grey_t) * mix

    brain: dict[str, tuple[float, float]] = {
        "background": (0.0, 0.0),
        "white_matter": (1.0, 1.0),
        "wmh": (1.0, 1.0),
        "cortex": (grey_f, grey_t),
        "thalamus": (_between(rng, 0.95, 1.25), deep()),
        "striatum": (grey_f * _between(rng, 0.85, 1.05), deep()),
        "pallidum": (_between(rng, 0.7, 1.1), deep() * _between(rng, 0.95, 1.05)),
        "limbic": (grey_f * _between(rng, 0.95, 1.2), grey_t * _between(rng, 0.95, 1.1)),
        "ventral_dc": (_between(rng, 0.9, 1.2), _between(rng, 0.8, 1.0)),
        "brainstem": (_between(rng, 0.88, 1.3), _between(rng, 0.82, 1.05)),
        "cerebellar_white_matter": (_between(rng, 0.88, 1.2), _between(rng, 0.9, 1.1)),
        "cerebellar_cortex": (grey_f * _between(rng, 0.88, 1.12), grey_t * _between(rng, 0.9, 1.1)),
        "ventricle": (fluid_f, fluid_t),
        "fourth_ventricle": (fluid_f * _between(rng, 0.8, 2.5), fluid_t),
        "csf": (fluid_f * _between(rng, 0.8, 1.8), fluid_t * _between(rng, 0.9, 1.4)),
        "choroid_plexus": (_between(rng, 0.4, 1.8), _between(rng, 0.3, 1.4)),
        "vessel": (_between(rng, 0.1, 1.4), _between(rng, 0.3, 1.6)),
    }
    flair = np.zeros(len(TISSUES), np.float32)
    t1 = np.zeros(len(TISSUES), np.float32)
    for name, number in INDEX.items():
        if name in brain:
            flair[number], t1[number] = brain[name]
        else:
            dark = rng.random() < (0.8 if name == "bone" else 0.35)
            flair[number] = _between(rng, 0, 0.2) if dark else _between(rng, 0.2, 2.2)
            t1[number] = _between(rng, 0, 0.25) if dark else _between(rng, 0.2, 2.4)
    lesion = max(_between(rng, 1.22, 2.2), grey_f * _between(rng, 1.04, 1.6))
    return _Contrast(flair, t1, lesion, _between(rng, 0.5, 1.02))


def _paint(
    rng: np.random.Generator, anatomy: _Anatomy, lesions: Mask, contrast: _Contrast
) -> tuple[Float, Float]:
    """Turns anatomy into FLAIR and T1 before averaging over slices."""
    tissue, near, noise = anatomy.tissue, anatomy.ventricle_mm, anatomy.noise
    flair, t1 = contrast.flair[tissue], contrast.t1[tissue]
    white = (tissue == INDEX["white_matter"]) | (tissue == INDEX["wmh"])
    grey = (tissue == INDEX["cortex"]) | (tissue == INDEX["limbic"])
    slow, mid = noise(_between(rng, 20, 45)), noise(_between(rng, 5, 12))
    # Look-alikes that stay 0: bright cortex, dirty white matter, a normal rim and caps,
    # pulsation in CSF, uneven choroid plexus.
    uneven = _between(rng, 0, 0.13) * slow + _between(rng, 0, 0.12) * mid
    flair = np.where(grey, flair * (1 + uneven), flair)
    flair = np.where(white, flair * (1 + _between(rng, 0, 0.05) * mid), flair)
    if rng.random() < 0.5:
        halo = _between(rng, 0, 0.22) * np.exp(-near / _between(rng, 4, 14))
        flair = np.where(white, flair * (1 + halo * (1 + 0.4 * slow)), flair)
    if rng.random() < 0.8:
        thick = _between(rng, 0.3, 2.3) * (1 + 0.35 * mid)
        rim = white & (near < thick)
        flair = np.where(rim, flair * _between(rng, 1.0, 1.45), flair)
        t1 = np.where(rim, t1 * _between(rng, 0.88, 1.0), t1)
    fluid = np.isin(tissue, [INDEX[n] for n in ("ventricle", "fourth_ventricle", "csf")])
    if rng.random() < 0.5:
        flow = np.clip(slow + 0.5 * mid - _between(rng, 0.8, 2.2), 0, None)
        flair = np.where(fluid, flair + _between(rng, 0, 0.9) * flow, flair)
    plexus = tissue == INDEX["choroid_plexus"]
    flair = np.where(plexus, flair * np.clip(1 + 0.4 * mid, 0.2, 2), flair)

    bright = 1 + (contrast.lesion_flair - 1) * (1 + _between(rng, 0, 0.2) * mid)
    flair = np.where(lesions, np.maximum(bright, 1.08 * flair), flair)
    t1 = np.where(lesions, contrast.lesion_t1 * (1 + 0.05 * mid), t1)
    return flair.astype(np.float32), t1.astype(np.float32)


def _strip(rng: np.random.Generator, anatomy: _Anatomy) -> Mask:
    """Draws what a brain extraction would have kept."""
    tissue = anatomy.tissue
    keep = (tissue > 0) & (tissue < _N_BRAIN)
    if rng.random() < 0.6:  # tight masks lose the outer CSF
        keep &= tissue != INDEX["csf"]
        # Closing by a few pixels, as brain extraction gives smooth outlines.
        cross = ndimage.generate_binary_structure(3, 1) & _IN_PLANE
        keep = ndimage.binary_closing(keep, cross, iterations=int(rng.integers(2, 7)))
    return keep


def _acquire(rng: np.random.Generator, image: Float, noise: _Noise, keep: Mask | None) -> Float:
    """Applies texture, blur, bias field and Rician noise to averaged slices."""
    image = image * (1 + _between(rng, 0, 0.04) * noise(3))
    blur = _between(rng, 0.25, 0.9) if rng.random() < 0.85 else _between(rng, 0.9, 1.3)
    image = ndimage.gaussian_filter(image, (0, blur, blur))
    image = image * np.exp(_between(rng, 0, 0.12) * noise(_between(rng, 45, 90)))
    sigma = _between(rng, 0.004, 0.06)
    real = image + rng.normal(0, sigma, image.shape)
    imaginary = rng.normal(0, sigma, image.shape)
    image = np.sqrt(real**2 + imaginary**2).astype(np.float32)
    if rng.random() < 0.4:  # interpolated noise of resampled images
        soft = _between(rng, 0.3, 0.7)
        image = ndimage.gaussian_filter(image, (0, soft, soft))
    if keep is not None:
        image = image * keep
    image = image ** np.float32(_between(rng, 0.85, 1.2))
    if rng.random() < 0.1:  # saturated bright end
        image = np.minimum(image, np.percentile(image, _between(rng, 98.5, 99.8)))
    return image.astype(np.float32)


def normalise(rng: np.random.Generator, image: Float) -> Float:
    """Masks and z-scores a synthetic scan as inference does, with a jittered threshold.

    The jitter stands for scans whose own scale puts the fixed threshold higher or lower.
    """
    method = METHODS["synthetic"].preprocessing
    threshold = method.flair_threshold
    scaled = image * np.float32(intensity.scale_factor(image, threshold))
    if method.ceiling is not None:
        scaled = intensity.limit(scaled, method.ceiling)
    cut = threshold * float(np.exp(rng.uniform(-0.6, 0.6)))
    mask = intensity.brain_mask(scaled, cut, largest_component=method.largest_component)
    values = intensity.zscore(scaled, mask, name="synthetic")
    return values if method.clip is None else np.clip(values, *method.clip)


@dataclass(frozen=True)
class Drawing:
    """A synthetic scan before normalisation; all arrays (slice, row, column).

    Attributes:
        flair: FLAIR intensities, white matter near 1.
        t1: T1 intensities, white matter near 1.
        target: The hyperintensities: voxels at least half full.
    """

    flair: Float
    t1: Float
    target: Mask


def draw_scan(rng: np.random.Generator, heads: Sequence[Head], recipe: Recipe) -> Drawing:
    """Draws the images of one scan.

    Args:
        rng: Source of all randomness: the same state gives the same scan.
        heads: Anatomies to choose from.
        recipe: Ranges to draw from.

    Returns:
        ``recipe.slices`` slices spread evenly over the brain.
    """
    head = heads[int(rng.integers(len(heads)))]
    thickness = float(rng.choice(recipe.thickness_mm))
    parts = 2 if thickness < 2 else 3
    anatomy = _sample_anatomy(rng, head, recipe, thickness, parts)
    lesions = _grow_lesions(rng, anatomy, recipe)
    flair, t1 = _paint(rng, anatomy, lesions, _draw_contrast(rng))
    keep: Mask | None = None
    if rng.random() < recipe.skull_stripped:
        inside = _strip(rng, anatomy)
        keep = inside.reshape(recipe.slices, parts, *recipe.field).mean(1) >= 0.5

    def slab(points: npt.NDArray[np.generic]) -> Float:
        shape = (recipe.slices, parts, *recipe.field)
        mean: Float = points.reshape(shape).mean(1, dtype=np.float32).astype(np.float32)
        return mean

    z = anatomy.axes_mm[0].reshape(recipe.slices, parts).mean(1)
    noise = _Noise(rng, (z, *anatomy.axes_mm[1:]))
    volumes = [_acquire(rng, slab(image), noise, keep) for image in (flair, t1)]
    if rng.random() < 0.15:  # registration is not perfect
        volumes[1] = np.roll(volumes[1], tuple(rng.integers(-1, 2, 2)), (1, 2))
    return Drawing(volumes[0], volumes[1], slab(lesions) >= 0.5)


def make_scan(rng: np.random.Generator, heads: Sequence[Head], recipe: Recipe) -> SyntheticScan:
    """Draws one scan as the network sees it; see ``draw_scan``."""
    drawing = draw_scan(rng, heads, recipe)
    inputs = np.stack([normalise(rng, volume) for volume in (drawing.flair, drawing.t1)], -1)
    if rng.random() < recipe.without_t1:
        inputs[..., 1] = 0
    return SyntheticScan(inputs, drawing.target)
