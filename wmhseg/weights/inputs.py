"""What a model takes and what it says of each pixel: its inputs and labels, and their checks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from wmhseg.networks.signature import SCAN, Activation
from wmhseg.records import added, require
from wmhseg.weights.structures import STRUCTURES

MAX_INPUTS = 64
MAX_LABELS = 256
MAX_SLICES_AWAY = 8
Modality = Literal["FLAIR", "T1", "MNI"]
HowIntensities = Literal["z-score", "8-bit", "top-hat", "unit", "brain-score"]
HowLocation = Literal[
    "x", "y", "z", "left-ventricle", "right-ventricle", "cortex", "midsagittal", "prior"
]
How = Literal[HowIntensities, HowLocation]
OF_INTENSITIES: tuple[How, ...] = get_args(HowIntensities)
OF_LOCATION: tuple[How, ...] = get_args(HowLocation)
BRAIN_SCORE: How = "brain-score"
"""The way that needs to know where the brain is: for models that are told of location as well."""
WMH = "WMH"
"""The label that masks are made of."""


@dataclass(frozen=True)
class Input:
    """One channel of what a network takes.

    Attributes:
        name: What it is called, unique in the model.
        scan: The scan that it is made from; "MNI" for where voxels lie in the brain, which is found
            by registration to maps in MNI space.
        how: How it is made. Of intensities: "z-score" normalised within the brain mask, see
            Preprocessing; "8-bit" in 256 steps less 127, from -127 to 128; "top-hat" the bright
            spots of less than 25 pixels in each slice of these, less 127; "unit" from 0 to 1;
            "brain-score" normalised robustly within the brain that registration to MNI space
            finds, and 0 outside of it. Of location, each from 0 to 1 in the brain: "x", "y" and "z"
            in MNI space, distances within the slice from the ventricles, the cortex and the
            midsagittal plane, and the "prior" probability of hyperintensities.
        if_missing: What happens when that scan is not given: an error, or a channel of zeros, for
            weights that were also trained with it.
        port: The input layer of the networks that it is a channel of. The channels of a port come
            in the order of the list.
        slice: Which slice it shows: 0 the slice itself, 1 the next, -1 the one before. Beyond the
            ends stands the last one.
    """

    name: str
    scan: Modality
    how: How
    if_missing: Literal["error", "zero"]
    port: str = SCAN
    slice: int = added(0)


@dataclass(frozen=True)
class Labels:
    """What the networks say of each pixel.

    Attributes:
        names: One name a map of the output, in its order.
        activation: "sigmoid" for labels that do not depend on each other, "softmax" for labels of
            which each pixel has exactly one.
    """

    names: tuple[str, ...]
    activation: Activation

    @property
    def anatomical(self) -> bool:
        """Whether they are the structures of a head, and WMH is none of them."""
        return self.names == STRUCTURES

    @property
    def wmh(self) -> int:
        """Place of WMH among the maps; not for anatomical labels."""
        return self.names.index(WMH)


WMH_ALONE = Labels((WMH,), "sigmoid")


def inputs_of_channels(channels: int, without_t1: Literal["error", "zero"]) -> tuple[Input, ...]:
    """The inputs that presets of format 1 and plans of training tell by a number of channels.

    Args:
        channels: 2 for FLAIR and T1, 1 for FLAIR alone.
        without_t1: What happens when no T1 is given; it does not matter for FLAIR alone.

    Raises:
        MismatchError: If there is another number of channels.
    """
    require(channels in (1, 2), "channels", "1 or 2", channels)
    flair = Input("FLAIR", "FLAIR", "z-score", "error")
    return (flair, Input("T1", "T1", "z-score", without_t1))[:channels]


def check_inputs(inputs: tuple[Input, ...]) -> None:
    """Checks what types alone do not say.

    Raises:
        MismatchError: If two inputs have one name, none is made from FLAIR, or a name is odd.
    """
    most = MAX_INPUTS
    require(1 <= len(inputs) <= most, "inputs", f"1 to {most} inputs", len(inputs))
    names = [one.name for one in inputs]
    require(len(set(names)) == len(names), "inputs", "a name of its own for each input", names)
    scans = [one.scan for one in inputs]
    require("FLAIR" in scans, "inputs", "an input made from FLAIR", scans)
    placed = "MNI" in scans or all(one.how != BRAIN_SCORE for one in inputs)
    require(placed, "inputs", f"an input made from MNI beside {BRAIN_SCORE}", scans)
    for number, one in enumerate(inputs):
        where = f"inputs[{number}]"
        _check_word(one.name, f"{where}.name")
        require(
            bool(re.fullmatch(r"[a-z][a-z0-9_]{0,63}", one.port)),
            f"{where}.port",
            "a name of small letters, digits and '_'",
            one.port,
        )
        require(
            one.scan == "T1" or one.if_missing == "error",
            f"{where}.if_missing",
            "'error', as FLAIR is always given,",
            one.if_missing,
        )
        fitting = OF_LOCATION if one.scan == "MNI" else OF_INTENSITIES
        if one.scan == "T1":  # in which hyperintensities are dark
            fitting = tuple(how for how in fitting if how != "top-hat")
        require(
            one.how in fitting,
            f"{where}.how",
            f"a way of {one.scan}: {', '.join(fitting)}",
            one.how,
        )
        away = MAX_SLICES_AWAY
        require(-away <= one.slice <= away, f"{where}.slice", f"-{away} to {away}", one.slice)


def check_labels(labels: Labels) -> None:
    """Checks what types alone do not say.

    Raises:
        MismatchError: If they are no structures and WMH is not among them, two have one name, or a
            name is odd.
    """
    names = labels.names
    require(1 <= len(names) <= MAX_LABELS, "labels.names", f"1 to {MAX_LABELS} names", len(names))
    for number, name in enumerate(names):
        _check_word(name, f"labels.names[{number}]")
    require(len(set(names)) == len(names), "labels.names", "names that differ", names)
    known = WMH in names or labels.anatomical
    require(known, "labels.names", f'"{WMH}" among the names, or all structures', names)
    exclusive = labels.activation == "softmax" or not labels.anatomical
    require(exclusive, "labels.activation", '"softmax" (structures)', labels.activation)
    require(
        labels.activation != "softmax" or len(names) >= 2,
        "labels.names",
        "at least 2 names (softmax)",
        names,
    )


def _check_word(text: str, where: str) -> None:
    """A short text that can stand in a line of a report."""
    fits = 1 <= len(text) <= 64 and text.isprintable() and text == text.strip()
    require(fits, where, "1 to 64 printable characters", text)
