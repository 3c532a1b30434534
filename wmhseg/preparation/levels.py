"""Intensities that do not begin at 0: z-scored, shifted, scaled to [-1, 1], in Hounsfield's manner.

Brain masks, the intensity scale and registration take what is dark for 0, as it is in magnitude
images. Here a scan is shifted so that it is so. Scans that begin at 0 pass untouched.

Arrays are (slice, row, column).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wmhseg.io.images import Scan
from wmhseg.preparation import intensity

Float = npt.NDArray[np.float32]

# What one value has at the sides, as a share of them, is a background that was filled in.
_FILLED = 0.6
# Parts of tissue's brightness: what lies nearer to 0 needs no shift; a brain that begins above the
# second has been lifted from its background (the prepared ones at hand begin at 0.08 to 0.19, and
# the third is put in place of what is not known of others).
_NEAR, _LIFTED, _USUAL = 0.05, 0.25, 0.1
# Percentile that stands for the darkest voxels: fewer are strays.
_DARKEST_PERCENT = 0.1
# Share of what is not background clearly below it: less is ringing.
_BELOW = 0.02
# Shares of the voxels: of a value that stands apart, more than strays; and of what is hardly
# brighter than the darkest, where air is there (a third and more) or was cut off (below 0.02).
_STAYED, _AIR = 0.001, 0.1
_DARKEST_VALUES = 100
_SAMPLE_VOX, _LEAST_VOX = 400_000, 1000


@dataclass(frozen=True)
class Level:
    """Where the intensities of a scan begin that do not begin at 0.

    Attributes:
        floor: The value that is to become 0.
        background: The value of a background that was filled in and stayed when the rest was
            changed; None if everything moved together.
        negative: Share of the voxels beside a filled background that are below 0.
    """

    floor: float
    background: float | None
    negative: float

    def applied(self, volume: Float) -> Float:
        """Shifts a scan so that what is dark is 0."""
        # In double: a large offset leaves no room for it in float32.
        shifted = (volume.astype(np.float64) - self.floor).astype(np.float32)
        if self.background is not None:
            shifted[volume == np.float32(self.background)] = 0
        return shifted

    def told(self) -> str:
        """What was found, in words."""
        begin = f"its values begin at {self.floor:.4g} in place of 0"
        if self.background is not None:
            begin += f", beside a background of {self.background:.4g}"
        return f"{begin}, and {self.negative:.0%} of them are negative"


def find(volume: Float) -> Level | None:
    """Finds where intensities begin.

    Args:
        volume: (slice, row, column).

    Returns:
        None where they begin at 0, or nothing can be told.
    """
    if intensity.is_wrapped(volume):
        return None
    sides = np.concatenate([volume[:, [0, -1]].ravel(), volume[:, :, [0, -1]].ravel()])
    values, counts = np.unique(sides, return_counts=True)
    common = int(np.argmax(counts))
    fill = values[common] if counts[common] > _FILLED * sides.size else None
    rest = volume.reshape(-1)
    if fill is not None:
        rest = rest[rest != fill]
    rest = rest[:: max(1, rest.size // _SAMPLE_VOX)].astype(np.float64)
    if rest.size < _LEAST_VOX:
        return None
    if fill is None and _stands_apart(rest):
        fill = np.float32(rest.min())
        rest = rest[rest > rest.min()]
    darkest = float(np.percentile(rest, _DARKEST_PERCENT))
    negative = float((rest < 0).mean())
    if fill is None:
        moved = abs(darkest) > _NEAR * _brightness(rest - darkest)
        return Level(darkest, None, negative) if moved else None
    background = float(fill)
    above = _brightness(rest - background)
    if _begins_with_air(rest) and darkest - background > _NEAR * above:
        return Level(darkest - _step(rest), background, negative)
    inside = float((rest < background - _NEAR * above).mean()) > _BELOW
    if inside or darkest - background > _LIFTED * above:
        return Level(darkest - _USUAL * _brightness(rest - darkest), background, negative)
    return Level(background, None, negative) if abs(background) > _NEAR * above else None


def _stands_apart(sample: npt.NDArray[np.floating]) -> bool:
    """Whether the lowest value is one that stayed when the rest was lifted from it.

    Air is full of noise from 0 on, and some voxels of it are exactly 0.
    """
    lowest = sample.min()
    others = sample[sample > lowest]
    if others.size < _LEAST_VOX or sample.size - others.size < _STAYED * sample.size:
        return False
    darkest = float(np.percentile(others, _DARKEST_PERCENT))
    tissue = _brightness(others - darkest)
    return bool(tissue > 0 and darkest - lowest > _NEAR * tissue)


def _begins_with_air(rest: npt.NDArray[np.floating]) -> bool:
    """Whether what is not background begins with air, and not with a brain whose air is gone."""
    darkest = float(np.percentile(rest, _DARKEST_PERCENT))
    dark = rest < darkest + _NEAR * _brightness(rest - darkest)
    return float(dark.mean()) > _AIR


def _step(rest: npt.NDArray[np.floating]) -> float:
    """Between neighbouring values of the darkest: the first one above what was 0 lies so far up."""
    apart = np.diff(np.unique(rest)[:_DARKEST_VALUES])
    return float(apart.min()) if apart.size else 0.0


def _brightness(rest: npt.NDArray[np.floating]) -> float:
    """What stands for the brightness of tissue."""
    with np.errstate(over="ignore"):
        return intensity.tissue_median(rest.astype(np.float32))


def levelled(scan: Scan, *, adapt: bool) -> tuple[Scan, list[str]]:
    """Shifts a scan whose intensities do not begin at 0, or only says so.

    Args:
        scan: The scan.
        adapt: Whether it may be shifted.

    Returns:
        The scan, and sentences for the report.
    """
    level = find(scan.array)
    if level is None:
        return scan, []
    defect = f"The {scan.name} image is no plain magnitude image: {level.told()}"
    if not adapt:
        return scan, [f"{defect}. It was not adapted: do not trust the mask."]
    shifted = replace(scan, array=level.applied(scan.array))
    return shifted, [f"{defect}. It was shifted so that what is dark is 0."]
