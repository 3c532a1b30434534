"""The pipeline: read, check, align, prepare, predict, report.

Here stand the order, the times, and what is put into the report; how each step works stands in a
module of its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from wmhseg.checking import examine, findings
from wmhseg.engines import interface, runtime
from wmhseg.engines.start import start_engine
from wmhseg.geometry import Triple
from wmhseg.io import sources
from wmhseg.io.images import Scan
from wmhseg.io.progress import Progress
from wmhseg.io.sources import Source
from wmhseg.measures import lesions
from wmhseg.preparation import bad_slices, levels, network_input, one_grid, sizes
from wmhseg.preparation.network_input import NetworkInput
from wmhseg.reporting.report import Report, ScaleReport
from wmhseg.segmentation import postprocessing, prediction
from wmhseg.segmentation.options import Options
from wmhseg.segmentation.result import Segmentation
from wmhseg.weights import preset, store
from wmhseg.weights.methods import is_published
from wmhseg.weights.store import Model

_CONSENT = (
    "Look at the scans and check the names of the files. To segment them all the same: "
    "--on-unsuitable warn."
)


class _Stopwatch:
    """Seconds spent in named stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0) + time.perf_counter() - started


@dataclass(frozen=True)
class Loaded:
    """A scan that has been read and prepared, ready for the networks.

    Attributes:
        flair: The FLAIR scan as it was given.
        aligned: What was done to it before preparation; without the voxels of T1.
        inputs: What the networks take, the whole way back to ``flair``, and all warnings.
        seconds: Stage -> wall-clock seconds so far.
    """

    flair: Scan
    aligned: one_grid.Aligned
    inputs: NetworkInput
    seconds: dict[str, float]

    @property
    def has_t1(self) -> bool:
        """Whether the networks see a T1 scan."""
        return self.aligned.t1_place is not None


class Segmenter:
    """A model and a started engine for one scan after another.

    ``load`` reads and prepares a scan without the engine, so that a second thread may do it for
    the next scan while ``compute`` works on this one. Several threads may segment with one
    segmenter: they share its engine, one member of one scan at a time. A process that is forked
    after an engine has started cannot compute and says so; start processes by "spawn".

    >>> import wmhseg
    >>> segmenter = wmhseg.Segmenter("unet-synthetic", wmhseg.Options(device="cpu"))
    >>> pairs = [("FLAIR.nii.gz", "T1.nii.gz"), ("FLAIR.nii.gz", None)]  # T1 or not
    >>> results = [segmenter.segment(flair, t1) for flair, t1 in pairs]
    >>> [result.report.lesions.volume_ml > 0 for result in results]
    [True, True]
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Model = store.DEFAULT_MODEL,
        options: Options | None = None,
        engine: interface.Engine | None = None,
    ) -> None:
        """Finds the model; the engine is started when the first scan is computed.

        Args:
            model: Name or folder of an installed model.
            options: How to run.
            engine: A started engine; the options' engine, device, threads and precision do not
                matter then.

        Raises:
            ModelError: If there is no such model, or its preset is not valid.
        """
        self.options = options or Options()
        chosen = model if isinstance(model, Model) else store.find(model)
        changed = preset.with_postprocessing(
            chosen.preset,
            threshold=self.options.threshold,
            min_lesion_mm3=self.options.min_lesion_mm3,
            lesion_peak=self.options.lesion_peak,
        )
        self.model = Model(chosen.folder, changed)
        self._engine = engine
        self._starting = threading.Lock()

    def start(self) -> interface.Engine:
        """Starts the engine, once.

        Raises:
            DeviceError: If the engine, device or precision asked for is not there.
        """
        with self._starting:
            if self._engine is None:
                want = self.options
                self._engine = start_engine(want.engine, want.device, want.threads, want.precision)
            return self._engine

    def load(
        self,
        flair: Source,
        t1: Source | None = None,
        *,
        spacing_mm: Triple | None = None,
    ) -> Loaded:
        """Reads, checks and prepares a scan; arguments and errors as those of ``segment``."""
        watch = _Stopwatch()
        with watch.stage("read"):
            flair_scan = sources.read(flair, spacing_mm, name="FLAIR")
            t1_scan = None if t1 is None else sources.read(t1, spacing_mm, name="T1")
        for scan in filter(None, (flair_scan, t1_scan)):
            sizes.check_size(scan)
        with watch.stage("check"):
            found = examine.examine(flair_scan, t1_scan if self.model.preset.takes_t1 else None)
            if self.options.on_unsuitable == "error" and not is_published(self.model.preset):
                findings.check_suitable(found, _CONSENT)
        with watch.stage("raw"):
            ours = not is_published(self.model.preset)
            whole, unknown, bad = bad_slices.left_out(flair_scan, adapt=ours)
            t1_unknown = None
            if t1_scan is not None and self.model.preset.takes_t1:
                t1_scan, t1_unknown, more = bad_slices.left_out(t1_scan, adapt=ours)
                bad += more
            flair_level, t1_level, levelling = self._levelled(whole, t1_scan)
            aligned = one_grid.align(
                flair_level, t1_level, self.model.preset, self.options.steps, t1_unknown
            )
            del flair_level, whole, t1_level, t1_scan, t1_unknown
        with watch.stage("prepare"):
            scale = self.options.intensity_scale
            inputs = network_input.prepare(
                aligned.flair,
                aligned.t1,
                aligned.preset,
                intensity_scale=scale,
                t1_seen=aligned.t1_seen,
            )
        post = aligned.preset.postprocessing
        doubts = findings.warnings(found, t1_coverage_known=aligned.steps.registration.applied)
        inputs = replace(
            inputs,
            way=aligned.way.then(inputs.way),
            unknown=unknown,
            warnings=(
                *doubts,
                *bad,
                *levelling,
                *aligned.warnings,
                *inputs.warnings,
                *postprocessing.warnings(
                    len(next(iter(inputs.stacks.values()))), post, inputs.head
                ),
            ),
        )
        # The voxels of T1 have done their work, and the largest scans need the room.
        return Loaded(flair_scan, replace(aligned, t1=None, t1_seen=None), inputs, watch.seconds)

    def _levelled(self, flair: Scan, t1: Scan | None) -> tuple[Scan, Scan | None, list[str]]:
        """Scans whose intensities begin at 0, and what is to be said about others."""
        preset = self.model.preset
        adapt = self.options.intensity_scale == "adapt" and not is_published(preset)
        flair, told = levels.levelled(flair, adapt=adapt)
        if t1 is not None and preset.takes_t1:
            t1, more = levels.levelled(t1, adapt=adapt)
            told += more
        return flair, t1, told

    def segment(
        self,
        flair: Source,
        t1: Source | None = None,
        *,
        spacing_mm: Triple | None = None,
        progress: Progress | None = None,
    ) -> Segmentation:
        """``load``, then ``compute``; arguments and errors as those of ``wmhseg.segment``."""
        return self.compute(self.load(flair, t1, spacing_mm=spacing_mm), progress)

    def compute(self, loaded: Loaded, progress: Progress | None = None) -> Segmentation:
        """Computes the mask of a loaded scan.

        Args:
            loaded: What ``load`` returned.
            progress: Called with (done, total) while the networks compute.

        Raises:
            ModelError: If weights are missing, damaged, or not the network's.
            DeviceError: If the engine, device or precision asked for is not there.
        """
        watch = _Stopwatch()
        watch.seconds.update(loaded.seconds)
        with watch.stage("start engine"):
            engine = self.start()
        aligned, inputs = loaded.aligned, loaded.inputs
        chosen = Model(self.model.folder, aligned.preset)
        made = prediction.predict(
            inputs, chosen, engine, batch=self.options.batch, progress=progress
        )
        watch.seconds.update(made.seconds)
        grid = loaded.flair.grid
        with watch.stage("restore"):
            summary = lesions.summarise(made.mask, grid.voxel_ml)
        written = Report(
            lesions=summary,
            grid=grid,
            model=chosen.preset,
            runtime=engine.runtime,
            t1_used=loaded.has_t1,
            intensity_scale=ScaleReport(self.options.intensity_scale, inputs.scales),
            steps=aligned.steps,
            slices_computed=made.slices_computed,
            versions=runtime.versions(engine.runtime.backend),
            seconds=watch.seconds,
            warnings=inputs.warnings,
        )
        return Segmentation(
            made.mask, made.probability, grid, written, loaded.flair, aligned.t1_place
        )


def segment(
    flair: Source,
    t1: Source | None = None,
    *,
    spacing_mm: Triple | None = None,
    model: str | os.PathLike[str] | Model = store.DEFAULT_MODEL,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Segmentation:
    """Segments white matter hyperintensities.

    Args:
        flair: FLAIR scan: a path, a SimpleITK image, or an array (slice, row, column).
        t1: T1 scan of the same head, in the same forms; None with a model that works on FLAIR
            alone. On another grid it is registered first.
        spacing_mm: Voxel size (slice, row, column) in mm; needed for arrays, which are taken to
            be axial in LPS order.
        model: Name or folder of an installed model.
        options: How to run.
        progress: Called with (done, total) while the networks compute.

    Returns:
        The segmentation; nothing is written. For many scans use ``Segmenter``, which starts the
        engine once.

    Raises:
        WmhsegError: One of its children, each with one clear sentence.

    >>> import wmhseg
    >>> result = wmhseg.segment("FLAIR.nii.gz", "T1.nii.gz")
    >>> result.mask.dtype, result.mask.shape == result.probability.shape
    (dtype('uint8'), True)
    >>> result.report.lesions.volume_ml > 0
    True
    """
    return Segmenter(model, options).segment(flair, t1, spacing_mm=spacing_mm, progress=progress)
