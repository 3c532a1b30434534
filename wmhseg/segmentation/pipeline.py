"""The pipeline: read, prepare, predict, restore, label, write.

It calls the other modules in this order and does no arithmetic of its own.
"""

from __future__ import annotations

import os
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
from wmhseg.preparation import network_input, one_grid
from wmhseg.preparation.network_input import Prepared
from wmhseg.reporting import report
from wmhseg.segmentation import ensemble, postprocessing
from wmhseg.segmentation.options import Options
from wmhseg.segmentation.result import Segmentation
from wmhseg.weights import preset, store
from wmhseg.weights.store import Model


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
        ready: What was done to it before preparation, and the way back; without T1.
        has_t1: Whether the networks see a T1 scan.
        prepared: What the networks take.
        seconds: Stage -> wall-clock seconds so far.
    """

    flair: Scan
    ready: one_grid.Ready
    has_t1: bool
    prepared: Prepared
    seconds: dict[str, float]


class Segmenter:
    """A model and a started engine for one scan after another.

    ``load`` reads and prepares a scan without the engine, so that a second thread may do it for
    the next scan while ``compute`` works on this one. ``compute`` is for one thread at a time.

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

    def start(self) -> interface.Engine:
        """Starts the engine, once.

        Raises:
            DeviceError: If the engine, device or precision asked for is not there.
        """
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
        """Reads and prepares a scan; arguments and errors as those of ``segment``."""
        watch = _Stopwatch()
        with watch.stage("read"):
            flair_scan = sources.read(flair, spacing_mm, name="FLAIR")
            t1_scan = None if t1 is None else sources.read(t1, spacing_mm, name="T1")
        with watch.stage("check"):
            doubts = findings.warnings(examine.examine(flair_scan, t1_scan))
        with watch.stage("raw"):
            ready = one_grid.ready(flair_scan, t1_scan, self.model.preset, self.options.steps)
        with watch.stage("prepare"):
            scale = self.options.intensity_scale
            prepared = network_input.prepare(
                ready.flair, ready.t1, ready.preset, intensity_scale=scale
            )
            told = (*doubts, *ready.warnings, *prepared.warnings)
            prepared = replace(prepared, warnings=told)
        # The voxels of T1 have done their work, and the largest scans need the room.
        has_t1 = ready.t1 is not None
        return Loaded(flair_scan, replace(ready, t1=None), has_t1, prepared, watch.seconds)

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
        prepared, ready = loaded.prepared, loaded.ready
        chosen = Model(self.model.folder, ready.preset)
        post, way = chosen.preset.postprocessing, prepared.conformation
        with watch.stage("predict"):
            kept = postprocessing.kept_slices(way.slices, post)
            probability = ensemble.wmh_probability(
                prepared.stacks, chosen, engine, batch=self.options.batch, progress=progress
            )
        with watch.stage("restore"):
            # Peaks are judged on the network's voxels, as interpolation flattens them; the mask is
            # cut on the scan's own: one that is resampled loses its small lesions.
            sure = postprocessing.without_doubtful(probability, post)
            original = ready.way.restore(way.restore(sure))
            mask = ready.to_file_order(postprocessing.to_mask(original, post))
            mask = postprocessing.without_small(mask, loaded.flair.grid.voxel_ml, post)
            if sure is not probability:
                del original  # the largest scans need the room
                original = ready.way.restore(way.restore(probability))
            restored = ready.to_file_order(original)
            del original, sure
            found = lesions.summarise(mask, loaded.flair.grid.voxel_ml)
        scale = self.options.intensity_scale
        written = report.Report(
            lesions=found,
            grid=loaded.flair.grid,
            model=chosen.preset,
            runtime=engine.runtime,
            options={"intensity_scale": scale, "t1": loaded.has_t1},
            steps=ready.findings,
            intensity_scale={
                name: {
                    "on_scale": f.on_scale,
                    "factor": f.factor,
                    "applied": not f.on_scale and scale == "adapt",
                }
                for name, f in prepared.scales.items()
            },
            slices_computed=kept.stop - kept.start,
            versions=runtime.versions(engine.runtime.backend),
            seconds=watch.seconds,
            warnings=prepared.warnings,
        )
        place = None if ready.t1_grid is None else (ready.t1_grid, ready.move)
        return Segmentation(mask, restored, loaded.flair.grid, written, loaded.flair, place)


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
