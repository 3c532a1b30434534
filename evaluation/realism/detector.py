"""The detector: boosted trees on features of patches, judged on sources that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from evaluation.realism import features
from evaluation.realism.features import GROUPS
from evaluation.realism.patches import Patches
from evaluation.realism.views import REGIONS

_LEAST = 20  # patches of either kind that an AUC of a region needs


@dataclass(frozen=True)
class Sample:
    """Real and synthetic scans of one source, the latter of its geometry."""

    real: Sequence[Patches]
    fake: Sequence[Patches]


@dataclass(frozen=True)
class Judgement:
    """What a detector can tell, as areas under the ROC curve (0.5: nothing).

    Attributes:
        by_source: On the scans of a source, by one that was trained on the others.
        by_region: On the patches of a region, mean over sources.
        lost: How much of the mean AUC is lost if a group's features are shuffled.
        alone: Mean AUC of a detector that has one group of features only.
        lost_in: The same as ``lost`` in each region: region -> group -> loss.
    """

    by_source: Mapping[str, float]
    by_region: Mapping[str, float]
    lost: Mapping[str, float]
    alone: Mapping[str, float]
    lost_in: Mapping[str, Mapping[str, float]]

    @property
    def mean(self) -> float:
        """Mean AUC of all sources."""
        return float(np.mean(list(self.by_source.values())))


@dataclass(frozen=True)
class _Table:
    """All patches of some samples.

    Attributes:
        x: (patch, feature).
        real: (patch,) 1 real, 0 synthetic.
        region: (patch,).
        weight: (patch,): sources, and the two kinds within them, count alike.
    """

    x: npt.NDArray[np.float32]
    real: npt.NDArray[np.int64]
    region: npt.NDArray[np.uint8]
    weight: npt.NDArray[np.float64]


def judge(samples: Mapping[str, Sample], seed: int = 0, trees: int = 60) -> Judgement:
    """Trains detectors, each without one source, and lets them judge that one.

    Args:
        samples: By source, two or more.
        seed: Of trees and shuffling.
        trees: How many.
    """
    tables = {name: _table([sample]) for name, sample in samples.items()}
    of_group = {g: [i for i, (n, _) in enumerate(features.columns()) if n == g] for g in GROUPS}
    every = list(range(len(features.columns())))
    by_source: dict[str, float] = {}
    regions: dict[str, list[float]] = {name: [] for name in REGIONS}
    lost: dict[str, list[float]] = {group: [] for group in GROUPS}
    alone: dict[str, list[float]] = {group: [] for group in GROUPS}
    lost_in: dict[str, dict[str, list[float]]] = {
        region: {group: [] for group in GROUPS} for region in REGIONS
    }
    rng = np.random.default_rng(seed)
    for name, held in tables.items():
        others = _table([sample for other, sample in samples.items() if other != name])
        boosted = _trained(others, every, seed, trees)
        scores = boosted.predict_proba(held.x)[:, 1]
        by_source[name] = float(roc_auc_score(held.real, scores))
        in_region = _in_regions(held, scores)
        for region, value in in_region.items():
            regions[region].append(value)
        for group, columns in of_group.items():
            shuffled = held.x.copy()
            shuffled[:, columns] = held.x[rng.permutation(len(held.x))][:, columns]
            blind = boosted.predict_proba(shuffled)[:, 1]
            lost[group].append(by_source[name] - float(roc_auc_score(held.real, blind)))
            for region, value in _in_regions(held, blind).items():
                lost_in[region][group].append(in_region[region] - value)
            only = _trained(others, columns, seed, trees).predict_proba(held.x[:, columns])[:, 1]
            alone[group].append(float(roc_auc_score(held.real, only)))
    return Judgement(
        by_source,
        _means(regions),
        _means(lost),
        _means(alone),
        {region: _means(groups) for region, groups in lost_in.items()},
    )


def _table(samples: Sequence[Sample]) -> _Table:
    x, real, region, weight = [], [], [], []
    for sample in samples:
        for kind, scans in ((1, sample.real), (0, sample.fake)):
            count = sum(len(scan.region) for scan in scans)
            for scan in scans:
                x.append(scan.features)
                region.append(scan.region)
                real.append(np.full(len(scan.region), kind, np.int64))
                weight.append(np.full(len(scan.region), 1000 / max(1, count)))
    return _Table(*(np.concatenate(parts) for parts in (x, real, region, weight)))


def _trained(
    table: _Table, columns: list[int], seed: int, trees: int
) -> HistGradientBoostingClassifier:
    boosted = HistGradientBoostingClassifier(
        max_iter=trees, learning_rate=0.15, max_leaf_nodes=10, min_samples_leaf=30, max_bins=63,
        l2_regularization=1.0, max_features=0.5, early_stopping=False, random_state=seed,
    )  # fmt: skip
    return boosted.fit(table.x[:, columns], table.real, sample_weight=table.weight)


def _in_regions(table: _Table, scores: npt.NDArray[np.float64]) -> dict[str, float]:
    found = {}
    for number, name in enumerate(REGIONS, start=1):
        here = table.region == number
        real = table.real[here]
        if min(real.sum(), (1 - real).sum()) >= _LEAST:
            found[name] = float(roc_auc_score(real, scores[here]))
    return found


def _means(lists: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: float(np.mean(v)) if len(v) else float("nan") for name, v in lists.items()}
