"""Makes a model folder of the authors' public Keras-2 weight files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wmhseg.errors import UsageError
from wmhseg.io import checksums
from wmhseg.networks import catalogue
from wmhseg.weights import keras2, methods, preset, store
from wmhseg.weights.inputs import WMH_ALONE, Input, inputs_of_channels
from wmhseg.weights.preset import NetworkOption, Preset
from wmhseg.weights.store import Model


@dataclass(frozen=True)
class Import:
    """What the imported files are.

    Attributes:
        name: Name of the new model: small letters, digits, '.', '_' and '-'.
        method: Name in ``wmhseg.weights.methods.METHODS``; "released" goes with the public weights.
        network: Name in ``wmhseg.networks.catalogue.NETWORKS``.
        options: Arguments of the network besides its signature.
        inputs: What the network takes: as published FLAIR and T1.
        licence: Licence of the files.
    """

    name: str
    method: str = "released"
    network: str = "unet"
    options: Mapping[str, NetworkOption] = field(default_factory=dict)
    inputs: tuple[Input, ...] = inputs_of_channels(2, "error")
    licence: str = "unknown: see where the files come from"


def import_keras2(files: Sequence[Path], what: Import, *, into: Path | None = None) -> Model:
    """Imports weights-only HDF5 files of Keras 2, one a member.

    Only arrays are read; nothing in the files is executed. They are stored as float32, so that
    nothing of them is lost.

    Args:
        files: The HDF5 files.
        what: What they are.
        into: Folder that holds models; None for the user's own (``store.user_folder``).

    Returns:
        The new model.

    Raises:
        UsageError: If the method or the network is not known.
        InputError: If a file is missing or cannot be read.
        WeightsError: If a file is not such a file, or its shapes are not the network's.
        PresetError: If the name is not valid or is taken.
        OutputError: If the folder cannot be written to, or the disk is full.
    """
    if what.method not in methods.METHODS:
        raise UsageError(
            "A preset out of " + ", ".join(methods.METHODS) + " was expected",
            received=f'"{what.method}"',
        )
    method = methods.METHODS[what.method]
    made = Preset(
        format=preset.FORMAT,
        name=what.name,
        description=f"Imported Keras-2 weights: {', '.join(map(_name, files))}.",
        licence=what.licence,
        training_data="as the authors of the files say (not recorded in them)",
        reference=method.reference,
        inputs=what.inputs,
        labels=WMH_ALONE,
        preprocessing=method.preprocessing,
        postprocessing=method.postprocessing,
        members=(),
    )
    members = tuple(
        preset.unwritten_member(f"{number}.safetensors", what.network, what.options, made.signature)
        for number in range(len(files))
    )
    made = preset.with_changes(made, members=members)  # checked before the files: they take longer
    described = catalogue.describe(what.network, made.signature, what.options)
    expected = list(described.variables().items())
    tensors = [keras2.read(path, expected) for path in files]
    folder = (into or store.user_folder()) / what.name
    return store.save_model(folder, made, tensors, _card(made, files), dtype="float32")


def _name(path: Path) -> str:
    """Name of a file without what a preset's texts may not hold."""
    return "".join(c if c.isprintable() else "?" for c in path.name)


def _card(made: Preset, files: Sequence[Path]) -> str:
    lines = "\n".join(f"| {_name(path)} | {checksums.sha256_of(path)} |" for path in files)
    return f"""# {made.name}

Imported from Keras-2 weight files by `wmhseg models import`. wmhseg did not train them and has
measured nothing with them; their licence is: {made.licence}.

Method: {made.reference}

| file | sha256 |
|---|---|
{lines}
"""
