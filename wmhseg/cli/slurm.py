"""Many subjects on a cluster: slurm."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wmhseg import errors
from wmhseg.cli.batch import add_results
from wmhseg.cli.console import Console, console_of, print_json
from wmhseg.cli.options import add_running, model_of, options_of, picture_of
from wmhseg.cli.parser import examples, positive

if TYPE_CHECKING:
    from wmhseg.batch.run import BatchOptions
    from wmhseg.clusters.containers import Container
    from wmhseg.clusters.slurm import Plan, Resources
    from wmhseg.datasets.subjects import Subject

# What decides which models and how many processors there are; a job has it as the user has it now.
_SETTINGS = ("WMHSEG_MODELS",)
_SCRIPTS = "slurm"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_slurm)
    examples(
        parser,
        "slurm study --output results --array 20",
        "slurm subjects.tsv --output results --array 100%20 --partition short --submit",
        "slurm study --output results --array 20 --container wmhseg.sif --setup 'module load "
        "apptainer'",
    )
    parser.add_argument(
        "subjects",
        metavar="TABLE|DIR",
        help="as of wmhseg batch; on a disk that all nodes have at the same path",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        required=True,
        help="folder to write to, on such a disk: summary.tsv, and a folder for each subject",
    )
    parser.add_argument(
        "--array",
        metavar="N[%K]",
        required=True,
        help="tasks among which the subjects are dealt out; with %%K at most K at once",
    )
    _add_scripts(parser)
    _add_resources(parser)
    # What follows is handed on to wmhseg batch.
    own = set(map(id, parser._actions))
    add_results(parser)
    add_running(parser, many=True)
    passed = [action for action in parser._actions if id(action) not in own]
    parser.set_defaults(passed=[action for action in passed if action.dest != "json"])


def _add_scripts(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the scripts (docs/slurm.md)")
    group.add_argument(
        "--scripts",
        metavar="DIR",
        help=f"folder for the scripts and their logs (default: {_SCRIPTS} in that of the results)",
    )
    group.add_argument(
        "--submit", action="store_true", help="submit them, and print the numbers of the jobs"
    )
    group.add_argument(
        "--dry-run", action="store_true", help="print the script of the array and write nothing"
    )
    group.add_argument(
        "--container",
        metavar="FILE.sif|IMAGE",
        help="run wmhseg in a container: by Apptainer from a file, by podman or Docker from an "
        "image",
    )
    group.add_argument(
        "--setup",
        metavar="LINE",
        action="append",
        default=[],
        help="a line of shell to run first, such as 'module load apptainer'; may be repeated",
    )


def _add_resources(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to ask SLURM for")
    group.add_argument("--partition", metavar="NAME", help="default: the cluster's")
    group.add_argument("--account", metavar="NAME", help="default: yours")
    group.add_argument(
        "--time",
        metavar="TIME",
        help="limit of a task, as SLURM writes it: minutes, HH:MM:SS, D-HH:MM:SS (default: with "
        "room to spare for what was measured, docs/scale.md)",
    )
    group.add_argument(
        "--mem", metavar="SIZE", help="memory of a task, such as 4G (default: docs/scale.md)"
    )
    group.add_argument(
        "--cpus", type=positive, default=4, metavar="N", help="processors of a task (default: 4)"
    )
    group.add_argument(
        "--sbatch",
        metavar="OPTION",
        action="append",
        default=[],
        help="any other option of sbatch, without its dashes, such as qos=low; may be repeated",
    )


def _slurm(arguments: argparse.Namespace) -> int:
    from wmhseg.batch import run
    from wmhseg.clusters import slurm, tables

    console = console_of(arguments)
    source, output = (Path(path).absolute() for path in (arguments.subjects, arguments.output))
    folder = Path(arguments.scripts).absolute() if arguments.scripts else output / _SCRIPTS
    subjects = _subjects(source, console)
    run.check_names(subjects)
    _check_place(folder, output, subjects)
    _check_model(subjects, _settings_of(arguments), arguments, console)
    listed = source.is_dir() and tables.fits(subjects)
    table = folder / tables.NAME if listed else source
    plan = _plan(arguments, subjects, table, output)
    resources = _resources(arguments, subjects)
    if arguments.dry_run:
        print(slurm.array_script(plan, resources[0], folder), end="")
        return errors.EXIT_OK
    if plan.container is not None:
        from wmhseg.io import files

        files.check_writable(output)  # a container engine would make it, for root
    written = slurm.write(plan, resources, folder)
    if listed:
        tables.write(subjects, table)
    jobs = slurm.submit(folder) if arguments.submit else None
    _tell(plan, written, jobs, as_json=arguments.json)
    return errors.EXIT_OK


def _subjects(source: Path, console: Console) -> list[Subject]:
    from wmhseg.datasets.subjects import find_subjects, read_subjects

    if not source.is_dir():
        return read_subjects(source)
    found = find_subjects(source, console.warn)
    for subject in found:
        if subject.problem:
            console.warn(f"{subject.name}: {subject.problem}")
    return found


def _settings_of(arguments: argparse.Namespace) -> BatchOptions:
    from wmhseg.batch import run

    return run.BatchOptions(
        model_of(arguments),
        options_of(arguments),
        picture=picture_of(arguments),
        others=("stroke",) if arguments.stroke else (),
        page=arguments.report,
    )


def _check_place(folder: Path, output: Path, subjects: Sequence[Subject]) -> None:
    """The scripts must not lie where a subject's results will."""
    taken = {(output / subject.name).name.casefold() for subject in subjects}
    if folder.parent == output and folder.name.casefold() in taken:
        raise errors.UsageError(
            "A folder for the scripts that is no subject's was expected",
            received=str(folder),
            advice="Name another one: --scripts DIR.",
        )


def _check_model(
    subjects: Sequence[Subject],
    settings: BatchOptions,
    arguments: argparse.Namespace,
    console: Console,
) -> None:
    """Whatever ``wmhseg batch`` would refuse as a whole is refused now."""
    from wmhseg.batch import run

    try:
        run.check(subjects, settings)
    except errors.UnknownModelError:
        if arguments.container is None or os.sep in settings.model:
            raise
        console.warn(
            f'the model "{settings.model}" is not installed here: whether '
            "the container has it, and what it can do, is not checked"
        )


def _plan(
    arguments: argparse.Namespace, subjects: Sequence[Subject], source: Path, output: Path
) -> Plan:
    from wmhseg.clusters.slurm import Plan

    tasks, at_once = _array(arguments.array)
    if tasks > len(subjects):
        raise errors.UsageError(
            f"--array: at most as many tasks as there are subjects, {len(subjects)}, were expected",
            received=arguments.array,
        )
    settings = [(name, os.environ[name]) for name in _SETTINGS if os.environ.get(name)]
    plan = Plan(
        len(subjects),
        tasks,
        at_once,
        (sys.executable, "-m", "wmhseg"),
        ((str(source),), ("--output", str(output)), *_passed(arguments)),
        tuple(settings),
        tuple(_line(line) for line in arguments.setup),
    )
    if arguments.container is None:
        return plan
    container = _container(arguments, subjects, source, output)
    # The models are those of the container, but for a folder that is named.
    return replace(plan, container=container, settings=())


def _array(text: str) -> tuple[int, int | None]:
    """Tasks, and how many may run at once."""
    found = re.fullmatch(r"([1-9]\d{0,5})(?:%([1-9]\d{0,5}))?", text)
    if found is None:
        raise errors.UsageError(
            "--array: a number of tasks was expected, or N%K for at most K at once", received=text
        )
    return int(found[1]), int(found[2]) if found[2] else None


def _line(text: str) -> str:
    if "\n" in text:
        raise errors.UsageError("--setup: one line was expected", received=text)
    return text


def _passed(arguments: argparse.Namespace) -> list[tuple[str, ...]]:
    """The options of ``wmhseg batch`` that were given."""
    words: list[tuple[str, ...]] = []
    for action in arguments.passed:
        value = getattr(arguments, action.dest)
        if value == action.default:
            continue
        option = action.option_strings[0]
        if action.dest == "model" and Path(value).is_dir():
            value = Path(value).absolute()
        words.append((option,) if value is True else (option, str(value)))
    if arguments.threads is None:
        words.append(("--threads", str(arguments.cpus)))
    return words


def _container(
    arguments: argparse.Namespace, subjects: Sequence[Subject], source: Path, output: Path
) -> Container:
    from wmhseg.clusters import containers

    scans = [path for s in subjects for path in (s.flair, s.t1) if path is not None]
    model = Path(model_of(arguments))
    read = [path.absolute() for path in (source, *scans)]
    if model.is_dir():
        read.append(model.absolute())
    return containers.of(arguments.container, read, output)


def _resources(
    arguments: argparse.Namespace, subjects: Sequence[Subject]
) -> tuple[Resources, Resources]:
    """What a task needs, and what the job that collects needs."""
    from wmhseg.clusters.slurm import Resources, check_resources

    named = [
        f"--{name}={getattr(arguments, name)}"
        for name in ("partition", "account")
        if getattr(arguments, name)
    ]
    more = (*named, *(o if o.startswith("-") else f"--{o}" for o in arguments.sbatch))
    time, memory = arguments.time, arguments.mem
    if not (time and memory):
        expected = _expected(subjects, arguments)
        time, memory = time or expected[0], memory or expected[1]
    task = Resources(time, memory, arguments.cpus, more)
    # It reads small files; options such as gres are the tasks' alone.
    collect = Resources("60", "2G", 1, tuple(named))
    for resources in (task, collect):
        check_resources(resources)
    return task, collect


def _expected(subjects: Sequence[Subject], arguments: argparse.Namespace) -> tuple[str, str]:
    """Time limit and memory of a task where none are given."""
    from wmhseg.clusters import demand
    from wmhseg.weights import store

    options = options_of(arguments)
    options = replace(options, threads=options.threads or arguments.cpus)
    try:
        preset = store.find(model_of(arguments)).preset
    except errors.UnknownModelError:  # the container's
        preset = None
    return demand.limits(subjects, _array(arguments.array)[0], preset, options)


def _tell(
    plan: Plan, written: Sequence[Path], jobs: tuple[str, str] | None, *, as_json: bool
) -> None:
    """Says what was written and submitted."""
    names = ("array", "collect")
    numbers = dict(zip(names, jobs, strict=True)) if jobs else {}
    if as_json:
        scripts = dict(zip((*names, "submit"), map(str, written), strict=True))
        print_json({"subjects": plan.subjects, "tasks": plan.tasks, "scripts": scripts} | numbers)
        return
    print(f"{'subjects':<13}{plan.subjects} in {plan.tasks} tasks")
    print(f"{'written':<13}{written[0].parent}: {', '.join(path.name for path in written)}")
    for name, number in numbers.items():
        print(f"{name:<13}job {number}")
    if not numbers:
        print(f"{'submit':<13}bash {shlex.quote(str(written[-1]))}")


COMMANDS = {"slurm": _add_arguments}
