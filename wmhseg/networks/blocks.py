"""Layers shared by the published networks. Sizes are (row, column, channel)."""

from __future__ import annotations

from wmhseg.networks import graph
from wmhseg.networks.graph import Layer, Sides
from wmhseg.networks.signature import Signature


def convolution(x: Layer, filters: int, kernel: int, *, name: str, batch_norm: bool) -> Layer:
    """Applies a 'same' convolution, optionally batch normalisation, then ReLU.

    Args:
        x: (row, column, channel).
        filters: Number of output channels.
        kernel: Side of the square kernel in pixels; even kernels pad one pixel more at the end.
        name: Name of the convolution; the other layers are named after it.
        batch_norm: Whether to normalise between the convolution and the ReLU.

    Returns:
        (row, column, filters).
    """
    x = Layer(graph.Convolution(filters, kernel), (x,), name)
    if batch_norm:
        x = Layer(graph.BatchNorm(), (x,), f"{name}_bn")
    return Layer(graph.Relu(), (x,), f"{name}_relu")


def _difference(larger: Layer, smaller: Layer) -> Sides:
    """Rows and columns between two sizes, halved; an odd number has the larger half at the end."""
    rows, columns = (
        (n // 2, n - n // 2) for n in (larger.size[axis] - smaller.size[axis] for axis in (0, 1))
    )
    return rows, columns


def crop_like(x: Layer, target: Layer, *, name: str) -> Layer:
    """Centre-crops the rows and columns of ``x`` to those of ``target``.

    An odd difference takes the larger half at the end, as the published networks do.
    """
    sides = _difference(x, target)
    return Layer(graph.Crop(sides), (x,), name) if any(map(any, sides)) else x


def pad_like(x: Layer, target: Layer, *, name: str) -> Layer:
    """Pads ``x`` with zeros, centred, to the rows and columns of ``target``."""
    sides = _difference(target, x)
    return Layer(graph.Pad(sides), (x,), name) if any(map(any, sides)) else x


def encoder_decoder(
    signature: Signature,
    first_stages: list[list[int]],
    *,
    batch_norm: bool,
) -> Layer:
    """Builds the contracting and expanding path that U-Net and Stack-Net share.

    Args:
        signature: One input layer (row, column, channel), and the labels.
        first_stages: The kernel sizes of each stage, counted from full resolution, that differ
            from the plain pair of 3x3 convolutions. ``[[5, 5]]`` is the U-Net,
            ``[[3] * 5, [3] * 5]`` the Stack-Net.
        batch_norm: Batch normalisation after every convolution but the last.

    Returns:
        Probabilities, (row, column, label).

    Raises:
        ValueError: If the signature has several input layers.

    Reference:
        Li et al., NeuroImage 183 (2018) 650-665, Figure 4, for all but ``first_stages``.
    """
    widths = (64, 96, 128, 256)
    kernels: list[list[int]] = [[3, 3], [3, 3], [3, 3], [3, 4]]
    kernels[: len(first_stages)] = first_stages

    x = inputs = signature.only_input()
    skips = []
    for stage, (width, stage_kernels) in enumerate(zip(widths, kernels, strict=True), start=1):
        for index, kernel in enumerate(stage_kernels, start=1):
            x = convolution(x, width, kernel, name=f"enc{stage}_conv{index}", batch_norm=batch_norm)
        skips.append(x)
        x = Layer(graph.MaxPool(), (x,), f"enc{stage}_pool")
    for index in (1, 2):
        x = convolution(x, 512, 3, name=f"bottom_conv{index}", batch_norm=batch_norm)
    for stage in (4, 3, 2, 1):
        x = Layer(graph.Doubling(), (x,), f"dec{stage}_up")
        skip = crop_like(skips[stage - 1], x, name=f"dec{stage}_crop")
        x = Layer(graph.Concatenation(), (x, skip), f"dec{stage}_concat")
        for index in (1, 2):
            name = f"dec{stage}_conv{index}"
            x = convolution(x, widths[stage - 1], 3, name=name, batch_norm=batch_norm)
    return signature.output_layer(pad_like(x, inputs, name="pad"))


def check_kernel(kernel: int) -> None:
    """Raises ValueError unless a kernel is of a size that somebody could mean."""
    if not 1 <= kernel <= 15:
        raise ValueError(f"A kernel of 1 to 15 pixels was expected. Received: {kernel}.")


def check_field(field: tuple[int, int]) -> None:
    """Raises ValueError unless the four poolings leave at least one pixel on each axis."""
    if min(field) < 16:
        raise ValueError(f"A field of at least 16 x 16 pixels was expected. Received: {field}.")


def check_multiple(field: tuple[int, int], of: int) -> None:
    """Raises ValueError unless rows and columns can be halved as often as a network does."""
    if min(field) < of or any(side % of for side in field):
        raise ValueError(
            f"A field whose rows and columns are multiples of {of} was expected. "
            f"Received: {field[0]} x {field[1]} pixels."
        )
