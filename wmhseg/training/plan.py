"""What a training is: frozen records.

The steps, not the clock, decide when training ends, so the same plan on the same data means the
same training on any machine (with precision "auto": on any with bfloat16, or on any without).
``wmhseg.training.recipes`` holds the plans that come with the program,
``wmhseg.training.plan_files`` reads and writes them, ``wmhseg.training.plan_checks`` finds what
their types alone do not say.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from wmhseg.records import added
from wmhseg.synthesis.recipe import Recipe
from wmhseg.weights import methods
from wmhseg.weights.inputs import WMH_ALONE, Input, Labels, inputs_of_channels
from wmhseg.weights.preset import NetworkOption, Preset
from wmhseg.weights.processing import OtherLabel, Postprocessing, Preprocessing, Reader

FORMAT = 1


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
class Sampling:
    """Patches around voxels, in place of slices; see ``wmhseg.training.batches.patches``.

    Attributes:
        kind: "patches" whose pixels are all labelled, or "voxels": patches that say what the voxel
            at row and column side / 2 is.
        side: Rows and columns of a patch.
        wmh: Share of the voxels labelled WMH that a patch is cut around; in synthetic scans, which
            are never seen twice, their weight.
        stroke: The same of those labelled stroke.
        shift: Largest shift of a patch in rows and columns, as a share of its side; 0.5 puts the
            voxel anywhere in the patch.
        elsewhere: Share of all patches that are cut around other voxels: of the brain where a
            network is told of places in it, else of the head.
        bright: Share of these that are cut around the brightest twentieth of these voxels.
    """

    kind: Literal["patches", "voxels"]
    side: int
    wmh: float = 1.0
    stroke: float = 1.0
    shift: float = 0.0
    elsewhere: float = 0.0
    bright: float = 0.0


@dataclass(frozen=True)
class Synthesis:
    """How synthetic scans become batches.

    Attributes:
        recipe: Ranges that scans are drawn from.
        scans: Scans that are drawn and mixed at once.
        slices: Slices taken of each; those with a lesion are twice as likely. With ``sampling``
            the number of patches.
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


Loss = Literal[
    "dice",
    "dice-and-cross-entropy",
    "cross-entropy",
    "summed-cross-entropy",
    "weighted-cross-entropy",
    "bootstrapped-cross-entropy",
    "pseudo-dice",
    "lesion-weighted",
    "blob",
]
LESION_LOSSES: tuple[Loss, ...] = ("lesion-weighted", "blob")
"""Losses that count lesions and not only pixels: targets tell them apart, see ``counted``."""


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
        steps: Number of batches; null where epochs are given. 0, for a member with ``start_from``,
            takes those weights as they are; they have to be of this network, complete, and the
            numbers below mean nothing then.
        epochs: Passes through the varied data; null where steps are given.
        batch: Slices a batch.
        crop: Side in pixels of a random square taken from each slice; null for whole slices.
        rate: Learning rate after the warm-up.
        final_rate: Learning rate that half a cosine ends at; equal to ``rate``, it is constant.
        warmup: Steps over which the rate rises from 0.
        drop_at: Share of the steps after which ``rate`` gives way to ``final_rate`` at once; null
            for half a cosine.
        recipe: Ranges that the synthetic scans of this run are drawn from; null for the plan's.
        loss: The loss of this run; null for the plan's.
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
    drop_at: float | None = added(None)
    recipe: Recipe | None = added(None)
    loss: Loss | None = added(None)


@dataclass(frozen=True)
class Stopping:
    """Which epoch's weights are the result: that with the largest area under the ROC curve.

    Attributes:
        patience: Epochs in a row without a larger area after which a run ends.
        voxels: Voxels of each validation case that it is computed of, half of them WMH.
    """

    patience: int = 5
    voxels: int = 400


@dataclass(frozen=True)
class Fitting:
    """What all runs share.

    Attributes:
        loss: See ``wmhseg.training.losses``.
        optimizer: "adam", "adamw" with ``weight_decay``, "sgd" with it and with ``momentum``, or
            "rmsprop".
        weight_decay: Of adamw and sgd; 0 with others.
        clip_norm: Largest norm of the gradient; null for no limit.
        rare_start: Start random networks near probability 0, as lesions are rare.
        precision: What to compute in: "float32", "bfloat16", or "auto", which is bfloat16 where
            processor or GPU have it; weights stay float32.
        average: Decay of an exponential moving average of the weights, which then is the result;
            null for the last weights.
        restart: When to start again; null for never.
        momentum: Of sgd; 0 with others.
        late_momentum: Momentum from the drop of the rate on (``drop_at`` of a run); null for the
            same.
        class_weights: Of the loss "weighted-cross-entropy": one a label.
        stopping: Takes the best epoch on validation cases; null for the last weights.
        certain: Of the loss "bootstrapped-cross-entropy": pixels whose own label has a higher
            probability do not count.
        lesion_power: Of the loss "lesion-weighted": a pixel counts in proportion to the size of
            its lesion to minus this power; 1 makes all lesions alike, 0 all pixels.
    """

    loss: Loss = "dice"
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    weight_decay: float = 0.0
    clip_norm: float | None = None
    rare_start: bool = False
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    average: float | None = None
    restart: Restart | None = None
    momentum: float = added(0.0)
    late_momentum: float | None = added(None)
    class_weights: tuple[float, ...] = added(())
    certain: float = added(0.9)
    stopping: Stopping | None = added(None)
    lesion_power: float = added(0.5)


@dataclass(frozen=True)
class Implanting:
    """How lesions are put into real scans; see ``wmhseg.training.batches.implanting``.

    Attributes:
        share: Share of the real slices that are cut from scans with implanted lesions; 0: none is.
        load_ml: Smallest and largest volume of what is implanted in a scan.
        brightness: Smallest and largest factor on how far the user's own lesions stand out from
            white matter, in FLAIR and T1 alike.
        softness_mm: Smallest and largest width over which a border fades.
        marked: Share of a lesion's full brightness from which a voxel is marked.
    """

    share: float = 0.5
    load_ml: tuple[float, float] = (0.3, 12.0)
    brightness: tuple[float, float] = (0.6, 1.3)
    softness_mm: tuple[float, float] = (0.5, 2.0)
    marked: float = 0.45


LEAST_TRIED = 0.05
"""Lower probabilities of patients left out are not kept, so no lower threshold is tried."""


@dataclass(frozen=True)
class Refinement:
    """How a model is adapted to a user's scans; see ``wmhseg.training.refining``.

    Attributes:
        real: Share of the slices of a batch that are real; 1: no synthetic ones are needed.
        implanting: Lesions that are put into real scans; null for none.
        folds: Groups that the patients are parted into, at most: each group is left out once.
        refined: Members that are refined, the first ones; null for all. The others stay in the
            model as they are: what one network learns of a few scans is steadied by them.
        looks: How often, evenly spread over the steps of a run, what is left out is segmented: the
            final runs take as many steps as one of these looks.
        thresholds: That are tried, beside the model's own.
        min_lesions_mm3: Smallest lesions that are tried, beside the model's own.
        lesion_peaks: That are tried, beside the model's own.
        gain: Mean DSC or mean lesion F1 of the patients left out has to rise by as much, and
            neither may fall, for the refined model to be called better.
        rules_gain: Other rules than the model's own are taken only if the mean of DSC and lesion F1
            rises by as much: what suits a handful of patients best suits the next one less.
    """

    real: float = 0.5
    implanting: Implanting | None = field(default_factory=Implanting)
    folds: int = 3
    refined: int | None = 1
    looks: int = 2
    thresholds: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    min_lesions_mm3: tuple[float, ...] = (0.0, 10.0)
    lesion_peaks: tuple[float, ...] = (0.0, 0.9, 0.98)
    gain: float = 0.01
    rules_gain: float = added(0.02)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A training, from data to a model folder.

    Attributes:
        format: Version of this form, 1.
        name: Name of the model to make, and of its folder.
        description: One sentence.
        licence: Licence of the weights.
        training_data: What they are trained on, one sentence.
        reference: The publication of the method.
        channels: 2 for z-scores of FLAIR and T1, 1 for FLAIR alone; null where ``inputs`` are
            listed.
        without_t1: With ``channels``: what the model does when no T1 is given, an error or a
            channel of zeros.
        inputs: What the networks take, one by one, as in a preset; none where ``channels`` says it.
        labels: What they say of each pixel; null for WMH alone.
        others: Labels besides WMH that masks are made of, as in a preset.
        readers: Rules for readers who mark less or more, as in a preset.
        flips: Whether the model averages with the flipped scan, as in a preset.
        weights: Type of the weights in the model folder.
        preprocessing: Of training and inference alike.
        postprocessing: Of inference.
        intensity_scale: Of real scans: "auto" is what the method says, as when the model segments
            later: "keep" for published methods, else "adapt"; see
            ``wmhseg.segmentation.options.Options``.
        augmentation: For real scans; null with synthetic ones.
        synthesis: For synthetic scans; null with real ones.
        refinement: Mixes both, to adapt a model; null for one kind of scans.
        sampling: Patches that networks are shown; null for slices.
        fitting: What all runs share.
        runs: Networks to train, in this order.
    """

    format: int
    name: str
    description: str
    licence: str
    training_data: str
    reference: str
    channels: int | None = added(None)
    without_t1: Literal["error", "zero"] | None = added(None)
    inputs: tuple[Input, ...] = added(())
    labels: Labels | None = added(None)
    others: tuple[OtherLabel, ...] = added(())
    readers: tuple[Reader, ...] = added(())
    flips: bool = added(False)
    weights: Literal["float16", "float32"]
    preprocessing: Preprocessing
    postprocessing: Postprocessing
    intensity_scale: Literal["auto", "adapt", "keep"]
    augmentation: Augmentation | None
    synthesis: Synthesis | None
    refinement: Refinement | None = added(None)
    sampling: Sampling | None = added(None)
    fitting: Fitting
    runs: tuple[Run, ...]

    @property
    def network_inputs(self) -> tuple[Input, ...]:
        """What the networks take, listed or told by a number of channels."""
        if self.channels is None:
            return self.inputs
        return inputs_of_channels(self.channels, self.without_t1 or "error")

    @property
    def network_labels(self) -> Labels:
        """What the networks say of each pixel."""
        return self.labels or WMH_ALONE


def intensity_scale(plan: Plan, preset: Preset) -> Literal["adapt", "keep"]:
    """What is done to the intensities of a scan: the same as when the model segments later.

    Args:
        plan: The plan.
        preset: Of the model that it makes.
    """
    asked = plan.intensity_scale
    return methods.intensity_scale("preset" if asked == "auto" else asked, preset)


def fitting_of(plan: Plan, run: Run) -> Fitting:
    """What a run is fitted with: the plan's, but for the loss that the run names."""
    return replace(plan.fitting, loss=run.loss or plan.fitting.loss)


def synthesis_of(plan: Plan, run: Run) -> Synthesis | None:
    """How the scans of a run are drawn: as the plan says, but for the recipe of the run."""
    if plan.synthesis is None or run.recipe is None:
        return plan.synthesis
    return replace(plan.synthesis, recipe=run.recipe)
