"""From files to what networks take: read, check, align, prepare.

Here stand the order and what is to be said; how each step works stands in a module of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from wmhseg.channels import network_input
from wmhseg.channels.network_input import NetworkInput
from wmhseg.checking import examine, findings
from wmhseg.engines import interface, sharing
from wmhseg.engines.start import start_engine
from wmhseg.errors import UsageError
from wmhseg.geometry import Triple
from wmhseg.io import sources
from wmhseg.io.images import Scan
from wmhseg.io.progress import Progress, Tally
from wmhseg.io.sources import Source
from wmhseg.preparation import bad_slices, empty_planes, levels, one_grid, sizes
from wmhseg.preparation.bad_slices import Mask
from wmhseg.preparation.empty_planes import EmptyPlanes
from wmhseg.reporting.provenance import Provenance, scan_file
from wmhseg.reporting.report import ScaleReport
from wmhseg.segmentation import postprocessing
from wmhseg.segmentation.options import Options
from wmhseg.weights.methods import intensity_scale, is_published
from wmhseg.weights.store import Model

_CONSENT = (
    "Look at the scans and check the names of the files. To segment them all the same: "
    "--on-unsuitable warn."
)

_PREPARING = 10  # parts of a ``Tally``, a tenth of a second each on an ordinary scan


class Stopwatch:
    """Seconds spent in named stages."""

    def __init__(self) -> None:
        """Begins without any."""
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time of a block to a stage."""
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
        around: Empty planes that were cut off it.
        aligned: What was done to the rest before preparation; without the voxels of T1.
        inputs: What the networks take, the whole way back to the rest, and all warnings.
        seconds: Stage -> wall-clock seconds so far.
        provenance: Which scans were read, and when.
        t1: The T1 scan as it was given, if it came from memory: a file can be read once more.
    """

    flair: Scan
    around: EmptyPlanes
    aligned: one_grid.Aligned
    inputs: NetworkInput
    seconds: dict[str, float]
    provenance: Provenance
    t1: Scan | None = None

    @property
    def has_t1(self) -> bool:
        """Whether the networks see a T1 scan."""
        return self.aligned.t1_place is not None


class Loader:
    """A model and an engine that starts when it is needed; reads and prepares scans for the model.

    ``Segmenter`` and ``anatomy.Anatomist`` compute what it has loaded.
    """

    def __init__(
        self, model: Model, options: Options | None = None, engine: interface.Engine | None = None
    ) -> None:
        """Starts nothing yet.

        Args:
            model: A model; its preset is what is done.
            options: How to run.
            engine: A started engine; the options' engine, device, threads and precision do not
                matter then.
        """
        self.options = options or Options()
        self.model = model
        self.scale = intensity_scale(self.options.intensity_scale, model.preset)
        self._given = engine
        self._engine = engine

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to another process: model and options; an engine starts there anew.

        Raises:
            UsageError: If the engine was given, which nobody can start there.
        """
        if self._given is not None:
            raise UsageError(
                "A segmenter that starts its own engine was expected to be sent or copied",
                received="one that was given its engine",
                advice="Make it in the process that uses it.",
            )
        return {"options": self.options, "model": self.model}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes what ``__getstate__`` gave; no engine has started."""
        self.options, self.model = state["options"], state["model"]
        self.scale = intensity_scale(self.options.intensity_scale, self.model.preset)
        self._given = self._engine = None

    def start(self) -> interface.Engine:
        """Starts the engine, once.

        Raises:
            DeviceError: If the engine, device or precision asked for is not there.
        """
        with sharing.alone(self):
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
        progress: Progress | None = None,
    ) -> Loaded:
        """Reads, checks and prepares a scan; arguments and errors as those of ``segment``.

        ``progress`` is called with (done, total) once the scans are read and the work is known.
        """
        watch, tally = Stopwatch(), Tally(progress)
        with watch.stage("read"):
            flair_scan = sources.read(flair, spacing_mm, name="FLAIR")
            t1_scan = None if t1 is None else sources.read(t1, spacing_mm, name="T1")
            given = {"FLAIR": flair} if t1 is None else {"FLAIR": flair, "T1": t1}
            provenance = Provenance({name: scan_file(one) for name, one in given.items()})
            file = provenance.scans.get("T1")
            kept = t1_scan if file is not None and file.path is None else None
        for scan in filter(None, (flair_scan, t1_scan)):
            if spacing_mm is not None:
                sizes.check_order(scan)
            sizes.check_size(scan)
        with watch.stage("check"):
            around = self._empty_planes(flair_scan, t1_scan)
            t1_seen = t1_scan if self.model.preset.takes_t1 else None
            found = examine.examine(*_cut(around, flair_scan, t1_seen))
            if self.options.on_unsuitable == "error" and not is_published(self.model.preset):
                findings.check_suitable(found, _CONSENT)
            del t1_seen
        with watch.stage("raw"):
            tally.plan(_PREPARING)
            brain_mm = findings.brain_mm(found)
            aligned, unknown, told = self._aligned(flair_scan, t1_scan, around, brain_mm, tally)
            del t1_scan
        with watch.stage("prepare"):
            inputs = network_input.prepare(
                aligned.flair,
                aligned.t1,
                aligned.preset,
                intensity_scale=self.scale,
                t1_seen=aligned.t1_seen,
            )
        tally.done(_PREPARING)
        post = aligned.preset.postprocessing
        doubts = findings.warnings(found, t1_coverage_known=aligned.steps.registration.applied)
        inputs = replace(
            inputs,
            way=aligned.way.then(inputs.way),
            unknown=unknown,
            warnings=(
                *doubts,
                *told,
                *aligned.warnings,
                *inputs.warnings,
                *self._departures(aligned, inputs),
                *postprocessing.warnings(
                    len(next(iter(inputs.stacks.values()))), post, inputs.head
                ),
                *(f"{one.label}: {one.caution}" for one in self.model.preset.others if one.caution),
            ),
        )
        # The voxels of T1 have done their work, and the largest scans need the room.
        aligned = replace(aligned, t1=None, t1_seen=None)
        return Loaded(flair_scan, around[0], aligned, inputs, watch.seconds, provenance, kept)

    def _aligned(
        self,
        flair: Scan,
        t1: Scan | None,
        around: tuple[EmptyPlanes, EmptyPlanes],
        brain_mm: tuple[float, float] | None,
        tally: Tally,
    ) -> tuple[one_grid.Aligned, Mask | None, list[str]]:
        """Both scans on one grid, where nothing is known of FLAIR, and what is to be said."""
        # Numbers of slices are those of the file; levels are judged without what was added.
        flair_whole, t1_whole, unknown, t1_unknown, told = self._whole(flair, t1)
        unknown, t1_unknown = (
            None if mask is None else planes.forward(mask)
            for mask, planes in zip((unknown, t1_unknown), around, strict=True)
        )
        flair_level, t1_level, levelling = self._levelled(*_cut(around, flair_whole, t1_whole))
        told += levelling
        known = one_grid.Known(brain_mm, t1_unknown)
        preset, steps = self.model.preset, self.options.steps
        aligned = one_grid.align(flair_level, t1_level, preset, steps, known, tally)
        if aligned.t1_place is not None and t1 is not None:
            aligned = replace(aligned, t1_place=replace(aligned.t1_place, grid=t1.grid))
        return aligned, unknown, told

    def _empty_planes(self, flair: Scan, t1: Scan | None) -> tuple[EmptyPlanes, EmptyPlanes]:
        """Empty planes that were added around FLAIR and T1, where the method is ours."""
        if is_published(self.model.preset):
            return empty_planes.none(flair), empty_planes.none(t1 or flair)
        if t1 is None or not self.model.preset.takes_t1:
            return empty_planes.around(flair, None)[0], empty_planes.none(t1 or flair)
        return empty_planes.around(flair, t1)

    def _whole(
        self, flair: Scan, t1: Scan | None
    ) -> tuple[Scan, Scan | None, Mask | None, Mask | None, list[str]]:
        """Scans without slices that show nothing of their own, where these are, what to say."""
        ours = not is_published(self.model.preset)
        flair, unknown, told = bad_slices.left_out(flair, adapt=ours)
        t1_unknown = None
        if t1 is not None and self.model.preset.takes_t1:
            t1, t1_unknown, more = bad_slices.left_out(t1, adapt=ours)
            told += more
        return flair, t1, unknown, t1_unknown, told

    def _levelled(self, flair: Scan, t1: Scan | None) -> tuple[Scan, Scan | None, list[str]]:
        """Scans whose intensities begin at 0, and what is to be said about others."""
        adapt = self.scale == "adapt"
        flair, told = levels.levelled(flair, adapt=adapt)
        if t1 is not None and self.model.preset.takes_t1:
            t1, more = levels.levelled(t1, adapt=adapt)
            told += more
        return flair, t1, told

    def _departures(self, aligned: one_grid.Aligned, inputs: NetworkInput) -> list[str]:
        """Says which steps that were asked for are none of the published method's."""
        if not is_published(self.model.preset):
            return []
        scale = ScaleReport(self.options.intensity_scale, self.scale, inputs.scales)
        taken = {
            "--bias-correction": aligned.steps.bias_correction.applied,
            "--registration": aligned.t1_moved,
            "--pixel-size": aligned.steps.pixel_size.applied
            and self.model.preset.preprocessing.pixel_mm is None,
            "--intensity-scale": any(scale.applied(name) for name in scale.scans),
            "--flips": aligned.preset.flips,
        }
        names = [name for name, applied in taken.items() if applied]
        return [
            f"{' and '.join(names)} changed the scans, which the published method of model "
            f"{self.model.preset.name} does not: this is not its result."
        ] * bool(names)


def _cut(
    around: tuple[EmptyPlanes, EmptyPlanes], flair: Scan, t1: Scan | None
) -> tuple[Scan, Scan | None]:
    """FLAIR and T1 without the empty planes around them."""
    return around[0].cut(flair), None if t1 is None else around[1].cut(t1)
