"""The command that makes models: train."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from wmhseg import errors
from wmhseg.cli.console import Console, console_of, print_json_text
from wmhseg.cli.found import ABOUT, Row, print_found
from wmhseg.cli.models import print_made
from wmhseg.cli.options import add_choice, command_line
from wmhseg.cli.parser import examples, whole
from wmhseg.segmentation.options import Options

if TYPE_CHECKING:
    from wmhseg.training.batches.split import PatientCase
    from wmhseg.training.fit import Running
    from wmhseg.training.plan import Augmentation, Plan
    from wmhseg.training.session import Data, Session
    from wmhseg.weights.store import Model

_MOST_NAMES = 10


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_train)
    examples(
        parser,
        "train --data DIR --check --output out",
        "train --data DIR --output out --split k-fold:5 --fold 1",
        "train --labels LABELS --output out --set runs.*.batch=4",
        "train --preset refine --model NAME --data DIR --labels LABELS --output out",
    )
    what = parser.add_argument_group("what")
    what.add_argument(
        "--preset",
        help="published (the default), published-stack, -vgg, -uresnet or -location with --data; "
        "synthetic, synthetic-stack, -mixed, -vgg, -uresnet, -location or -anatomy with --labels; "
        "refine with both, to adapt a model to your scanner",
    )
    what.add_argument("--model", metavar="NAME", help="with refine: the model that is adapted")
    what.add_argument("--name", help="of the model that is made: the same as --set name=NAME")
    what.add_argument("--config", metavar="PLAN.JSON", help="a complete plan in place of a preset")
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a value of the plan, such as runs.*.batch=10; may be given again",
    )
    what.add_argument("--print-plan", action="store_true", help="print the plan and stop")
    data = parser.add_argument_group("data")
    data.add_argument("--data", metavar="DIR", help="cases with masks, as evaluate takes them")
    data.add_argument("--labels", metavar="DIR", help="whole-head label maps to draw scans from")
    data.add_argument(
        "--lesion-free",
        metavar="DIR",
        help="with refine: scans without a mask in which nothing is to be marked",
    )
    data.add_argument("--patients", metavar="TSV", help="table with the columns case and patient")
    data.add_argument(
        "--split",
        default="none",
        metavar="HOW",
        help="what to keep aside, by patient: none, k-fold:5, loso (one patient) or cross-scanner",
    )
    data.add_argument("--fold", type=whole, default=1, metavar="N", help="which part, from 1")
    data.add_argument("--check", action="store_true", help="read all data, report, and stop")
    data.add_argument("--dry-run", action="store_true", help=f"with --data: {ABOUT}")
    data.add_argument("--validation", metavar="DIR", help="cases to look at while it trains")
    how = parser.add_argument_group("how to run")
    how.add_argument(
        "--keep-anyway",
        action="store_true",
        help="with refine: write the model even if it is not better on patients left out",
    )
    how.add_argument("--output", metavar="DIR", help="checkpoints, logs and the model folder")
    add_choice(how, Options, "device", "auto: a GPU if there is one")
    how.add_argument("--threads", type=whole, metavar="N", help="default: all available")
    how.add_argument("--producers", type=whole, metavar="N", help="processes that draw batches")
    # Only said here: ``Running`` holds the numbers, and would load what a training needs.
    for name, steps in (("checkpoint", 250), ("log", 50), ("look", 1000)):
        how.add_argument(f"--{name}-every", type=whole, metavar="STEPS", help=f"default: {steps}")


def _train(arguments: argparse.Namespace) -> int:
    from wmhseg.engines import backends
    from wmhseg.io import files
    from wmhseg.training import plan_files
    from wmhseg.training.batches.synthetic_data import SyntheticData

    plan = _plan(arguments)
    if arguments.print_plan:
        print_json_text(plan_files.to_json(plan))
        return errors.EXIT_OK
    if arguments.dry_run:
        return _print_cases(arguments, plan)
    if not arguments.output:
        raise errors.UsageError("--output DIR was expected", received="none")
    running = _running(arguments)
    if not arguments.check:
        backends.check_keras()  # reading the data may take an hour
    console = console_of(arguments)
    if plan.refinement is not None:
        with files.without_empty_folders(Path(arguments.output)):
            return _refine(arguments, plan, running, console)
    if plan.augmentation is not None:
        with files.without_empty_folders(Path(arguments.output)):
            return _train_on_scans(arguments, plan, plan.augmentation, running, console)
    assert plan.synthesis is not None
    data = SyntheticData(Path(arguments.labels), plan)
    if arguments.check:
        print("\n".join([*data.describe(), f"{len(data.identity())} files read"]))
        return errors.EXIT_OK
    _finish(_session(arguments, plan, data, {}), running, console)
    return errors.EXIT_OK


def _cases(arguments: argparse.Namespace) -> list[PatientCase]:
    """What --data and --patients name."""
    from wmhseg.datasets import cases
    from wmhseg.training.batches import split

    found = cases.find_cases(Path(arguments.data), console_of(arguments).warn)
    return split.with_patients(found, Path(arguments.patients) if arguments.patients else None)


def _print_cases(arguments: argparse.Namespace, plan: Plan) -> int:
    from wmhseg.training.batches import labelled_input

    if plan.augmentation is None:
        raise errors.UsageError(
            "--data DIR was expected with --dry-run",
            received="--labels",
            advice="--check reads label maps and stops.",
        )
    rows: list[Row] = [
        {
            "subject": one.case.name,
            "patient": one.patient,
            "flair": one.case.flair,
            "t1": one.case.t1,
            "mask": one.case.reference,
            "why_not": labelled_input.why_not(one.case, plan),
        }
        for one in _cases(arguments)
    ]
    print_found(rows)
    return errors.EXIT_OK


def _train_on_scans(
    arguments: argparse.Namespace,
    plan: Plan,
    augmentation: Augmentation,
    running: Running,
    console: Console,
) -> int:
    from wmhseg.io import files
    from wmhseg.training.batches import real_data, split
    from wmhseg.training.session import NO_VALIDATION, VALIDATE

    kept_aside = arguments.validation or arguments.split != "none"
    if plan.fitting.stopping is not None and not kept_aside and not arguments.check:
        raise errors.UsageError(NO_VALIDATION, received="neither", advice=VALIDATE)
    output = Path(arguments.output)
    files.check_writable(output)
    patient_cases = _cases(arguments)
    folder = output / "prepared"
    try:
        with console.progress("reading", "cases") as show:
            prepared = real_data.prepare(patient_cases, plan, folder, show)
        for name, why in prepared.skipped.items():
            console.warn(f"skipped {name}: {why}")
        if prepared.off_scale:
            console.warn(
                f"{len(prepared.off_scale)} of {len(prepared.folders)} cases do not have the "
                "brightness of the challenge's scans and are kept so, as the published method "
                "does: "
                + ", ".join(prepared.off_scale[:_MOST_NAMES])
                + ". To adapt them: --set intensity_scale=adapt, and --intensity-scale adapt when "
                "the model segments."
            )
        usable = [one for one in patient_cases if one.case.name in prepared.folders]
        parted = split.split(usable, arguments.split, arguments.fold)
        for names in split.copies(usable) if arguments.split != "none" else ():
            console.warn(split.told_copies(names))
        data = real_data.ScanData(parted, prepared, augmentation, plan.sampling, plan.fitting.loss)
        data.check()
        if arguments.check:
            print("\n".join(data.describe()))
        else:
            extras = {"split.json": split.to_json(parted, prepared.skipped)}
            _finish(_session(arguments, plan, data, extras), running, console)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if prepared.skipped:
        raise errors.SubjectsSkippedError(
            f"{len(patient_cases)} usable subjects were expected in {arguments.data}",
            received=f"{len(usable)}; skipped: {', '.join(list(prepared.skipped)[:10])}",
            advice="Everything else was done with the others; the warnings say what is wrong.",
        )
    return errors.EXIT_OK


def _refine(arguments: argparse.Namespace, plan: Plan, running: Running, console: Console) -> int:
    from wmhseg.io import files
    from wmhseg.training.batches import own_scans, split
    from wmhseg.training.batches.mixed_data import MixedData
    from wmhseg.training.batches.synthetic_data import SyntheticData
    from wmhseg.training.refining import adapting
    from wmhseg.training.refining.refine import Refining, refine

    output, model = Path(arguments.output), _model(arguments)
    adapting.check_plan(plan, model)
    files.check_writable(output)
    labelled = _cases(arguments)
    if not arguments.patients:
        split.check_visits(labelled)
    free = split.lesion_free(arguments.lesion_free, arguments.patients, console.warn)
    folder = output / "prepared"
    try:
        with console.progress("reading", "scans") as show:
            own = own_scans.prepare(labelled, free, plan, folder, show)
        for name, why in own.skipped.items():
            console.warn(f"skipped {name}: {why}")
        for name, why in own.unplaced.items():
            console.warn(f"no lesions are put into {name}: {why}")
        for names in own.copies:
            console.warn(split.told_copies(names))
        drawn = SyntheticData(Path(arguments.labels), plan) if arguments.labels else None
        data = MixedData(own, drawn, plan)
        adapting.check_scans(own)
        if arguments.check:
            print("\n".join([*data.describe(), *adapting.described(own, plan)]))
        else:
            extras = {"split.json": adapting.split_json(own, plan)}
            what = Refining(
                model,
                data,
                output,
                command_line(arguments),
                extras,
                arguments.keep_anyway,
            )
            print_made(refine(what, running, console.say))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if own.skipped:
        every = len(labelled) + len(free)
        raise errors.SubjectsSkippedError(
            f"{every} usable scans were expected",
            received=f"{every - len(own.skipped)}; skipped: {', '.join(list(own.skipped)[:10])}",
            advice="Everything else was done with the others; the warnings say what is wrong.",
        )
    return errors.EXIT_OK


def _model(arguments: argparse.Namespace) -> Model:
    """The model that is adapted."""
    from wmhseg.weights import store

    if not arguments.model:
        raise errors.UsageError(
            "--model NAME was expected with --preset refine: the model that is adapted",
            received="none",
        )
    return store.find(arguments.model)


def _session(
    arguments: argparse.Namespace, plan: Plan, data: Data, extras: dict[str, str]
) -> Session:
    from wmhseg.training.session import Session

    return Session(
        plan=plan,
        data=data,
        output=Path(arguments.output),
        command=command_line(arguments),
        extras=extras,
        validation=Path(arguments.validation) if arguments.validation else None,
    )


def _finish(session: Session, running: Running, console: Console) -> None:
    from wmhseg.training.session import train

    print_made(train(session, running, console.say))


def _plan(arguments: argparse.Namespace) -> Plan:
    """The plan that was asked for, fitting the kind of data."""
    from wmhseg.io import files
    from wmhseg.training import plan_files, recipes

    if arguments.config and arguments.preset:
        raise errors.UsageError("Either --preset or --config was expected", received="both")
    if arguments.config:
        with files.reading(
            arguments.config, f'plan "{arguments.config}"', advice="Name a JSON file."
        ) as handle:
            plan = plan_files.from_json(handle.read().decode("utf-8", "replace"))
    else:
        name = arguments.preset or ("synthetic" if arguments.labels else "published")
        if name not in recipes.PLANS:
            raise errors.UsageError(
                "--preset out of " + ", ".join(recipes.PLANS) + " was expected", received=name
            )
        plan = recipes.PLANS[name]
        if plan.refinement is not None and (arguments.model or not arguments.print_plan):
            from wmhseg.training.refining import adapting

            plan = adapting.plan_of(plan, _model(arguments))
    named = [f"name={json.dumps(arguments.name)}"] if arguments.name else []
    plan = plan_files.with_settings(plan, arguments.set + named)
    if arguments.print_plan:
        return plan
    _check_given(arguments, plan)
    return plan


def _check_given(arguments: argparse.Namespace, plan: Plan) -> None:
    """What is given has to be what the plan needs."""
    given = [name for name in ("data", "labels") if getattr(arguments, name)]
    how = plan.refinement
    if plan.network_labels.anatomical and arguments.validation:
        raise errors.UsageError(
            "No --validation was expected for a plan of structures, which masks of cases lack",
            received=arguments.validation,
        )
    if how is None:
        wanted = ["data" if plan.synthesis is None else "labels"]
        for option in ("model", "lesion_free", "keep_anyway"):
            if getattr(arguments, option):
                name = "--" + option.replace("_", "-")
                raise errors.UsageError(
                    f"A plan that adapts a model (--preset refine) was expected with {name}",
                    received=plan.name,
                )
    else:
        wanted = ["data"] if how.real == 1 else ["data", "labels"]
        for option, usual in (("split", "none"), ("validation", None)):
            if getattr(arguments, option) != usual:
                raise errors.UsageError(
                    f"No --{option} was expected with --preset refine, which leaves out patients "
                    "itself",
                    received=getattr(arguments, option),
                )
    if given != wanted:
        options = " and ".join(f"--{name} DIR" for name in wanted)
        verb = "was" if len(wanted) == 1 else "were"
        raise errors.UsageError(
            f"{options} {verb} expected for this plan, and no other data",
            received=" and ".join(f"--{name}" for name in given) or "none",
            advice=""
            if how is None
            else "Synthetic scans (--labels) keep a model from forgetting what other scanners "
            "show. To do without: --set refinement.real=1.",
        )


def _running(arguments: argparse.Namespace) -> Running:
    from wmhseg.training.fit import Running

    numbers = {
        name: getattr(arguments, name)
        for name in ("threads", "producers", "checkpoint_every", "log_every", "look_every")
    }
    for name, value in numbers.items():
        if value is not None and value < 1:
            option = "--" + name.replace("_", "-")
            raise errors.UsageError(f"{option} of at least 1 was expected", received=value)
    given = {name: value for name, value in numbers.items() if value is not None}
    return Running(device=arguments.device, **given)


COMMANDS = {"train": _add_arguments}
