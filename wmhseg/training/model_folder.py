"""What stands in the model folder of a training beside its weights: preset, card and plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from wmhseg.io import files
from wmhseg.training import plan_files
from wmhseg.training.plan import Plan, Run, fitting_of, synthesis_of
from wmhseg.version import __version__
from wmhseg.weights import preset
from wmhseg.weights.preset import Preset


@dataclass(frozen=True)
class Facts:
    """What a model card says beyond the plan.

    Attributes:
        command: The command that made the model.
        data: Sentences on the training data, with counts.
        hours: Name of a run -> hours spent in its steps.
        losses: Name of a run -> its last logged training loss.
        hardware: What it was computed on at the end.
        versions: Package -> version.
        validation: Name of a member -> number of validation cases, mean DSC, mean lesion F1, at
            the end of its training.
        measured: What was measured otherwise, in Markdown; "" if nothing was.
    """

    command: str
    data: Sequence[str]
    hours: Mapping[str, float]
    losses: Mapping[str, str]
    hardware: str
    versions: Mapping[str, str]
    validation: Mapping[str, tuple[int, float, float]]
    measured: str = ""


def preset_of(plan: Plan, runs: Sequence[Run]) -> Preset:
    """The preset of a model with these runs as members; checksums are filled in on writing.

    Raises:
        PresetError: If there is no such network, or it does not take the options of a run.
    """
    made = Preset(
        format=preset.FORMAT,
        name=plan.name,
        description=plan.description,
        licence=plan.licence,
        training_data=plan.training_data,
        reference=plan.reference,
        inputs=plan.network_inputs,
        labels=plan.network_labels,
        preprocessing=plan.preprocessing,
        postprocessing=plan.postprocessing,
        members=(),
        others=plan.others,
        readers=plan.readers,
        flips=plan.flips,
    )
    members = (
        preset.unwritten_member(f"{run.name}.safetensors", run.network, run.options, made.signature)
        for run in runs
    )
    return replace(made, members=tuple(members))


def card(plan: Plan, facts: Facts) -> str:
    """Text of MODEL_CARD.md: what is known, and nothing that was not measured."""
    runs = "\n".join(
        f"| {run.name} | {run.network} {run.options or ''} | {'yes' if run.member else 'no'} "
        f"| {facts.losses.get(run.name, '')} | {facts.hours.get(run.name, 0):.2f} |"
        for run in plan.runs
    )
    about = "\n".join(f"* {line}" for line in facts.data)
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    return f"""# {plan.name}

{plan.description}

**For research. Not a medical device; not for diagnosis or treatment.** Look at every mask.

## Method

{plan.reference}

## Training data

{about}

## Recipe

```
{facts.command}
```

| run | network | member | last training loss | hours |
|---|---|---|---|---|
{runs}
{_as_they_are(plan)}{_differences(plan)}
{sum(facts.hours.values()):.2f} hours in all, on {facts.hardware}. wmhseg {__version__}, {versions}.
`plan.json` beside this file is the complete plan.

## Validation

{_validation(facts)}

## Licence

{plan.licence}
"""


def _as_they_are(plan: Plan) -> str:
    """Which members no step was taken for, and where they come from; nothing where none is."""
    here = {run.name for run in plan.runs}
    taken = [run for run in plan.runs if run.steps == 0]
    told = "".join(
        f"\nMember {run.name} is what run {run.start_from} has learnt.\n"
        for run in taken
        if run.start_from in here
    )
    lines = [
        f"* {run.name}: taken as it is from `{'/'.join(Path(str(run.start_from)).parts[-2:])}`"
        for run in taken
        if run.start_from not in here
    ]
    if not lines:
        return told
    return told + "\nMembers that were not trained here:\n\n" + "\n".join(lines) + "\n"


def _differences(plan: Plan) -> str:
    """What runs have in place of the plan's recipe and loss; nothing where none has any."""
    lines = []
    for run in plan.runs:
        if run.steps == 0:
            continue
        drawn = synthesis_of(plan, run)
        own = []
        if run.recipe is not None and plan.synthesis is not None and drawn is not None:
            common = asdict(plan.synthesis.recipe)
            changed = {k: v for k, v in asdict(drawn.recipe).items() if v != common[k]}
            own += [f"{name} {_shown(value)}" for name, value in changed.items()]
        loss = fitting_of(plan, run).loss
        own += [f"loss {loss}"] if loss != plan.fitting.loss else []
        if own:
            lines.append(f"* {run.name}: {'; '.join(own)}")
    if not lines:
        return ""
    return "\nRuns differ from the plan in:\n\n" + "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _validation(facts: Facts) -> str:
    if facts.measured:
        return facts.measured
    if not facts.validation:
        return (
            "Nothing has been measured. A training loss says nothing about other scans: score the "
            "model on cases of your own with `wmhseg evaluate`."
        )
    rows = "\n".join(
        f"| {name} | {cases} | {dsc:.3f} | {f1:.3f} |"
        for name, (cases, dsc, f1) in facts.validation.items()
    )
    return f"""Each member alone on the validation cases at the end of its training. These cases
were looked at while the model was trained: they are **validation data, not test data**. The
ensemble has not been measured.

| member | cases | mean DSC | mean lesion F1 |
|---|---|---|---|
{rows}"""


def write_extras(folder: Path, plan: Plan, extras: Mapping[str, str]) -> None:
    """Writes the plan and other texts, such as the split, into a finished model folder."""
    files.write_text(folder / "plan.json", plan_files.to_json(plan))
    for name, text in extras.items():
        files.write_text(folder / name, text)
