"""Keras' public VGG16, trained on ImageNet, as the start of the network ``vgg``.

The file is ``vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5`` of ``keras.applications``
(licence of its authors: CC BY 4.0). It is read as the authors' Keras-2 files are (``keras2``): a
table of contents made in a child process, shapes compared, then plain numbers; nothing is executed.

ImageNet's pictures were blue, green, red, less the mean of each. Our channels take these places in
the order in which a model lists its inputs: as published T1 is blue, FLAIR green, the top-hat red.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wmhseg.errors import WeightsError
from wmhseg.networks import vgg
from wmhseg.weights import keras2

ENDINGS = (".h5", ".hdf5")
"""Of files that are read here."""

# Of a kernel and a bias: in Keras 2, and in the file of 2016 behind the name of the layer.
_OLD = {"kernel": "W", "bias": "b"}


def read(path: Path) -> dict[str, NDArray[np.float32]]:
    """Reads the first four blocks; what else the file holds, such as the fifth, is left alone.

    Args:
        path: The HDF5 file.

    Returns:
        "block1_conv1/kernel", (row, column, received, made), "block1_conv1/bias" and so on, to
        "block4_conv3/bias".

    Raises:
        MissingFileError: If the file does not exist.
        UnreadableFileError: If it cannot be read.
        WeightsError: If it is not such a file, is damaged, or a shape is not VGG16's.
    """
    layers = dict(keras2.table(path, keras1=True))
    entries: dict[str, keras2.Entry] = {}
    for variable, shape in _shapes().items():
        layer, kind = variable.split("/")
        weights = layers.get(layer, {})
        names = (kind, f"{layer}_{_OLD[kind]}_1", f"{layer}_{_OLD[kind]}")
        found = next((weights[name] for name in names if name in weights), "nothing")
        if not isinstance(found, keras2.Entry) or found.shape != shape:
            there = found.shape if isinstance(found, keras2.Entry) else found
            raise WeightsError(
                f"The {kind} {shape} of VGG16's layer {layer} was expected",
                received=f"{there} in {path}",
                advice="Give Keras' public VGG16 file without top, or a .safetensors file.",
            )
        entries[variable] = found
    return {variable: keras2.load(entry, variable, path) for variable, entry in entries.items()}


def _shapes() -> dict[str, tuple[int, ...]]:
    """All that is read, in order."""
    shapes: dict[str, tuple[int, ...]] = {}
    received = vgg.CHANNELS
    for block, (maps, convolutions) in enumerate(vgg.BLOCKS, start=1):
        for number in range(1, convolutions + 1):
            shapes[f"block{block}_conv{number}/kernel"] = (3, 3, received, maps)
            shapes[f"block{block}_conv{number}/bias"] = (maps,)
            received = maps
    return shapes
