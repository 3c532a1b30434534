"""The pipeline: read, prepare, predict, restore, label, write.

It calls the other modules in this order and does no arithmetic of its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from wmhseg import engines, geometry
from wmhseg.checking import examine
from wmhseg.engines import runtime
from wmhseg.errors import UsageError
from wmhseg.geometry import Grid
from wmhseg.io import images
from wmhseg.io.images import Scan
from wmhseg.measures import lesions
from wmhseg.preparation import network_input, one_grid, registration
from wmhseg.preparation.network_input import Prepared
from wmhseg.reporting import report
from wmhseg.reporting.report import Report
from wmhseg.segmentation import ensemble
from wmhseg.weights import preset, store
from wmhseg.weights.store import Model

if TYPE_CHECKING:
    import SimpleITK as sitk

    Source = str | os.PathLike[str] | sitk.Image | npt.NDArray[Any] | Scan

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Options:
    """How to run; what the method is stands in the model's preset.

    Attributes:
        device: "auto" takes a GPU when there is one.
        engine: "keras" is the reference, "openvino" the fastest on a CPU; "auto" takes OpenVINO
            where it is installed and no GPU is used.
        precision: "f32" (float32); "bf16" (bfloat16, on processors and GPUs that have it) and
            "tf32" (TensorFloat-32, on GPUs) are meant to be faster and are not equal to the last
            voxel.
        threads: Processor threads, None for all that may be used.
        batch: Slices computed at once, None for what suits the engine; bounds the memory, never
            changes the result.
        intensity_scale: "adapt" brings a scan whose intensities are not on the challenge's scale
            to it, so that the mask thresholds mean the same; "keep" never does, as the challenge
            ran it, and reports when it would have mattered.
        threshold: Replaces the preset's threshold on the probability.
        min_lesion_mm3: Replaces the preset's smallest lesion volume; 0 keeps all.
        lesion_peak: Replaces the probability that a lesion has to exceed somewhere; 0 keeps all.
        steps: What is done to scans as the scanner gave them; see ``wmhseg.preparation.one_grid``.
    """

    device: runtime.Device = "auto"
    threads: int | None = None
    batch: int | None = None
    intensity_scale: Literal["adapt", "keep"] = "adapt"
    threshold: float | None = None
    min_lesion_mm3: float | None = None
    lesion_peak: float | None = None
    engine: runtime.EngineName = "auto"
    precision: runtime.Precision = "f32"
    steps: one_grid.Steps = field(default_factory=one_grid.Steps)

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            UsageError: If a value is not one of the documented ones.
        """
        if self.intensity_scale not in ("adapt", "keep"):
            raise UsageError(
                'intensity_scale "adapt" or "keep" was expected', received=self.intensity_scale
            )
        runtime.check_choice(self.engine, self.device, self.threads, self.precision)
        if self.batch is not None and self.batch < 1:
            raise UsageError("A batch of at least 1 slice was expected", received=self.batch)


@dataclass(frozen=True)
class Segmentation:
    """A finished segmentation on the FLAIR scan's grid.

    Attributes:
        mask: (slice, row, column) uint8, 1 = WMH, in the file's own orientation.
        probability: Mean probability of the members, float32, same shape; 0 in the end slices
            and outside the network's field, where nothing is computed.
        grid: Where the voxels lie.
        report: Volume, count, model, versions, timings, warnings.
        flair: The FLAIR scan, for overlays.
        t1_place: T1's own grid and the move from FLAIR to T1, None when no T1 was used.
    """

    mask: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.float32]
    grid: Grid
    report: Report
    flair: Scan = field(repr=False)
    t1_place: tuple[Grid, registration.Rigid] | None = field(default=None, repr=False)

    def to_image(self) -> sitk.Image:
        """Returns the mask as a SimpleITK image."""
        return images.to_image(self.mask, self.grid)

    def mask_on_t1(self) -> tuple[npt.NDArray[np.uint8], Grid]:
        """Returns the mask on the T1 scan's own grid, and that grid: voxels that are half WMH.

        Raises:
            UsageError: If no T1 was used.
        """
        if self.t1_place is None:
            raise UsageError("A mask on the T1 grid needs a T1 image", received="none, or not used")
        grid, move = self.t1_place
        there = registration.on_other_grid(self.mask.astype(np.float32), self.grid, grid, move)
        return (there > 0.5).astype(np.uint8), grid

    def overlay(self) -> npt.NDArray[np.uint8]:
        """Draws slices of the FLAIR scan with the mask outlined, RGB (row, column, 3) uint8."""
        way = geometry.conform(self.grid, (1, 1), "LPS")
        _, row_mm, column_mm = way.oriented_spacing_mm
        return report.overlay(
            way.orient(self.flair.array), way.orient(self.mask), (row_mm, column_mm)
        )

    def save(
        self,
        output: str | os.PathLike[str],
        probability: str | os.PathLike[str] | None = None,
        overlay: str | os.PathLike[str] | None = None,
        t1_mask: str | os.PathLike[str] | None = None,
    ) -> None:
        """Writes the mask and the report beside it (``.json``), all files or none.

        Args:
            output: Mask to write, ``.nii.gz`` or ``.nii``; its folder is made if needed.
            probability: Probability map to write as well.
            overlay: Picture (``.png``) to write as well.
            t1_mask: Mask on the T1 scan's grid to write as well.

        Raises:
            UsageError: If a name has another ending.
            OutputNotWritableError: If a folder cannot be made or written to.
            DiskFullError: If there is no room.
        """
        target = Path(output)
        for path in (output, probability, overlay, t1_mask):
            if path is not None:
                images.check_writable(Path(path).parent)
        with images.together():
            if probability is not None:
                images.write_probability(probability, self.probability, self.grid)
            if t1_mask is not None:
                images.write_mask(t1_mask, *self.mask_on_t1())
            if overlay is not None:
                images.write_picture(overlay, self.overlay())
            images.write_text(report.path_beside(target), self.report.to_json())
            images.write_mask(target, self.mask, self.grid)


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


def _read(source: Source, name: str, spacing_mm: tuple[float, float, float] | None) -> Scan:
    if isinstance(source, np.ndarray):
        if spacing_mm is None or np.shape(spacing_mm) != (3,):
            raise UsageError(
                f"spacing_mm=(slice, row, column) was expected with the {name} array",
                received=spacing_mm if spacing_mm is not None else "none",
                advice="Give the voxel size in mm, or a path or a SimpleITK image.",
            )
        return images.scan_from_array(source, spacing_mm, name=name)
    if spacing_mm is not None:
        raise UsageError(
            "spacing_mm was expected with arrays only: paths and images know theirs",
            received=f"{type(source).__name__} for {name}, and spacing_mm={spacing_mm}",
        )
    if isinstance(source, Scan):
        return source
    if isinstance(source, (str, os.PathLike)):
        return images.read_scan(Path(source), name=name)
    if not hasattr(source, "GetPixelIDTypeAsString"):
        raise UsageError(
            f"A path, a SimpleITK image or a NumPy array was expected as {name}",
            received=f"{type(source).__module__}.{type(source).__name__}",
        )
    return images.scan_from_image(source, name=name)


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
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Model = store.DEFAULT_MODEL,
        options: Options | None = None,
        engine: engines.Engine | None = None,
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

    def start(self) -> engines.Engine:
        """Starts the engine, once.

        Raises:
            DeviceError: If the engine, device or precision asked for is not there.
        """
        if self._engine is None:
            want = self.options
            self._engine = engines.start(want.engine, want.device, want.threads, want.precision)
        return self._engine

    def load(
        self,
        flair: Source,
        t1: Source | None = None,
        *,
        spacing_mm: tuple[float, float, float] | None = None,
    ) -> Loaded:
        """Reads and prepares a scan; arguments and errors as those of ``segment``."""
        watch = _Stopwatch()
        with watch.stage("read"):
            flair_scan = _read(flair, "FLAIR", spacing_mm)
            t1_scan = None if t1 is None else _read(t1, "T1", spacing_mm)
        with watch.stage("check"):
            doubts = examine.warnings(examine.examine(flair_scan, t1_scan))
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
        spacing_mm: tuple[float, float, float] | None = None,
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
            kept = lesions.kept_slices(way.slices, post)
            probability = np.zeros(prepared.stack.shape[:3], np.float32)
            probability[kept] = ensemble.mean_probability(
                prepared.stack[kept], chosen, engine, batch=self.options.batch, progress=progress
            )
        with watch.stage("restore"):
            # Peaks are judged on the network's voxels, as interpolation flattens them; the mask is
            # cut on the scan's own: one that is resampled loses its small lesions.
            sure = lesions.without_doubtful(probability, post)
            original = ready.way.restore(way.restore(sure))
            mask = ready.to_file_order(lesions.to_mask(original, post))
            mask = lesions.without_small(mask, loaded.flair.grid.voxel_ml, post)
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
    spacing_mm: tuple[float, float, float] | None = None,
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
        WmhsegError: One of the errors in ``wmhseg.errors``, each with one clear sentence.
    """
    return Segmenter(model, options).segment(flair, t1, spacing_mm=spacing_mm, progress=progress)
