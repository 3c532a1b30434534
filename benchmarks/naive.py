"""What a user would otherwise run: Keras ``predict``, slice by slice, member after member.

    python -m benchmarks.naive WEIGHTS_FOLDER FLAIR T1 OUTPUT

The weights lie in HDF5 files 0.weights.h5, 1.weights.h5, ... and are loaded in turn into one
network of each kind that the members are of. Pre- and post-processing are the project's own, so
that only the networks differ. This is the yardstick of ``benchmarks.speed`` and no part of the
program.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from wmhseg.channels import network_input
from wmhseg.io import images
from wmhseg.networks import catalogue, variables
from wmhseg.networks.keras_model import to_keras
from wmhseg.segmentation.prediction import from_probability
from wmhseg.weights import store


def main(folder: Path, flair: Path, t1: Path, output: Path) -> None:
    chosen = store.find(store.DEFAULT_MODEL).preset
    scan = images.read_scan(flair, name="FLAIR")
    inputs = network_input.prepare(scan, images.read_scan(t1, name="T1"), chosen)
    (stack,) = inputs.stacks.values()
    networks: dict[str, keras.Model] = {}
    total = np.zeros(stack.shape[:3], np.float32)
    for number, member in enumerate(chosen.members):
        described = catalogue.describe(member.network, chosen.signature, member.options)
        kind = f"{member.network} {member.options}"
        network = networks.get(kind) or to_keras(described)
        networks[kind] = network
        network.load_weights(str(folder / f"{number}.weights.h5"))
        total += network.predict(stack, batch_size=1, verbose=0)[..., 0]
        if chosen.flips:
            flipped = np.ascontiguousarray(stack[:, :, ::-1])
            total += network.predict(flipped, batch_size=1, verbose=0)[:, :, ::-1, 0]
    probability = total / np.float32(len(chosen.members) * (2 if chosen.flips else 1))
    mask, _ = from_probability(
        probability,
        inputs.way,
        chosen.postprocessing,
        head=inputs.head,
        turned_head=inputs.turned_head,
    )
    images.write_mask(output, mask, scan.grid)


def save_weights(folder: Path) -> None:
    """Writes the default model's weights the way ``main`` reads them."""
    model = store.find(store.DEFAULT_MODEL)
    for number, member in enumerate(model.preset.members):
        described = catalogue.describe(member.network, model.preset.signature, member.options)
        network = to_keras(described)
        variables.assign(network, store.load(model, member), name=member.file)
        network.save_weights(str(folder / f"{number}.weights.h5"))
        keras.utils.clear_session()


if __name__ == "__main__":
    if sys.argv[1] == "--save":
        save_weights(Path(sys.argv[2]))
    else:
        main(*map(Path, sys.argv[1:5]))
