"""Cases with masks as the networks take them, and what the networks should say of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wmhseg.channels import network_input
from wmhseg.channels.network_input import NetworkInput
from wmhseg.datasets.cases import Case
from wmhseg.datasets.contents import not_there
from wmhseg.errors import GridMismatchError, LabelsError, MissingFileError
from wmhseg.io import images
from wmhseg.io.images import Scan
from wmhseg.preparation import intensity, labelled, one_grid
from wmhseg.preparation.steps import Steps
from wmhseg.training import classes, model_folder
from wmhseg.training import plan as plans
from wmhseg.training.plan import Plan
from wmhseg.weights.inputs import Labels
from wmhseg.weights.preset import Preset


@dataclass(frozen=True)
class LabelledInput:
    """What the networks take of a case, and what they should say.

    Attributes:
        inputs: The scans as the networks take them.
        labels: (slice, row, column) of the mask on the scan's own voxels: 0, 1 and 2.
        network_labels: What the networks say.
        flair: The FLAIR scan as stored.
    """

    inputs: NetworkInput
    labels: npt.NDArray[Any]
    network_labels: Labels
    flair: npt.NDArray[np.float32]

    @property
    def stack(self) -> npt.NDArray[np.float32]:
        """(slice, row, column, channel), where networks have one input layer."""
        (stack,) = self.inputs.stacks.values()
        return stack

    @property
    def target(self) -> npt.NDArray[np.uint8]:
        """(slice, row, column) on the network's voxels, see ``classes.targets``."""
        numbers = np.zeros(self.inputs.way.target.shape, np.uint8)
        for number in range(1, len(classes.NAMES)):
            numbers[self._here(self.labels == number)] = number
        return classes.targets(numbers, self.network_labels)

    @property
    def region(self) -> npt.NDArray[np.bool_]:
        """Where patches without a lesion may be: the brain where it is known, else the head."""
        if self.inputs.within is not None:
            return self.inputs.within
        return self._here(intensity.foreground(self.flair))

    @property
    def flair_here(self) -> npt.NDArray[np.float32]:
        """FLAIR on the network's voxels."""
        return self.inputs.way.forward(self.flair)

    def _here(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """A mask on the network's voxels; what is interpolated is cut at one half."""
        here: npt.NDArray[np.bool_] = self.inputs.way.forward(mask.astype(np.float32)) >= 0.5
        return here


def read_case(case: Case, plan: Plan) -> LabelledInput:
    """Reads, checks and prepares a case.

    Args:
        case: Where its files are.
        plan: How to prepare them.

    Raises:
        InputError: If a file is missing or damaged, grids differ, or the mask holds labels
            besides 0, 1 and 2.
    """
    chosen = model_folder.preset_of(plan, ())
    scans = labelled.read_labelled(case, with_t1=chosen.takes_t1)
    if case.t1 is None and not chosen.works_without_t1:
        raise MissingFileError("A T1 scan was expected", received="none")
    difference = scans.flair.grid.difference(scans.grid)
    if difference:
        raise GridMismatchError("FLAIR and mask on one grid were expected", received=difference)
    other = sorted(set(np.unique(scans.labels).tolist()) - {0, 1, 2})
    if other:
        raise LabelsError("The labels 0, 1 and 2 were expected in the mask", received=other[:5])
    inputs = _prepared(scans.flair, scans.t1, chosen, plans.intensity_scale(plan, chosen))
    return LabelledInput(inputs, scans.labels, chosen.labels, scans.flair.array)


def read_lesion_free(case: Case, plan: Plan) -> LabelledInput:
    """Reads and prepares scans in which nothing is to be marked, and which need no mask.

    Args:
        case: Where its files are.
        plan: How to prepare them.

    Raises:
        InputError: If a file is missing or damaged, or grids differ.
    """
    chosen = model_folder.preset_of(plan, ())
    if case.flair is None:
        raise MissingFileError("A FLAIR scan was expected", received=case.scan_problem)
    if chosen.takes_t1 and case.t1 is None and not chosen.works_without_t1:
        raise MissingFileError("A T1 scan was expected", received="none")
    flair = images.read_scan(case.flair, name="FLAIR")
    t1 = images.read_scan(case.t1, name="T1") if chosen.takes_t1 and case.t1 else None
    inputs = _prepared(flair, t1, chosen, plans.intensity_scale(plan, chosen))
    nothing = np.zeros(flair.array.shape, np.uint8)
    return LabelledInput(inputs, nothing, chosen.labels, flair.array)


def _prepared(
    flair: Scan, t1: Scan | None, chosen: Preset, scale: Literal["adapt", "keep"]
) -> NetworkInput:
    """The networks' input, on pixels of the size that the method works on."""
    if chosen.preprocessing.pixel_mm is None:
        return network_input.prepare(flair, t1, chosen, intensity_scale=scale)
    # Files of training lie on one grid and are used as they are: nothing else is to be done.
    asked = Steps(bias_correction="off", registration="off")
    aligned = one_grid.align(flair, t1, chosen, asked)
    inputs = network_input.prepare(aligned.flair, aligned.t1, aligned.preset, intensity_scale=scale)
    return replace(inputs, way=aligned.way.then(inputs.way))


def why_not(case: Case, plan: Plan) -> str:
    """Why ``read_case`` would refuse a case, as far as names and first bytes tell; or ""."""
    chosen = model_folder.preset_of(plan, ())
    t1 = case.t1 if chosen.takes_t1 else None
    if case.problem is not None:
        return str(case.problem)
    if case.flair is None:
        return case.scan_problem
    if t1 is None and not chosen.works_without_t1:
        return "no T1 scan, which this plan needs"
    return not_there({"FLAIR scan": case.flair, "T1 scan": t1, "mask": case.reference})
