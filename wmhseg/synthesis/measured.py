"""Brightness as it was measured on real scans: how tissues go together, and how even they are.

``brightness`` draws each tissue from a range of its own. Real scans have pairs: where the cortex is
bright, so are cerebellum and deep grey matter; a T1 scan with a dark cortex has dark fluid. The
mean and covariance of the logarithms of ten levels (relative to deep white matter, scans of five
sources, each source counting alike, shrunk towards its diagonal) were made by
``python -m evaluation.realism.levels``; only these numbers are of the scans.

Sources of the scans: see NOTICE.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from wmhseg.synthesis.brightness import DEEP, WHITE, Channel, Contrast
from wmhseg.synthesis.heads import INDEX
from wmhseg.synthesis.noise import Float, apart, between
from wmhseg.synthesis.recipe import Recipe

_MEASURED = 2**31 + 5
_WIDER = 1.3
"""Few scans were measured: others differ more."""

LEVELS = ("cortex", "deep", "brainstem", "cerebellum", "fluid")
"""Of FLAIR, then of T1. ``deep`` is the median of the basal ganglia, thalamus and capsules, of
``cerebellum`` that of its cortex and white matter."""

# fmt: off
MEAN = np.array(
    [0.1014, 0.0443, 0.0511, 0.1191, -1.8017, -0.3265, -0.0005, -0.0172, -0.1274, -1.6996]
)
COVARIANCE = np.array([
    [0.0051, 0.0008, 0.0005, 0.0008, 0.0011, -0.0001, -0.0006, -0.0004, -0.0006, -0.0198],
    [0.0008, 0.0034, 0.0035, 0.0019, -0.0034, -0.0014, 0.0005, 0.0010, -0.0013, -0.0008],
    [0.0005, 0.0035, 0.0136, 0.0031, -0.0001, -0.0042, 0.0012, 0.0019, -0.0028, -0.0158],
    [0.0008, 0.0019, 0.0031, 0.0061, -0.0020, -0.0008, 0.0008, 0.0012, -0.0004, -0.0018],
    [0.0011, -0.0034, -0.0001, -0.0020, 0.1997, -0.0040, -0.0015, -0.0003, 0.0014, -0.1110],
    [-0.0001, -0.0014, -0.0042, -0.0008, -0.0040, 0.0064, -0.0005, -0.0001, 0.0025, 0.0239],
    [-0.0006, 0.0005, 0.0012, 0.0008, -0.0015, -0.0005, 0.0009, 0.0005, -0.0001, 0.0033],
    [-0.0004, 0.0010, 0.0019, 0.0012, -0.0003, -0.0001, 0.0005, 0.0023, 0.0001, 0.0100],
    [-0.0006, -0.0013, -0.0028, -0.0004, 0.0014, 0.0025, -0.0001, 0.0001, 0.0059, 0.0099],
    [-0.0198, -0.0008, -0.0158, -0.0018, -0.1110, 0.0239, 0.0033, 0.0100, 0.0099, 0.7890],
])
# fmt: on


def applied(rng: np.random.Generator, contrast: Contrast, recipe: Recipe) -> Contrast:
    """Draws brightness as measured, in the shares of scans that the recipe says.

    Args:
        rng: Whose state goes on as if nothing had been drawn.
        contrast: As drawn from ranges; what was not measured stays.
        recipe: How often.
    """
    if not (recipe.calm or recipe.levels):
        return contrast
    calm, levels = apart(rng, _MEASURED).spawn(2)
    if calm.random() < recipe.calm:
        left = between(calm, 0.0, 0.5)
        contrast = replace(
            contrast, flair=_calmed(contrast.flair, left), t1=_calmed(contrast.t1, left)
        )
    if levels.random() < recipe.levels:
        drawn = np.exp(levels.multivariate_normal(MEAN, _WIDER**2 * COVARIANCE, method="cholesky"))
        contrast = replace(
            contrast,
            flair=_levelled(levels, contrast.flair, drawn[:5], fluid=(0.03, 0.6)),
            t1=_levelled(levels, contrast.t1, drawn[5:], fluid=(0.05, 0.6)),
        )
    return contrast


def _calmed(channel: Channel, left: float) -> Channel:
    """White and deep grey matter with a part of their unevenness left."""
    share = np.ones(len(channel.mean), np.float32)
    share[[INDEX[name] for name in (*WHITE, *DEEP)]] = left
    return replace(channel, slow=channel.slow * share, mottled=channel.mottled * share)


def _levelled(
    rng: np.random.Generator,
    channel: Channel,
    drawn: npt.NDArray[np.float64],
    fluid: tuple[float, float],
) -> Channel:
    """Puts five measured levels in place of a channel's."""
    cortex, deep, stem, cerebellum, dark = (float(level) for level in drawn)
    dark = float(np.clip(dark, *fluid))
    old = channel.mean
    mean: Float = old.copy()

    def put(name: str, value: float) -> None:
        mean[INDEX[name]] = value

    def kept(name: str, of: str, now: float) -> None:
        """Keeps a ratio as it was drawn."""
        put(name, now * float(old[INDEX[name]]) / float(old[INDEX[of]]))

    kept("limbic", "cortex", cortex)
    for name in ("fourth_ventricle", "csf"):
        kept(name, "ventricle", dark)
    put("cortex", cortex)
    put("ventricle", dark)
    put("brainstem", stem)
    # Grey matter of the basal ganglia lies between the cortex and the mixture of the region.
    put("striatum", deep + (cortex - deep) * between(rng, 0.1, 0.5))
    put("thalamus", deep + (cortex - deep) * between(rng, -0.1, 0.3))
    put("pallidum", deep * between(rng, 0.85, 1.0))
    put("ventral_dc", deep * between(rng, 0.95, 1.05))
    apart_by = between(rng, 0.3, 0.9) * (cortex - 1)
    put("cerebellar_cortex", cerebellum + 0.5 * apart_by)
    put("cerebellar_white_matter", cerebellum - 0.5 * apart_by)
    return replace(channel, mean=np.clip(mean, 0.02, None), fluid=dark)
