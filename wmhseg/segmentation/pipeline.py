"""The pipeline: load a scan, predict, report.

Here stand the order, the times, and what is put into the report; how each step works stands in a
module of its own.
"""

from __future__ import annotations

import os
import sys
import warnings

from wmhseg.engines import interface, runtime
from wmhseg.engines.interface import Float
from wmhseg.errors import WmhsegWarning
from wmhseg.geometry import Triple
from wmhseg.io.progress import Progress
from wmhseg.io.sources import Source
from wmhseg.measures import lesions
from wmhseg.reporting.report import Report, ScaleReport
from wmhseg.segmentation import anatomy, prediction, temperature
from wmhseg.segmentation.loading import Loaded, Loader, Stopwatch
from wmhseg.segmentation.options import Options
from wmhseg.segmentation.result import Segmentation
from wmhseg.weights import preset, store
from wmhseg.weights.inputs import WMH
from wmhseg.weights.store import Model


class Segmenter(Loader):
    """A model and a started engine for one scan after another.

    ``load`` reads and prepares a scan without the engine, so that a second thread may do it for
    the next scan while ``compute`` works on this one. Several threads may segment with one
    segmenter: they share its engine, one member of one scan at a time. A process that is forked
    after an engine has started cannot compute and says so; start processes by "spawn". Sent to
    another process (pickled) it carries model and options, and starts an engine of its own there.

    >>> import wmhseg
    >>> segmenter = wmhseg.Segmenter("mixed-tuned", wmhseg.Options(device="cpu"))
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
            UsageError: If it does not mark hyperintensities.
        """
        options = options or Options()
        chosen = model if isinstance(model, Model) else store.find(model)
        preset.check_marks(chosen.preset)
        changed = preset.with_postprocessing(
            chosen.preset,
            reader=options.reader,
            threshold=options.threshold,
            min_lesion_mm3=options.min_lesion_mm3,
            lesion_peak=options.lesion_peak,
        )
        if options.flips != "preset":
            changed = preset.with_flips(changed, options.flips == "on")
        super().__init__(Model(chosen.folder, changed), options, engine)

    def segment(
        self,
        flair: Source,
        t1: Source | None = None,
        *,
        spacing_mm: Triple | None = None,
        progress: Progress | None = None,
    ) -> Segmentation:
        """``load``, then ``compute``; arguments and errors as those of ``wmhseg.segment``."""
        loaded = self.load(flair, t1, spacing_mm=spacing_mm)
        return _warned(self._computed(loaded, progress))

    def compute(self, loaded: Loaded, progress: Progress | None = None) -> Segmentation:
        """Computes the mask of a loaded scan.

        Args:
            loaded: What ``load`` returned.
            progress: Called with (done, total) while the networks compute.

        Raises:
            ModelError: If weights are missing, damaged, or not the network's.
            DeviceError: If the engine, device or precision asked for is not there.
        """
        return _warned(self._computed(loaded, progress))

    def _computed(self, loaded: Loaded, progress: Progress | None) -> Segmentation:
        watch = Stopwatch()
        watch.seconds.update(loaded.seconds)
        with watch.stage("start engine"):
            engine = self.start()
        aligned, inputs = loaded.aligned, loaded.inputs
        chosen = Model(self.model.folder, aligned.preset)
        made = prediction.predict(
            inputs,
            chosen,
            engine,
            batch=self.options.batch,
            progress=progress,
            members=self.options.members,
        )
        watch.seconds.update(made.seconds)
        grid = loaded.flair.grid
        with watch.stage("restore"):
            mask = loaded.around.restore(made.mask)
            probability = loaded.around.restore(made.probability)
            others, probabilities = (
                {label: loaded.around.restore(volume) for label, volume in volumes.items()}
                for volumes in (made.others, made.other_probabilities)
            )
            own = {name: loaded.around.restore(one) for name, one in made.members.items()}
            probability, probabilities, own = self._tempered(probability, probabilities, own)
            summary, *of_others = (
                lesions.summarise(one, grid.voxel_ml) for one in (mask, *others.values())
            )
        named, untold = self._named(loaded, engine, watch) if self.options.anatomy else (None, [])
        written = Report(
            lesions=summary,
            grid=grid,
            model=chosen.preset,
            runtime=engine.runtime,
            t1_used=loaded.has_t1,
            intensity_scale=ScaleReport(self.options.intensity_scale, self.scale, inputs.scales),
            steps=aligned.steps,
            slices_computed=made.slices_computed,
            versions=runtime.versions(engine.runtime.backend),
            seconds=watch.seconds,
            warnings=(*inputs.warnings, *untold),
            provenance=loaded.provenance,
            others=dict(zip(others, of_others, strict=True)),
            reader=self.options.reader,
            temperature=self.options.temperature,
        )
        return Segmentation(
            mask,
            probability,
            grid,
            written,
            loaded.flair,
            aligned.t1_place,
            others,
            probabilities,
            own,
            named,
            loaded.t1,
        )

    def _tempered(
        self, wmh: Float, others: dict[str, Float], members: dict[str, Float]
    ) -> tuple[Float, dict[str, Float], dict[str, Float]]:
        """Probabilities of WMH, of other labels, and of WMH by each network, as they are given."""
        by, labels = self.options.temperature, self.model.preset.labels
        members = {name: temperature.of_one(one, by) for name, one in members.items()}
        if labels.activation == "sigmoid":
            others = {label: temperature.of_one(one, by) for label, one in others.items()}
            return temperature.of_one(wmh, by), others, members
        made = temperature.of_labels({WMH: wmh, **others}, by)
        return made.pop(WMH), made, members

    def _named(
        self, loaded: Loaded, engine: interface.Engine, watch: Stopwatch
    ) -> tuple[anatomy.Anatomy | None, list[str]]:
        """The structures of the scan, and sentences that say why they are not named."""
        model = anatomy.installed()
        if model is None:
            return None, []
        anatomist = anatomy.Anatomist(model, self.options, engine)
        if not anatomist.takes_from(self):  # it is prepared in another way
            paths = {name: one.path for name, one in loaded.provenance.scans.items()}
            if None in paths.values():
                return None, [
                    f"The structures of the head are not named: model {self.model.preset.name} "
                    "takes its scans in another form, and they came from no file that could be "
                    "read again."
                ]
            loaded = anatomist.load(paths["FLAIR"] or "", paths.get("T1"))
        with watch.stage("name structures"):
            return anatomist.compute(loaded), []


def _warned(result: Segmentation) -> Segmentation:
    """Gives every warning of a report as one of Python's, at the line that called this package."""
    path = result.report.provenance.scans["FLAIR"].path
    for sentence in result.report.warnings:
        text = f"{path}: {sentence}" if path else sentence
        warnings.warn(text, WmhsegWarning, stacklevel=_own_frames())
    return result


def _own_frames() -> int:
    """What ``warnings.warn`` needs to skip this module's frames; Python 3.12 could do it itself."""
    frame, count = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame, count = frame.f_back, count + 1
    return count


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
        flair: FLAIR scan: a path, a SimpleITK or nibabel image, or an array (slice, row, column).
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

    Warns:
        WmhsegWarning: For every sentence of ``report.warnings``.

    >>> import wmhseg
    >>> result = wmhseg.segment("FLAIR.nii.gz", "T1.nii.gz")
    >>> result.mask.dtype, result.mask.shape == result.probability.shape
    (dtype('uint8'), True)
    >>> result.report.lesions.volume_ml > 0
    True
    """
    return Segmenter(model, options).segment(flair, t1, spacing_mm=spacing_mm, progress=progress)
