"""The u-shaped residual network that tells white matter hyperintensities from strokes."""

from __future__ import annotations

from wmhseg.networks import blocks, graph
from wmhseg.networks.graph import Graph, Layer
from wmhseg.networks.signature import Signature

WIDTHS = (32, 64, 128, 256)
"""Maps of each level, from full resolution down."""


def uresnet(signature: Signature, *, start: str = "glorot") -> Graph:
    """Describes the uResNet.

    One residual element a level going down, with 2 x 2 max-pooling between; then three times a
    transposed 3x3 convolution of stride 2, the sum with the element of that level, and an element;
    a last element at full resolution; and a 1x1 convolution to the labels: 8 elements, 3
    transposed convolutions, 1 convolution.

    The maps of each level are in a figure that we lack; these give the paper's million of
    parameters. A ReLU follows the transposed convolutions too: equation (1) of the paper has one
    in every layer. Weights start as Glorot says, the default of the library that the paper used;
    an element adds two convolutions, each of half the variance that one before a ReLU should have.

    Args:
        signature: One input layer of any channels, rows and columns multiples of 8, and the
            labels. Published: FLAIR; background, WMH and stroke.
        start: How training draws the first weights of the elements: "glorot" as published, or
            "he", with which our own training learns faster.

    Returns:
        The graph from (row, column, channel), z-scored, to probabilities (row, column, label).
        As published 1,044,547 parameters.

    Raises:
        ValueError: If there are several input layers, the field is no multiple of 8, or ``start``
            is another word.

    Reference:
        R. Guerrero, C. Qin, O. Oktay et al. White matter hyperintensity and stroke lesion
        segmentation and differentiation using convolutional neural networks. NeuroImage:
        Clinical 17 (2018) 918-934.
    """
    blocks.check_multiple(signature.field, 8)
    if start not in ("glorot", "he"):
        raise ValueError(f"A start out of glorot, he was expected. Received: {start}.")
    how: graph.Start = "glorot" if start == "glorot" else "he"
    x = signature.only_input()
    skips: list[Layer] = []
    for level, filters in enumerate(WIDTHS, start=1):
        if skips:
            x = Layer(graph.MaxPool(), (x,), f"down{level - 1}_pool")
        x = _element(x, filters, f"down{level}", how)
        skips.append(x)
    for level in (3, 2, 1):
        filters = WIDTHS[level - 1]
        x = Layer(graph.GrowingConvolution(filters, 3, bias=True), (x,), f"up{level}_grow")
        x = Layer(graph.Relu(), (x,), f"up{level}_grow_relu")
        x = Layer(graph.Addition(), (x, skips[level - 1]), f"up{level}_sum")
        x = _element(x, filters, f"up{level}", how)
    x = _element(x, WIDTHS[0], "last", how)
    return Graph("uresnet", signature.output_layer(x))


def _element(x: Layer, filters: int, name: str, start: graph.Start) -> Layer:
    """A residual element: ReLU(3x3 convolution + 1x1 projection)."""
    convolved = Layer(graph.Convolution(filters, 3, start=start), (x,), f"{name}_conv")
    projected = Layer(graph.Convolution(filters, 1, start=start), (x,), f"{name}_project")
    added = Layer(graph.Addition(), (convolved, projected), f"{name}_add")
    return Layer(graph.Relu(), (added,), f"{name}_relu")
