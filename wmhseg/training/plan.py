"""What a training is: frozen records, and the check of what their types alone do not say.

The steps, not the clock, decide when training ends, so the same plan on the same data means the
same training on any machine. ``wmhseg.training.recipes`` holds the plans that come with the
program, ``wmhseg.training.plan_files`` reads and writes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from wmhseg.errors import PlanError
from wmhseg.records import MismatchError, require
from wmhseg.synthesis.recipe import Recipe
from wmhseg.weights import methods, processing
from wmhseg.weights import preset as presets
from wmhseg.weights.inputs import Input, inputs_of_channels
from wmhseg.weights.preset import NetworkOption, Preset
from wmhseg.weights.processing import Postprocessing, Preprocessing

FORMAT = 1
# A checkpoint counts steps in float32, which holds whole numbers up to 16 million.
MAX_STEPS = 10_000_000


@dataclass(frozen=True)
class Augmentation:
    """How real slices are varied; see ``wmhseg.training.batches.augment``.

    Attributes:
        copies: How often a slice is seen in an epoch: once as it is, the other times varied.
        rotation_deg: Largest rotation to either side.
        shear_deg: Largest shear angle to either side.
        zoom: Smallest and largest scale, drawn for rows and columns on their own.
        flip: Probability of exchanging left and right (columns).
        without_t1: Probability of an empty T1 channel.
    """

    copies: int = 10
    rotation_deg: float = 15.0
    shear_deg: float = 18.0
    zoom: tuple[float, float] = (0.9, 1.1)
    flip: float = 0.5
    without_t1: float = 0.0


@dataclass(frozen=True)
class Synthesis:
    """How synthetic scans become batches.

    Attributes:
        recipe: Ranges that scans are drawn from.
        scans: Scans that are drawn and mixed at once.
        slices: Slices taken of each; those with a lesion are twice as likely.
    """

    recipe: Recipe = field(default_factory=Recipe)
    scans: int = 12
    slices: int = 20


@dataclass(frozen=True)
class Restart:
    """When a run that does not learn starts again from other random weights.

    Attributes:
        loss: A run with a higher mean loss over the last tenth of its first epoch does not learn.
        attempts: Starts in all before giving up.
    """

    loss: float = 0.95
    attempts: int = 5


@dataclass(frozen=True)
class Run:
    """The training of one network.

    Attributes:
        name: Names its files; small letters, digits, '-' and '_'.
        network: Name in ``wmhseg.networks.catalogue.NETWORKS``.
        options: Arguments of the network besides its signature.
        member: Whether it becomes a member of the ensemble; a warm start does not.
        start_from: An earlier run or a weight file that the network is grown from, see
            ``wmhseg.training.growth``; null for random weights.
        seed: Seeds the first weights, and the order and content of the data.
        steps: Number of batches; null where epochs are given.
        epochs: Passes through the varied data; null where steps are given.
        batch: Slices a batch.
        crop: Side in pixels of a random square taken from each slice; null for whole slices.
        rate: Learning rate after the warm-up.
        final_rate: Learning rate that half a cosine ends at; equal to ``rate``, it is constant.
        warmup: Steps over which the rate rises from 0.
    """

    name: str
    network: str = "unet"
    options: dict[str, NetworkOption] = field(default_factory=dict)
    member: bool = True
    start_from: str | None = None
    seed: int = 0
    steps: int | None = None
    epochs: int | None = None
    batch: int = 8
    crop: int | None = None
    rate: float = 2e-4
    final_rate: float = 2e-4
    warmup: int = 0


@dataclass(frozen=True)
class Fitting:
    """What all runs share.

    Attributes:
        loss: See ``wmhseg.training.losses``.
        optimizer: "adam", or "adamw" with ``weight_decay``.
        weight_decay: Of adamw; 0 with adam.
        clip_norm: Largest norm of the gradient; null for no limit.
        rare_start: Start random networks near probability 0, as lesions are rare.
        precision: "float32", or "bfloat16" to compute in; weights stay float32.
        average: Decay of an exponential moving average of the weights, which then is the result;
            null for the last weights.
        restart: When to start again; null for never.
    """

    loss: Literal["dice", "dice-and-cross-entropy"] = "dice"
    optimizer: Literal["adam", "adamw"] = "adam"
    weight_decay: float = 0.0
    clip_norm: float | None = None
    rare_start: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"
    average: float | None = None
    restart: Restart | None = None


@dataclass(frozen=True)
class Plan:
    """A training, from data to a model folder.

    Attributes:
        format: Version of this form, 1.
        name: Name of the model to make, and of its folder.
        description: One sentence.
        licence: Licence of the weights.
        training_data: What they are trained on, one sentence.
        reference: The publication of the method.
        channels: 2 for FLAIR and T1, 1 for FLAIR alone.
        without_t1: What the model does when no T1 is given: an error, or a channel of zeros. With
            ``channels`` it says what ``inputs`` are.
        weights: Type of the weights in the model folder.
        preprocessing: Of training and inference alike.
        postprocessing: Of inference.
        intensity_scale: Of real scans: "auto" is what the method says, as when the model segments
            later: "keep" for published methods, else "adapt"; see
            ``wmhseg.segmentation.options.Options``.
        augmentation: For real scans; null with synthetic ones.
        synthesis: For synthetic scans; null with real ones.
        fitting: What all runs share.
        runs: Networks to train, in this order.
    """

    format: int
    name: str
    description: str
    licence: str
    training_data: str
    reference: str
    channels: int
    without_t1: Literal["error", "zero"]
    weights: Literal["float16", "float32"]
    preprocessing: Preprocessing
    postprocessing: Postprocessing
    intensity_scale: Literal["auto", "adapt", "keep"]
    augmentation: Augmentation | None
    synthesis: Synthesis | None
    fitting: Fitting
    runs: tuple[Run, ...]

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the networks take, all through one input layer."""
        return inputs_of_channels(self.channels, self.without_t1)


def intensity_scale(plan: Plan, preset: Preset) -> Literal["adapt", "keep"]:
    """What is done to the intensities of a scan: the same as when the model segments later.

    Args:
        plan: The plan.
        preset: Of the model that it makes.
    """
    asked = plan.intensity_scale
    return methods.intensity_scale("preset" if asked == "auto" else asked, preset)


def validate(plan: Plan) -> None:
    """Checks what types alone do not say.

    Raises:
        PlanError: If a value is out of range or two contradict each other.
    """
    try:
        _check_head(plan)
        processing.check_method(plan.preprocessing, plan.postprocessing)
        _check_data(plan)
        _check_fitting(plan.fitting)
        names: list[str] = []
        for number, run in enumerate(plan.runs):
            _check_run(run, f"runs[{number}]", plan)
            require(run.name not in names, f"runs[{number}].name", "a new name", run.name)
            names.append(run.name)
    except MismatchError as mismatch:
        raise plan_error(mismatch) from None


def plan_error(mismatch: MismatchError) -> PlanError:
    """The error to raise for a value that a plan may not hold."""
    return PlanError(
        f"plan: {mismatch.expected}",
        received=mismatch.received,
        advice='"wmhseg train --print-plan" shows a complete plan.',
    )


def _check_head(plan: Plan) -> None:
    require(plan.format == FORMAT, "format", f"{FORMAT}", plan.format)
    presets.check_texts(plan)
    inputs_of_channels(plan.channels, plan.without_t1)
    members = sum(run.member for run in plan.runs)
    most = presets.MAX_MEMBERS
    require(1 <= members <= most, "runs", f"1 to {most} runs with member true", members)


def _check_data(plan: Plan) -> None:
    varied, drawn = plan.augmentation, plan.synthesis
    require(
        (varied is None) != (drawn is None),
        "augmentation and synthesis",
        "one of the two, and null in the other",
        "both" if varied else "none",
    )
    if varied is not None:
        require(1 <= varied.copies <= 1000, "augmentation.copies", "1 to 1000", varied.copies)
        for name, most in (("rotation_deg", 180.0), ("shear_deg", 60.0)):
            value = getattr(varied, name)
            require(0 <= value <= most, f"augmentation.{name}", f"0 to {most:g}", value)
        low, high = varied.zoom
        require(0.1 <= low <= high <= 10, "augmentation.zoom", "0.1 to 10, rising", varied.zoom)
        for name in ("flip", "without_t1"):
            value = getattr(varied, name)
            require(0 <= value <= 1, f"augmentation.{name}", "a probability", value)
    if drawn is not None:
        require(1 <= drawn.scans <= 1000, "synthesis.scans", "1 to 1000", drawn.scans)
        require(1 <= drawn.slices <= 1000, "synthesis.slices", "1 to 1000", drawn.slices)
        same = plan.preprocessing.field in (None, drawn.recipe.field)
        require(same, "synthesis.recipe.field", "the field of preprocessing", drawn.recipe.field)


def _check_fitting(fitting: Fitting) -> None:
    decay = fitting.weight_decay
    require(0 <= decay < 1, "fitting.weight_decay", "0 to below 1", decay)
    require(decay == 0 or fitting.optimizer == "adamw", "fitting.weight_decay", "0 (adam)", decay)
    clip, average, restart = fitting.clip_norm, fitting.average, fitting.restart
    require(clip is None or clip > 0, "fitting.clip_norm", "more than 0", clip)
    require(average is None or 0 < average < 1, "fitting.average", "between 0 and 1", average)
    if restart is not None:
        require(restart.loss > 0, "fitting.restart.loss", "more than 0", restart.loss)
        where = "fitting.restart.attempts"
        require(1 <= restart.attempts <= 100, where, "1 to 100", restart.attempts)


def _check_run(run: Run, where: str, plan: Plan) -> None:
    valid = re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", run.name)
    require(bool(valid), f"{where}.name", "small letters, digits, '-' and '_'", run.name)
    one = (run.steps is None) != (run.epochs is None)
    require(one, where, "either steps or epochs", [run.steps, run.epochs])
    steps, epochs = run.steps, run.epochs
    require(steps is None or 1 <= steps <= MAX_STEPS, f"{where}.steps", "1 to 10 million", steps)
    require(
        epochs is None or (1 <= epochs <= 100_000 and plan.synthesis is None),
        f"{where}.epochs",
        "at least 1 with real scans, null with synthetic ones",
        epochs,
    )
    require(1 <= run.batch <= 10_000, f"{where}.batch", "1 to 10,000", run.batch)
    if plan.synthesis is not None:
        most = plan.synthesis.scans * plan.synthesis.slices
        require(run.batch <= most, f"{where}.batch", f"at most scans x slices = {most}", run.batch)
    field = plan.preprocessing.field or (plan.synthesis and plan.synthesis.recipe.field)
    smallest = min(field or (1024,))
    require(
        run.crop is None or 16 <= run.crop <= smallest,
        f"{where}.crop",
        f"16 to {smallest}",
        run.crop,
    )
    require(0 < run.rate <= 10, f"{where}.rate", "above 0", run.rate)
    falling = 0 <= run.final_rate <= run.rate
    require(falling, f"{where}.final_rate", "0 to rate", run.final_rate)
    require(0 <= run.warmup <= MAX_STEPS, f"{where}.warmup", "0 or more steps", run.warmup)
    require(0 <= run.seed < 2**31, f"{where}.seed", "0 to 2147483647", run.seed)
