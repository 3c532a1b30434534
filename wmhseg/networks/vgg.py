"""The fully convolutional network on top-hat pictures (6th of 20 in the MICCAI 2017 challenge)."""

from __future__ import annotations

from wmhseg.networks import blocks, graph
from wmhseg.networks.graph import Graph, Layer
from wmhseg.networks.signature import Signature

CHANNELS = 3
"""Of the colour picture that it takes, as VGG16 does."""

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3))
"""Maps of each convolution, and convolutions, of the first four blocks of VGG16."""


def vgg(signature: Signature, *, maps: int = 16) -> Graph:
    """Describes the first four blocks of VGG16 and what makes labels of them.

    Behind the last convolution of each block a 3x3 convolution makes ``maps`` maps. They are
    enlarged to the field (bilinear), joined, and a 1x1 convolution makes the labels. No ReLU
    follows the 3x3 convolutions: the paper wants their maps to be combined linearly, and the
    network that it follows (K.-K. Maninis et al., MICCAI 2016) has none there.

    The layers of the four blocks, and so their variables, bear the names that Keras' VGG16 gives
    them: "block1_conv1" to "block4_conv3".

    Args:
        signature: One input layer of 3 channels, rows and columns multiples of 8, and the labels.
            Published: T1, FLAIR and its top-hat, background and WMH.
        maps: Of each 3x3 convolution behind a block.

    Returns:
        The graph from (row, column, channel), 8-bit values less 127, to probabilities (row,
        column, label). As published 7,773,698 parameters.

    Raises:
        ValueError: If there are several input layers, their channels are not 3, the field is no
            multiple of 8, or ``maps`` is out of range.

    Reference:
        Y. Xu, T. Geraud, E. Puybareau, I. Bloch, J. Chazalon. White matter hyperintensities
        segmentation in a few seconds using fully convolutional network and transfer learning.
        BrainLes 2017, LNCS 10670, 501-514.
    """
    blocks.check_multiple(signature.field, 8)
    if not 1 <= maps <= 512:
        raise ValueError(f"1 to 512 maps were expected. Received: {maps}.")
    x = signature.only_input()
    if x.size[2] != CHANNELS:
        raise ValueError(f"{CHANNELS} channels were expected. Received: {x.size[2]}.")
    sides = []
    for number, (filters, convolutions) in enumerate(BLOCKS, start=1):
        block = f"block{number}"
        if number > 1:
            x = Layer(graph.MaxPool(), (x,), f"block{number - 1}_pool")
        for index in range(1, convolutions + 1):
            x = blocks.convolution(x, filters, 3, name=f"{block}_conv{index}", batch_norm=False)
        linear = graph.Convolution(maps, 3, start="glorot")
        side = Layer(linear, (x,), f"{block}_maps")
        factor = 2 ** (number - 1)
        sides.append(
            side if factor == 1 else Layer(graph.Enlarging(factor), (side,), f"{block}_enlarged")
        )
    joined = Layer(graph.Concatenation(), tuple(sides), "joined")
    return Graph("vgg", signature.output_layer(joined))
