"""The Stack-Net of the multi-scale aggregation (2nd of 57 on the challenge's final board)."""

from __future__ import annotations

from wmhseg.networks import blocks
from wmhseg.networks.graph import Graph
from wmhseg.networks.signature import Signature


def stacknet(
    signature: Signature,
    *,
    kernel: int = 3,
    depth: int = 5,
    stacked_stages: int = 2,
    batch_norm: bool = False,
) -> Graph:
    """Describes the U-Net with stacks of convolutions in its first stages.

    Args:
        signature: One input layer of at least 16 x 16 pixels, and the labels. Published: 200 x
            200 pixels of FLAIR and T1, in this order.
        kernel: Kernel of the stacked convolutions, 3 or 5 in the paper.
        depth: Convolutions a stack, 1 to 6 in the paper's study, 5 as submitted.
        stacked_stages: Stages, counted from full resolution, whose pair becomes a stack. The
            paper is silent; two give exactly its 24 convolutional layers before the output.
        batch_norm: Batch normalisation after every convolution but the last.

    Returns:
        The graph from (row, column, channel), z-scored, to probabilities (row, column, label).
        As published 9,034,529 parameters, 9,986,849 with kernel 5.

    Raises:
        ValueError: If there are several input layers, the field is too small, or an option is
            out of range.

    Reference:
        H. Li, J. Zhang, M. Muehlau, J. Kirschke, B. Menze. Multi-scale convolutional-stack
        aggregation for robust white matter hyperintensities segmentation. BrainLes 2018.
    """
    blocks.check_field(signature.field)
    blocks.check_kernel(kernel)
    if not 1 <= depth <= 20:
        raise ValueError(f"A depth of 1 to 20 was expected. Received: {depth}.")
    if not 1 <= stacked_stages <= 4:
        raise ValueError(f"1 to 4 stacked stages were expected. Received: {stacked_stages}.")
    stages = [[kernel] * depth] * stacked_stages
    outputs = blocks.encoder_decoder(signature, stages, batch_norm=batch_norm)
    return Graph("stacknet", outputs)
