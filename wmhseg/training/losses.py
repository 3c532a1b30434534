"""Losses for probability maps against masks, arrays (slice, row, column, map).

With a sigmoid there is one map, and the target, of the same shape, is 0 or 1. With a softmax there
is a map a label, and the target (slice, row, column, 1) holds the place of each pixel's label.

References:
    H. Li et al., NeuroImage 183 (2018) 650-665, section 3.2.2 (Dice loss).
    R. Guerrero et al., NeuroImage: Clinical 17 (2018) 918-934, section 2.2, equations 3 to 6
    (cross-entropy, weighted and bootstrapped, pseudo-Dice).
    Y. Xu et al., BrainLes 2017, section 2.3 (summed cross-entropy).
    B. Shirokikh et al., MICCAI 2020, arXiv:2007.10033 (pixels weighed by the size of their lesion).
    F. Kofler et al., IPMI 2023, arXiv:2205.08209 (blob loss).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from wmhseg.training.batches.counted import MOST_LESIONS
from wmhseg.training.classes import BACKGROUND
from wmhseg.training.plan import Fitting
from wmhseg.weights.inputs import Labels

Tensor = Any
Loss = Callable[[Tensor, Tensor], Tensor]
"""From targets and probabilities to a scalar."""

_LEAST = 1e-7  # probabilities are not taken for less, nor for more than 1 less this


def loss_of(fitting: Fitting, labels: Labels) -> Loss:
    """The loss that a plan names.

    Args:
        fitting: Its name and its numbers.
        labels: What the networks say.
    """
    if labels.activation == "sigmoid":

        def by_size(target: Tensor, probability: Tensor) -> Tensor:
            return lesion_weighted_loss(target, probability, fitting.lesion_power)

        return {
            "dice": dice_loss,
            "dice-and-cross-entropy": dice_and_cross_entropy,
            "lesion-weighted": by_size,
            "blob": blob_loss,
        }[fitting.loss]
    count = len(labels.names)
    lesions = tuple(place for place, name in enumerate(labels.names) if name != BACKGROUND)

    def dice(target: Tensor, probability: Tensor) -> Tensor:
        return lesion_dice_loss(target, probability, lesions)

    def both(target: Tensor, probability: Tensor) -> Tensor:
        return dice(target, probability) + 2 * ops.mean(surprise(target, probability))

    def plain(target: Tensor, probability: Tensor) -> Tensor:
        return ops.mean(surprise(target, probability))

    def summed(target: Tensor, probability: Tensor) -> Tensor:
        return ops.mean(ops.sum(surprise(target, probability), (1, 2)))

    def weighted(target: Tensor, probability: Tensor) -> Tensor:
        weights = ops.sum(one_hot(target, count) * ops.array(fitting.class_weights, "float32"), -1)
        return ops.mean(weights * surprise(target, probability))

    def bootstrapped(target: Tensor, probability: Tensor) -> Tensor:
        lost = surprise(target, probability)
        return ops.mean(ops.where(ops.exp(-lost) > fitting.certain, 0.0, lost))

    return {
        "dice": dice,
        "dice-and-cross-entropy": both,
        "cross-entropy": plain,
        "summed-cross-entropy": summed,
        "weighted-cross-entropy": weighted,
        "bootstrapped-cross-entropy": bootstrapped,
        "pseudo-dice": pseudo_dice_loss,
    }[fitting.loss]


def where_told(loss: Loss) -> Loss:
    """A loss of the pixels that a network tells, where these are the middle of what it is shown.

    Args:
        loss: Of targets and probabilities of the same pixels.

    Returns:
        The same of targets that have more rows and columns: as many before the probabilities' as
        behind them, or one more.
    """

    def told(target: Tensor, probability: Tensor) -> Tensor:
        rows, columns = (int(probability.shape[axis]) for axis in (1, 2))
        top = (int(target.shape[1]) - rows + 1) // 2
        left = (int(target.shape[2]) - columns + 1) // 2
        return loss(target[:, top : top + rows, left : left + columns], probability)

    return told


# Sigmoid ------------------------------------------------------------------------------------------


def dice_loss(target: Tensor, probability: Tensor) -> Tensor:
    """1 minus the soft Dice coefficient over the whole batch, smoothed by 1.

    Args:
        target: Reference masks, 0 or 1.
        probability: Network output, same shape.

    Returns:
        A scalar in [0, 1).
    """
    target = ops.cast(target, "float32")
    probability = ops.cast(probability, "float32")
    overlap = ops.sum(target * probability)
    total = ops.sum(target) + ops.sum(probability)
    return 1 - (2 * overlap + 1) / (total + 1)


def cross_entropy(target: Tensor, probability: Tensor) -> Tensor:
    """Mean binary cross-entropy over all pixels of the batch."""
    target = ops.cast(target, "float32")
    probability = ops.clip(ops.cast(probability, "float32"), _LEAST, 1 - _LEAST)
    inside = target * ops.log(probability)
    return -ops.mean(inside + (1 - target) * ops.log(1 - probability))


def dice_and_cross_entropy(target: Tensor, probability: Tensor) -> Tensor:
    """Dice loss plus twice the cross-entropy: gradients also where a batch holds no lesion."""
    return dice_loss(target, probability) + 2 * cross_entropy(target, probability)


# Sigmoid, counting lesions ------------------------------------------------------------------------


def lesion_weights(mask: Tensor, size: Tensor, power: float) -> Tensor:
    """What each pixel counts: 1 in the background and, on average, 1 inside lesions.

    Args:
        mask: 0 or 1.
        size: Pixels of the lesion that a pixel belongs to, same shape.
        power: See ``Fitting.lesion_power``.

    Returns:
        Same shape, float32. All 1 where all lesions are of one size, or there is none.
    """
    share = mask * ops.power(ops.maximum(size, 1.0), -power)
    scale = ops.sum(mask) / ops.maximum(ops.sum(share), _LEAST)
    return share * scale + (1 - mask)


def lesion_weighted_loss(target: Tensor, probability: Tensor, power: float) -> Tensor:
    """``dice_and_cross_entropy`` in which pixels of small lesions count for more.

    A pixel of a lesion of n pixels weighs in proportion to n^-power, in the overlap, in the sum of
    the target and of the probability, and in the cross-entropy. The weights are normalised over the
    batch, so lesions together weigh against the background as they do without; what is marked
    falsely costs the same.

    Args:
        target: (slice, row, column, 3), see above.
        probability: (slice, row, column, 1).
        power: 0 is ``dice_and_cross_entropy``; with 1 every lesion of a batch weighs alike.
    """
    target = ops.cast(target, "float32")
    probability = ops.cast(probability, "float32")
    mask = target[..., :1]
    weight = lesion_weights(mask, target[..., 2:], power)
    overlap = ops.sum(weight * mask * probability)
    total = ops.sum(weight * mask) + ops.sum(weight * probability)
    dice = 1 - (2 * overlap + 1) / (total + 1)
    return dice + 2 * ops.mean(weight * _binary_surprise(mask, probability))


def blob_loss(target: Tensor, probability: Tensor) -> Tensor:
    """Two parts of the loss of the whole batch, one of the mean over each lesion on its own.

    Both are Dice loss plus twice the cross-entropy; that of a lesion is taken in its slice, with
    the pixels of all other lesions left out. Where one slice holds one lesion, or there is none,
    this is ``dice_and_cross_entropy``. Published: sums with the weights 2 and 1, in volumes.

    Args:
        target: (slice, row, column, 3), see above.
        probability: (slice, row, column, 1).
    """
    target = ops.cast(target, "float32")
    probability = ops.cast(probability, "float32")
    mask, number = target[..., :1], target[..., 1:2]
    slices, most = target.shape[0], MOST_LESIONS
    first = ops.reshape(ops.arange(slices, dtype="float32"), (-1, 1, 1, 1)) * (most + 1)
    place = ops.cast(ops.reshape(first + ops.minimum(number, most), (-1,)), "int32")

    def sums(values: Tensor) -> Tensor:
        """Of each slice: (slice, 1) of the background and (slice, lesion) of lesions."""
        added = ops.segment_sum(ops.reshape(values, (-1,)), place, slices * (most + 1))
        by_slice = ops.reshape(added, (slices, most + 1))
        return by_slice[:, :1], by_slice[:, 1:]

    lost_outside, lost = sums(_binary_surprise(mask, probability))
    said_outside, said = sums(probability)
    outside, size = sums(ops.ones_like(mask))
    dice = 1 - (2 * said + 1) / (size + said + said_outside + 1)
    each = dice + 2 * (lost + lost_outside) / ops.maximum(size + outside, 1.0)
    there = ops.cast(size > 0, "float32")
    count = ops.sum(there)
    whole = dice_and_cross_entropy(mask, probability)
    lesions = ops.sum(there * each) / ops.maximum(count, 1.0)
    return ops.where(count > 0, (2 * whole + lesions) / 3, whole)


def _binary_surprise(mask: Tensor, probability: Tensor) -> Tensor:
    """The cross-entropy of each pixel."""
    probability = ops.clip(probability, _LEAST, 1 - _LEAST)
    return -(mask * ops.log(probability) + (1 - mask) * ops.log(1 - probability))


# Softmax ------------------------------------------------------------------------------------------


def one_hot(target: Tensor, count: int) -> Tensor:
    """(slice, row, column, label): 1 for each pixel's label, else 0."""
    return ops.one_hot(ops.cast(target[..., 0], "int32"), count, dtype="float32")


def surprise(target: Tensor, probability: Tensor) -> Tensor:
    """Minus the logarithm of the probability of each pixel's own label, (slice, row, column)."""
    probability = ops.clip(ops.cast(probability, "float32"), _LEAST, 1 - _LEAST)
    own = ops.sum(one_hot(target, probability.shape[-1]) * probability, -1)
    return -ops.log(own)


def lesion_dice_loss(target: Tensor, probability: Tensor, lesions: tuple[int, ...]) -> Tensor:
    """The mean of ``dice_loss`` over some labels, each against all others.

    Args:
        target: Places of labels.
        probability: Of each label.
        lesions: Places of the labels that count.
    """
    return sum(
        dice_loss(target == place, probability[..., place : place + 1]) for place in lesions
    ) / len(lesions)


def pseudo_dice_loss(target: Tensor, probability: Tensor) -> Tensor:
    """1 minus the mean over all labels, background too, of the soft Dice coefficient of the batch.

    Nothing is added to either side of the fraction: a label that a batch lacks costs 1.
    """
    probability = ops.cast(probability, "float32")
    own = one_hot(target, probability.shape[-1])
    overlap = ops.sum(own * probability, (0, 1, 2))
    total = ops.sum(own, (0, 1, 2)) + ops.sum(probability, (0, 1, 2))
    return 1 - ops.mean(2 * overlap / ops.maximum(total, _LEAST))
