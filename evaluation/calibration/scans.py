"""The tallies of scans, synthetic and real: computed once and kept.

Voxels are those that the networks see: of a real scan, after it was brought to them as ``wmhseg
segment`` does it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import wmhseg
from evaluation.calibration import tally
from evaluation.calibration.tally import Tally
from evaluation.rules import maps
from evaluation.small_lesions import scans
from wmhseg import errors, geometry
from wmhseg.channels.network_input import NetworkInput
from wmhseg.datasets.cases import Case
from wmhseg.geometry import Way, turn_to
from wmhseg.io import files, images
from wmhseg.io.stamps import Stamp, fingerprint
from wmhseg.segmentation import ensemble, postprocessing
from wmhseg.synthesis import heads
from wmhseg.synthesis.heads import Head
from wmhseg.synthesis.recipe import Recipe
from wmhseg.training.batches import drawn
from wmhseg.weights import preset as presets
from wmhseg.weights.inputs import WMH
from wmhseg.weights.store import Model

Mask = npt.NDArray[np.bool_]

# Apart from every seed of a training plan.
SEED = 141_421
RECIPE = Recipe()


@dataclass(frozen=True, eq=False)
class People:
    """Whom synthetic scans are drawn of.

    Attributes:
        files: Prepared heads or label maps, and
        heads: what they hold.
    """

    files: tuple[Path, ...]
    heads: tuple[Head, ...]


def last_people(folder: Path, count: int) -> People:
    """The last heads of a folder, in the order of their names, which a training leaves out.

    Raises:
        InputError: If there is none, or one cannot be read.
    """
    chosen = tuple(heads.head_files(folder)[-count:])
    return People(chosen, tuple(heads.load_file(path) for path in chosen))


@dataclass(frozen=True)
class Work:
    """How scans are counted.

    Attributes:
        segmenter: Of the model.
        folder: Where tallies are kept.
        slices: At most so many of a scan, evenly spread over those that are computed: the networks
            look at each slice alone.
    """

    segmenter: wmhseg.Segmenter
    folder: Path
    slices: int

    def fingerprint(self, salt: str, *given: Path) -> str:
        """Changes with all that a tally depends on."""
        return fingerprint(f"{maps.identity(self.segmenter)} {self.slices} {salt}", *given)

    def stamp(self, name: str) -> Stamp:
        """Where the tally of a scan is kept."""
        path = self.folder / self.segmenter.model.preset.name / f"{name}.npz"
        return Stamp(path.with_suffix(".json"), (path,))


def of_case(work: Work, case: Case) -> Tally:
    """Counts voxels of a real scan, but for those of label 2.

    Args:
        work: How.
        case: The scan and its reference.

    Raises:
        MissingFileError: If it has no FLAIR scan, or no reference.
        GridMismatchError: If its reference lies elsewhere.
    """
    if case.flair is None or case.reference is None:
        raise errors.MissingFileError(
            "A FLAIR scan and a reference were expected", received=f"not both of {case.name}"
        )
    t1 = case.t1 if work.segmenter.model.preset.takes_t1 else None
    stamp = work.stamp(case.name)
    given = [one for one in (case.flair, t1, case.reference) if one is not None]
    today = work.fingerprint("", *given)
    if stamp.read(today) is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", errors.WmhsegWarning)
            loaded = work.segmenter.load(case.flair, t1)
        labels, there = images.read_labels(case.reference)
        turn = geometry.turn_between(there, loaded.flair.grid)
        if turn is None:
            raise errors.GridMismatchError(
                f"{case.name}: scan and reference on one grid were expected",
                received=loaded.flair.grid.difference(there),
            )
        reference = np.ascontiguousarray(turn.forward(labels))
        marked, other = (
            loaded.inputs.way.forward(
                loaded.around.forward((reference == label).astype(np.float32))
            )
            > 0.5
            for label in (1, 2)
        )
        _keep(stamp, today, _counted(work, loaded.inputs, marked, ~other))
    return _kept(stamp)


def of_number(work: Work, people: People, number: int) -> Tally:
    """Counts voxels of a synthetic scan.

    Args:
        work: How.
        people: To draw from.
        number: Of the scan.
    """
    stamp = work.stamp(f"synthetic-{number:03d}")
    today = work.fingerprint(f"{RECIPE} {SEED} {number}", *people.files)
    if stamp.read(today) is None:
        one = scans.seen(SEED, number, people.heads, RECIPE)
        stacks = drawn.stacks_of(one.scan, work.segmenter.model.preset.inputs)
        inputs = NetworkInput(stacks, Way((turn_to(one.grid, "stored"),)), {}, ())
        marked = np.asarray(one.scan.target, bool)
        _keep(stamp, today, _counted(work, inputs, marked, np.ones_like(marked)))
    return _kept(stamp)


def _counted(work: Work, inputs: NetworkInput, marked: Mask, counts: Mask) -> Tally:
    """Counts the voxels of some slices.

    Args:
        work: Which slices.
        inputs: What networks take.
        marked: The reference on their voxels, and
        counts: the voxels that are neither right nor wrong there left out.
    """
    model = work.segmenter.model
    _, rows, columns = inputs.way.target.shape
    model = Model(model.folder, presets.on_slices(model.preset, rows, columns))
    kept = postprocessing.kept_slices(len(marked), model.preset.postprocessing, inputs.head)
    chosen = np.unique(np.linspace(kept.start, kept.stop - 1, work.slices).round().astype(int))
    stacks = {port: stack[chosen] for port, stack in inputs.stacks.items()}
    said = ensemble.mean_probability(stacks, model, work.segmenter.start())
    probability = said[..., model.preset.labels.names.index(WMH)]
    where = counts[chosen]
    return tally.of(probability[where], marked[chosen][where])


def _keep(stamp: Stamp, today: str, found: Tally) -> None:
    (path,) = stamp.outputs
    stamp.clear()
    files.check_writable(path.parent)
    arrays = {"marked": found.marked, "clear": found.clear}
    files.write_atomically(path, lambda file: np.savez_compressed(file, **arrays))
    stamp.write(today)


def _kept(stamp: Stamp) -> Tally:
    with np.load(stamp.outputs[0]) as stored:
        return Tally(stored["marked"], stored["clear"])
