"""The U-Net of the winning ensemble of the MICCAI 2017 WMH Segmentation Challenge."""

from __future__ import annotations

from wmhseg.networks import blocks
from wmhseg.networks.graph import Graph
from wmhseg.networks.signature import Signature


def unet(
    signature: Signature,
    *,
    kernel: int = 5,
    batch_norm: bool = False,
) -> Graph:
    """Describes the U-Net.

    Args:
        signature: One input layer of at least 16 x 16 pixels, and the labels. Published: 200 x
            200 pixels of FLAIR and T1, in this order.
        kernel: Kernel of the first stage: 5 as submitted, 3 as in the paper's comparison.
        batch_norm: The published weights have none; the paper's parameter count includes it.

    Returns:
        The graph from (row, column, channel), z-scored, to probabilities (row, column, label).
        As published 8,742,209 trainable parameters, 8,748,609 with ``batch_norm``.

    Raises:
        ValueError: If there are several input layers, the field is smaller than four poolings
            allow, or the kernel is out of range.

    Reference:
        H. Li, G. Jiang, J. Zhang, R. Wang, Z. Wang, W.-S. Zheng, B. Menze. Fully convolutional
        network ensembles for white matter hyperintensities segmentation in MR images.
        NeuroImage 183 (2018) 650-665.
    """
    blocks.check_field(signature.field)
    blocks.check_kernel(kernel)
    outputs = blocks.encoder_decoder(signature, [[kernel, kernel]], batch_norm=batch_norm)
    return Graph("unet", outputs)
