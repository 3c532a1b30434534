"""The U-Net of the winning ensemble of the MICCAI 2017 WMH Segmentation Challenge."""

from __future__ import annotations

from wmhseg.networks import blocks
from wmhseg.networks.graph import Graph, Layer, Scan
from wmhseg.networks.network import network


@network
def unet(
    field: tuple[int, int] = (200, 200),
    channels: int = 2,
    *,
    kernel: int = 5,
    batch_norm: bool = False,
) -> Graph:
    """Describes the U-Net.

    Args:
        field: Rows and columns of the input in pixels, each at least 16.
        channels: 2 for FLAIR and T1 (in this order), 1 for FLAIR alone.
        kernel: Kernel of the first stage: 5 as submitted, 3 as in the paper's comparison.
        batch_norm: The published weights have none; the paper's parameter count includes it.

    Returns:
        The graph from (row, column, channel), z-scored, to the probability of WMH
        (row, column, 1). 8,742,209 trainable parameters with the defaults,
        8,748,609 with ``batch_norm``.

    Raises:
        ValueError: If the field is smaller than four poolings allow, or the kernel out of range.

    Reference:
        H. Li, G. Jiang, J. Zhang, R. Wang, Z. Wang, W.-S. Zheng, B. Menze. Fully convolutional
        network ensembles for white matter hyperintensities segmentation in MR images.
        NeuroImage 183 (2018) 650-665.
    """
    blocks.check_field(field)
    blocks.check_kernel(kernel)
    inputs = Layer(Scan((*field, channels)), (), "scan")
    outputs = blocks.encoder_decoder(inputs, [[kernel, kernel]], batch_norm=batch_norm)
    return Graph("unet", outputs)
