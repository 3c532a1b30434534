"""Probabilities that are made less or more sure by a temperature: no mask is changed by it.

Logits are divided by the temperature: above 1 probabilities come nearer to one half, below 1 they
go away from it. It is applied to the finished map, on the scan's own voxels, after masks were made.

Reference:
    C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017, arXiv:1706.04599.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]


def of_one(probability: Float, temperature: float) -> Float:
    """Probabilities of one label against all others, as those of a sigmoid.

    Args:
        probability: Of any shape; 0 and 1 stay what they are.
        temperature: Above 0.
    """
    if temperature == 1:
        return probability
    p = probability.astype(np.float64)
    with np.errstate(divide="ignore"):
        logit = (np.log(p) - np.log1p(-p)) / temperature
    made: Float = (1 / (1 + np.exp(-np.clip(logit, -700, 700)))).astype(np.float32)
    return np.where((probability == 0) | (probability == 1), probability, made)


def of_labels(probabilities: Mapping[str, Float], temperature: float) -> dict[str, Float]:
    """Probabilities of labels that exclude each other, as those of a softmax.

    What is left to 1 is the background. Where all are 0, nothing was computed: they stay 0.

    Args:
        probabilities: Label -> its probability, without the background; their sum is at most 1.
        temperature: Above 0.
    """
    if temperature == 1:
        return dict(probabilities)
    known = {label: p.astype(np.float64) for label, p in probabilities.items()}
    background = np.clip(1 - sum(known.values()), 0, 1)
    # Of the largest, so that no power vanishes for all.
    largest = np.maximum.reduce([background, *known.values()])
    powers = {label: (p / largest) ** (1 / temperature) for label, p in known.items()}
    total = (background / largest) ** (1 / temperature) + sum(powers.values())
    return {label: (power / total).astype(np.float32) for label, power in powers.items()}


def threshold(value: float, temperature: float) -> float:
    """The threshold on a map that marks what another one marks on the map without temperature.

    It is exact for models of one label. Of several labels a map depends on all of them.
    """
    return float(of_one(np.array(value, np.float32), temperature)) if temperature != 1 else value
