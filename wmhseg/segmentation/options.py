"""How to run. Light: the command line takes its choices and defaults from here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from wmhseg.engines import runtime
from wmhseg.errors import UsageError
from wmhseg.preparation.steps import Steps
from wmhseg.weights.processing import ReaderName

IntensityScale = Literal["preset", "adapt", "keep"]
OnUnsuitable = Literal["error", "warn"]
Flips = Literal["preset", "on", "off"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run; what the method is stands in the model's preset.

    Attributes:
        device: "auto" takes a GPU when there is one.
        engine: "keras" is the reference, "openvino" the fastest on a CPU; "auto" takes OpenVINO
            where it is installed and no GPU is used.
        precision: "f32" (float32); "bf16" (bfloat16, on processors and GPUs that have it) and
            "tf32" (TensorFloat-32, on GPUs) are meant to be faster and are not equal to the last
            voxel; "auto" is bf16 where OpenVINO computes on a processor that has it, else f32. The
            report says which it was.
        threads: Processor threads, None for all that may be used.
        batch: Slices computed at once, None for what suits the engine; bounds the memory, never
            changes the result.
        intensity_scale: "adapt" brings a scan whose intensities are not on the challenge's scale
            to it, so that the mask thresholds mean the same; "keep" never does, as the challenge
            ran it, and reports when it would have mattered. "preset" is what the model's preset
            says: "adapt" for this project's own models, "keep" for published methods.
        reader: Whose rules masks are made by: "balanced" are the preset's, the default; "sparing"
            marks less and "generous" more, where the model has such rules.
        threshold: Replaces the reader's threshold on the probability.
        min_lesion_mm3: Replaces the reader's smallest lesion volume; 0 keeps all.
        lesion_peak: Replaces the probability that a lesion has to exceed somewhere; 0 keeps all.
        flips: "on" averages the probabilities with those of the scan flipped left to right, which
            takes twice the time; "off" does not; "preset" is what the model's preset says. Refused
            for networks that are told where voxels lie in the brain.
        temperature: Divides the logits of the probabilities that are given: above 1 they are less
            sure, 1 leaves them as the networks say. Masks are made before, so it changes none.
        on_unsuitable: What happens to scans whose result would be worthless, as ``wmhseg.check``
            finds: "error", or "warn" to go on all the same. Models with a published method always
            go on.
        steps: What is done to scans as the scanner gave them; see ``wmhseg.Steps``.
        members: Keep the probability that each network says, besides their mean; changes no mask.
        anatomy: Name the structures of the head as well, where the model that ``wmhseg.anatomy``
            takes is installed; changes no mask.

    >>> import wmhseg
    >>> options = wmhseg.Options(engine="openvino", threads=2, min_lesion_mm3=0)
    >>> options.precision, options.steps.registration
    ('f32', 'preset')
    >>> wmhseg.Options(device="tpu")
    Traceback (most recent call last):
    wmhseg.errors.UsageError: A device out of auto, cpu, gpu was expected. Received: tpu.
    """

    device: runtime.Device = "auto"
    threads: int | None = None
    batch: int | None = None
    intensity_scale: IntensityScale = "preset"
    reader: ReaderName = "balanced"
    threshold: float | None = None
    min_lesion_mm3: float | None = None
    lesion_peak: float | None = None
    flips: Flips = "preset"
    temperature: float = 1.0
    engine: runtime.EngineName = "auto"
    precision: runtime.PrecisionWord = "f32"
    on_unsuitable: OnUnsuitable = "error"
    steps: Steps = field(default_factory=Steps)
    members: bool = False
    anatomy: bool = False

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            UsageError: If a value is not one of the documented ones.
        """
        if self.intensity_scale not in get_args(IntensityScale):
            raise UsageError(
                'intensity_scale "preset", "adapt" or "keep" was expected',
                received=self.intensity_scale,
            )
        if self.reader not in get_args(ReaderName):
            raise UsageError(
                'reader "balanced", "sparing" or "generous" was expected', received=self.reader
            )
        if self.flips not in get_args(Flips):
            raise UsageError('flips "preset", "on" or "off" was expected', received=self.flips)
        if self.on_unsuitable not in get_args(OnUnsuitable):
            raise UsageError(
                'on_unsuitable "error" or "warn" was expected', received=self.on_unsuitable
            )
        if not 0 < self.temperature < math.inf:
            raise UsageError("A temperature above 0 was expected", received=self.temperature)
        runtime.check_choice(self.engine, self.device, self.threads, self.precision)
        if self.batch is not None and self.batch < 1:
            raise UsageError("A batch of at least 1 slice was expected", received=self.batch)
