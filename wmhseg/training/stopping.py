"""Taking the weights of the epoch that suits validation voxels best.

Reference:
    M. Ghafoorian et al., Scientific Reports 7:5110 (2017), "Training procedure": the network of the
    epoch with the largest area under the ROC curve (Az) of the validation set.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from wmhseg.networks import variables
from wmhseg.training.batches import patches
from wmhseg.training.batches.patches import PatchCase
from wmhseg.training.batches.stream import as_batch
from wmhseg.training.journal import Journal
from wmhseg.training.plan import Sampling
from wmhseg.weights import tensor_files

COLUMNS = ("step", "area")
_SEED = 20170711  # the same voxels for every run
_AT_ONCE = 256


def area_under_curve(scores: npt.NDArray[Any], positive: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve: how often a positive has a higher score than a negative.

    Args:
        scores: (n,), equal ones count one half.
        positive: (n,).

    Returns:
        0 to 1; NaN without both kinds.
    """
    count, others = int(positive.sum()), int((~positive).sum())
    if not count or not others:
        return float("nan")
    ranks = stats.rankdata(scores)[positive].sum()
    return float((ranks - count * (count + 1) / 2) / (count * others))


class ValidationVoxels:
    """Patches of validation cases, as many of each: half of them WMH, half other voxels."""

    def __init__(
        self, cases: Iterable[PatchCase], sampling: Sampling, share: int, wmh: int
    ) -> None:
        """Cuts all patches.

        Args:
            cases: The cases, which are not kept.
            sampling: Size and kind of the patches.
            share: Patches of each case.
            wmh: Place of WMH among the labels.
        """
        rng = np.random.default_rng(_SEED)
        even = Sampling(sampling.kind, sampling.side, stroke=0.0, elsewhere=0.5)
        shown = [
            patches.around(rng, case.stacks, case.target, int(voxel), even)
            for case in cases
            for voxel in patches.pick(rng, case.pool, even, share)
        ]
        self._inputs, targets = as_batch(shown)
        self._wmh = wmh
        self._positive = targets[:, 0, 0, 0] == wmh

    def area(self, model: Any) -> float:
        """Area under the ROC curve of a Keras model's probability of WMH."""
        said = []
        for first in range(0, len(self._positive), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            given = (
                {port: array[part] for port, array in self._inputs.items()}
                if isinstance(self._inputs, dict)
                else self._inputs[part]
            )
            said.append(np.asarray(model.predict_on_batch(given))[:, 0, 0, self._wmh])
        return area_under_curve(np.concatenate(said), self._positive)


class BestEpoch:
    """The areas so far, in a table, and the weights of the largest one, in a file."""

    def __init__(self, table: Path, weights: Path, step: int, patience: int) -> None:
        """Goes on after a step.

        Args:
            table: CSV of steps and areas.
            weights: File of the best weights.
            step: What came later in the table will come again.
            patience: Epochs without a larger area after which there will be no better one.
        """
        self._journal, self._weights = Journal(table, COLUMNS, step), weights
        self._patience = patience

    @property
    def _areas(self) -> list[float]:
        return [float(row["area"]) for row in self._journal.rows]

    @property
    def is_found(self) -> bool:
        """Whether it is no longer worth waiting for a better one."""
        areas = self._areas
        return bool(areas) and len(areas) - 1 - int(np.nanargmax(areas)) >= self._patience

    def add(self, step: int, area: float, tensors: variables.Tensors) -> bool:
        """Notes an epoch; whether it is the best so far, whose weights are kept.

        Args:
            step: At its end.
            area: Under the ROC curve.
            tensors: Its weights.
        """
        best = not self._areas or area > max(self._areas)
        if best:
            tensor_files.write_tensors(self._weights, tensors)
        self._journal.add(step, f"{area:.6f}")
        return best

    def weights(self) -> variables.Tensors:
        """The weights of the best epoch."""
        return tensor_files.read_tensors(self._weights)
