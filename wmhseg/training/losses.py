"""Losses for probability maps (slice, row, column, 1) against masks of the same shape."""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def dice_loss(target: Tensor, probability: Tensor) -> Tensor:
    """1 minus the soft Dice coefficient over the whole batch, smoothed by 1.

    Args:
        target: Reference masks, 0 or 1.
        probability: Network output, same shape.

    Returns:
        A scalar in [0, 1).

    Reference:
        H. Li et al., NeuroImage 183 (2018) 650-665, section 3.2.2.
    """
    target = ops.cast(target, "float32")
    probability = ops.cast(probability, "float32")
    overlap = ops.sum(target * probability)
    total = ops.sum(target) + ops.sum(probability)
    return 1 - (2 * overlap + 1) / (total + 1)


def cross_entropy(target: Tensor, probability: Tensor) -> Tensor:
    """Mean binary cross-entropy over all pixels of the batch."""
    target = ops.cast(target, "float32")
    probability = ops.clip(ops.cast(probability, "float32"), 1e-7, 1 - 1e-7)
    inside = target * ops.log(probability)
    return -ops.mean(inside + (1 - target) * ops.log(1 - probability))


def dice_and_cross_entropy(target: Tensor, probability: Tensor) -> Tensor:
    """Dice loss plus twice the cross-entropy: gradients also where a batch holds no lesion."""
    return dice_loss(target, probability) + 2 * cross_entropy(target, probability)
