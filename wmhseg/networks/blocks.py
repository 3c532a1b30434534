"""Layers shared by the published networks. Arrays are (slice, row, column, channel)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

Tensor = Any  # a Keras tensor; its type depends on the backend

# Said to every layer, since a user's Keras configuration may hold another default.
FORMAT = "channels_last"


def convolution(x: Tensor, filters: int, kernel: int, *, name: str, batch_norm: bool) -> Tensor:
    """Applies a 'same' convolution, optionally batch normalisation, then ReLU.

    Args:
        x: (slice, row, column, channel).
        filters: Number of output channels.
        kernel: Side of the square kernel in pixels; even kernels pad one pixel more at the end.
        name: Name of the convolution; the other layers are named after it.
        batch_norm: Whether to normalise between the convolution and the ReLU.

    Returns:
        (slice, row, column, filters).
    """
    x = layers.Conv2D(
        filters,
        kernel,
        padding="same",
        kernel_initializer="he_normal",
        data_format=FORMAT,
        name=name,
    )(x)
    if batch_norm:
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def crop_like(x: Tensor, target: Tensor, *, name: str) -> Tensor:
    """Centre-crops the rows and columns of ``x`` to those of ``target``.

    An odd difference takes the larger half at the end, as the published networks do.
    """
    cropping = tuple(
        ((have - want) // 2, (have - want) - (have - want) // 2)
        for have, want in zip(x.shape[1:3], target.shape[1:3], strict=True)
    )
    if not any(any(pair) for pair in cropping):
        return x
    return layers.Cropping2D(cropping, data_format=FORMAT, name=name)(x)


def pad_like(x: Tensor, target: Tensor, *, name: str) -> Tensor:
    """Pads ``x`` with zeros, centred, to the rows and columns of ``target``."""
    padding = tuple(
        ((want - have) // 2, (want - have) - (want - have) // 2)
        for have, want in zip(x.shape[1:3], target.shape[1:3], strict=True)
    )
    if not any(any(pair) for pair in padding):
        return x
    return layers.ZeroPadding2D(padding, data_format=FORMAT, name=name)(x)


def encoder_decoder(
    inputs: Tensor,
    first_stages: list[list[int]],
    *,
    batch_norm: bool,
) -> Tensor:
    """Builds the contracting and expanding path that U-Net and Stack-Net share.

    Args:
        inputs: (slice, row, column, channel).
        first_stages: The kernel sizes of each stage, counted from full resolution, that differ
            from the plain pair of 3x3 convolutions. ``[[5, 5]]`` is the U-Net,
            ``[[3] * 5, [3] * 5]`` the Stack-Net.
        batch_norm: Batch normalisation after every convolution but the last.

    Returns:
        Probability of WMH, (slice, row, column, 1).

    Reference:
        Li et al., NeuroImage 183 (2018) 650-665, Figure 4, for all but ``first_stages``.
    """
    widths = (64, 96, 128, 256)
    kernels: list[list[int]] = [[3, 3], [3, 3], [3, 3], [3, 4]]
    kernels[: len(first_stages)] = first_stages

    x = inputs
    skips = []
    for stage, (width, stage_kernels) in enumerate(zip(widths, kernels, strict=True), start=1):
        for index, kernel in enumerate(stage_kernels, start=1):
            x = convolution(x, width, kernel, name=f"enc{stage}_conv{index}", batch_norm=batch_norm)
        skips.append(x)
        x = layers.MaxPooling2D(2, data_format=FORMAT, name=f"enc{stage}_pool")(x)
    for index in (1, 2):
        x = convolution(x, 512, 3, name=f"bottom_conv{index}", batch_norm=batch_norm)
    for stage in (4, 3, 2, 1):
        x = layers.UpSampling2D(
            2, interpolation="nearest", data_format=FORMAT, name=f"dec{stage}_up"
        )(x)
        skip = crop_like(skips[stage - 1], x, name=f"dec{stage}_crop")
        x = layers.Concatenate(name=f"dec{stage}_concat")([x, skip])
        for index in (1, 2):
            name = f"dec{stage}_conv{index}"
            x = convolution(x, widths[stage - 1], 3, name=name, batch_norm=batch_norm)
    x = pad_like(x, inputs, name="pad")
    # float32 whatever the training policy, so that probabilities near 0 and 1 keep their digits.
    return layers.Conv2D(
        1, 1, activation="sigmoid", data_format=FORMAT, dtype="float32", name="output"
    )(x)


def check_kernel(kernel: int) -> None:
    """Raises ValueError unless a kernel is of a size that somebody could mean."""
    if not 1 <= kernel <= 15:
        raise ValueError(f"A kernel of 1 to 15 pixels was expected. Received: {kernel}.")


def check_field(field: tuple[int, int]) -> None:
    """Raises ValueError unless the four poolings leave at least one pixel on each axis."""
    if min(field) < 16:
        raise ValueError(f"A field of at least 16 x 16 pixels was expected. Received: {field}.")


def build(inputs: Tensor, outputs: Tensor, name: str) -> keras.Model:
    """Wraps the graph as a Keras model."""
    return keras.Model(inputs, outputs, name=name)
