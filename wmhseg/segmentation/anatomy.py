"""The anatomy of a scan: the structure that each voxel is of, named by a network.

The scan is read, checked and prepared as it is to be segmented, and what was prepared for a model
of hyperintensities that takes the same serves here as well.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wmhseg.channels.network_input import NetworkInput
from wmhseg.engines import interface
from wmhseg.engines.runtime import Runtime
from wmhseg.errors import UnknownModelError, UsageError
from wmhseg.geometry import Grid, Triple
from wmhseg.io import images
from wmhseg.io.progress import Progress
from wmhseg.io.sources import Image, Source
from wmhseg.segmentation import ensemble
from wmhseg.segmentation.loading import Loaded, Loader, Stopwatch
from wmhseg.segmentation.options import Options
from wmhseg.weights import preset as presets
from wmhseg.weights import store
from wmhseg.weights.methods import is_published
from wmhseg.weights.preset import Preset
from wmhseg.weights.store import Model
from wmhseg.weights.structures import NUMBER, STRUCTURES

DEFAULT_MODEL = "anatomy-synthetic"
_AT_ONCE = 32
"""Slices whose probabilities are held in full precision."""

Float = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The structures of a scan, on the FLAIR scan's grid.

    Attributes:
        labels: (slice, row, column) uint8 in the file's own orientation, numbers of
            ``wmhseg.weights.structures.STRUCTURES``; 0 outside the network's field. Left and right
            are the patient's, whatever the order of the file's axes.
        grid: Where the voxels lie.
        model: The preset of the model that named them.
        t1_used: Whether the networks saw a T1 scan.
        runtime: What it was computed with, and on.
        warnings: Sentences for a report.
        seconds: Stage -> wall-clock seconds.

    >>> import wmhseg
    >>> found = wmhseg.anatomy("FLAIR.nii.gz", "T1.nii.gz")
    >>> found.labels.dtype, found.labels.shape == found.grid.shape
    (dtype('uint8'), True)
    >>> ventricles = found.where("left-lateral-ventricle", "right-lateral-ventricle")
    >>> bool(sum(found.volumes_ml().values()) > ventricles.sum() * found.grid.voxel_ml)
    True
    """

    labels: Labels
    grid: Grid
    model: Preset
    t1_used: bool
    runtime: Runtime
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]

    def where(self, *names: str) -> npt.NDArray[np.bool_]:
        """The voxels of some structures, (slice, row, column).

        Args:
            names: Out of ``STRUCTURES``.
        """
        wanted = np.zeros(len(STRUCTURES), bool)
        wanted[[NUMBER[name] for name in names]] = True
        found: npt.NDArray[np.bool_] = wanted[self.labels]
        return found

    def volumes_ml(self) -> dict[str, float]:
        """Structure -> its volume, without the background."""
        counts = np.bincount(self.labels.ravel(), minlength=len(STRUCTURES)) * self.grid.voxel_ml
        return dict(zip(STRUCTURES[1:], counts[1:].tolist(), strict=True))

    def to_image(self) -> Image:
        """Returns the labels as a SimpleITK image."""
        return images.to_image(self.labels, self.grid)


def installed() -> Model | None:
    """The model that names structures; None where it is not installed.

    Raises:
        ModelError: If it is damaged.
    """
    try:
        return store.find(DEFAULT_MODEL)
    except UnknownModelError:
        return None


class Anatomist(Loader):
    """A model that names structures, and a started engine, for one scan after another.

    What a ``Segmenter`` has loaded, and its engine, serve here as well where both models take the
    same, as those of ours do that are made of U-Nets.

    >>> import wmhseg
    >>> segmenter = wmhseg.Segmenter("mixed-tuned", wmhseg.Options(device="cpu"))
    >>> loaded = segmenter.load("FLAIR.nii.gz")
    >>> anatomist = wmhseg.Anatomist(engine=segmenter.start())
    >>> anatomist.takes_from(segmenter)
    True
    >>> marked, named = segmenter.compute(loaded), anatomist.compute(loaded)
    >>> marked.mask.shape == named.labels.shape
    True
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Model = DEFAULT_MODEL,
        options: Options | None = None,
        engine: interface.Engine | None = None,
    ) -> None:
        """Finds the model; the engine is started when the first scan is computed.

        Args:
            model: Name or folder of an installed model.
            options: How to run; those about marks do not matter.
            engine: A started engine, such as that of a ``Segmenter``.

        Raises:
            ModelError: If there is no such model, or its preset is not valid.
            UsageError: If it does not name structures.
        """
        chosen = model if isinstance(model, Model) else store.find(model)
        if not chosen.preset.labels.anatomical:
            raise UsageError(
                "A model that names the structures of a head was expected",
                received=f"{chosen.preset.name}, which marks {', '.join(chosen.preset.marked)}",
                advice=f"Use --model {DEFAULT_MODEL}.",
            )
        super().__init__(chosen, options, engine)

    def takes_from(self, other: Loader) -> bool:
        """Whether what another has loaded is what this one would load."""
        own, given = self.model.preset, other.model.preset
        return (
            (own.inputs, own.preprocessing) == (given.inputs, given.preprocessing)
            and (self.scale, self.options.steps) == (other.scale, other.options.steps)
            and is_published(own) == is_published(given)
        )

    def compute(self, loaded: Loaded, progress: Progress | None = None) -> Anatomy:
        """Names the structures of a loaded scan.

        Args:
            loaded: What ``load`` returned, or ``load`` of one that this ``takes_from``.
            progress: Called with (done, total) while the networks compute.

        Raises:
            ModelError: If weights are missing, damaged, or not the network's.
            DeviceError: If the engine, device or precision asked for is not there.
        """
        watch = Stopwatch()
        watch.seconds.update(loaded.seconds)
        with watch.stage("start engine"):
            engine = self.start()
        # Steps that were taken may have changed the preprocessing.
        prepared = loaded.aligned.preset.preprocessing
        chosen = Model(self.model.folder, replace(self.model.preset, preprocessing=prepared))
        with watch.stage("predict"):
            probabilities = _probabilities(
                loaded.inputs, chosen, engine, batch=self.options.batch, progress=progress
            )
        with watch.stage("restore"):
            labels = loaded.around.restore(_labels(probabilities, loaded.inputs))
        return Anatomy(
            labels,
            loaded.flair.grid,
            self.model.preset,
            loaded.has_t1,
            engine.runtime,
            loaded.inputs.warnings,
            watch.seconds,
        )


def _probabilities(
    inputs: NetworkInput,
    model: Model,
    engine: interface.Engine,
    *,
    batch: int | None,
    progress: Progress | None,
) -> npt.NDArray[np.float16]:
    """(slice, row, column, structure) on the networks' voxels, in half precision: it is many."""
    slices, rows, columns = inputs.way.target.shape
    model = Model(model.folder, presets.on_slices(model.preset, rows, columns))
    made = np.zeros((slices, rows, columns, len(STRUCTURES)), np.float16)
    for first in range(0, slices, _AT_ONCE):
        here = slice(first, min(first + _AT_ONCE, slices))
        stacks = {port: stack[here] for port, stack in inputs.stacks.items()}
        made[here] = ensemble.mean_probability(stacks, model, engine, batch=batch)
        if progress is not None:
            progress(here.stop, slices)
    if inputs.alone is not None:  # where T1 shows nothing
        said = ensemble.mean_probability(inputs.alone.stacks, model, engine, batch=batch)
        for place, where, plane in zip(inputs.alone.slices, inputs.alone.where, said, strict=True):
            made[place][where] = plane[where]
    return made


def _labels(probabilities: npt.NDArray[np.float16], inputs: NetworkInput) -> Labels:
    """The most probable structure of each voxel of the scan, in the order of the file.

    Probabilities are brought back to the scan's own voxels, and not labels, which have no means. Of
    equal ones the first structure counts.
    """
    way = inputs.way
    turned = way.parts[0].target
    best = way.restore(probabilities[..., 0].astype(np.float32), to=turned)
    labels = np.zeros(turned.shape, np.uint8)
    for number in range(1, len(STRUCTURES)):
        one = way.restore(probabilities[..., number].astype(np.float32), to=turned)
        more = one > best
        labels[more] = number
        best = np.maximum(best, one, out=best)
    restored: Labels = way.parts[0].restore(labels)
    if inputs.unknown is not None:
        restored[inputs.unknown] = 0
    return restored


def anatomy(
    flair: Source,
    t1: Source | None = None,
    *,
    spacing_mm: Triple | None = None,
    model: str | os.PathLike[str] | Model = DEFAULT_MODEL,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Anatomy:
    """Names the structure of each voxel of a scan: ventricles, cortex, white matter and so on.

    Args:
        flair: FLAIR scan: a path, a SimpleITK or nibabel image, or an array (slice, row, column).
        t1: T1 scan of the same head, in the same forms, or None.
        spacing_mm: Voxel size (slice, row, column) in mm; needed for arrays, which are taken to
            be axial in LPS order.
        model: Name or folder of an installed model that names structures.
        options: How to run; those about marks do not matter.
        progress: Called with (done, total) while the networks compute.

    Returns:
        The structures; nothing is written.

    Raises:
        WmhsegError: One of its children, each with one clear sentence.

    >>> import wmhseg
    >>> sorted(wmhseg.anatomy("FLAIR.nii.gz").volumes_ml())[:3]
    ['brainstem', 'cerebellum', 'cortex']
    """
    anatomist = Anatomist(model, options)
    return anatomist.compute(anatomist.load(flair, t1, spacing_mm=spacing_mm), progress)
