"""Scripts for SLURM: an array whose tasks segment one shard each, and the job that collects.

A task runs ``wmhseg batch … --shard I/N``. What SLURM tells it goes on to that command:

* SIGTERM (``scancel``, a node that is taken away, preemption) ends it within seconds; nothing that
  is half written stays, and the task goes on from there when it runs again.
* SIGUSR1, asked for shortly before the time limit, does the same, and the task puts itself back
  into the queue.

The scripts are for people to read, to change and to submit again.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wmhseg import errors
from wmhseg.clusters.containers import SCRATCH, Container
from wmhseg.io import files
from wmhseg.version import __version__

ARRAY, COLLECT, SUBMIT, LOGS = "array.sh", "collect.sh", "submit.sh", "logs"
NOTICE_S = 60
"""SLURM tells a task this long before its time is over, or up to a minute earlier."""

_RETURNS = 20
"""So often a task puts itself back into the queue; a scan that takes longer than the limit must
not do so for ever."""

_SHORTEST_S = 180
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d+))?(?::(?P<third>\d+))?")
_MEMORY = re.compile(r"[1-9]\d*[KMGT]?")
_ODD = re.compile(r"[^\w@%+=:,./-]")
_SUBMIT_TIMEOUT_S = 300
_VARIABLES = ("$SLURM_ARRAY_TASK_ID/", SCRATCH)


@dataclass(frozen=True)
class Resources:
    """What a task asks SLURM for.

    Attributes:
        time: Limit, as SLURM writes it: minutes, ``HH:MM:SS`` or ``D-HH:MM:SS``.
        memory: As SLURM writes it, such as ``4G``.
        cpus: Processors.
        more: Further options of sbatch, each whole, such as ``--partition=short``.
    """

    time: str
    memory: str
    cpus: int
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Subjects in an array of tasks.

    Attributes:
        subjects: How many there are.
        tasks: Shards, each the work of one task.
        at_once: Tasks that may run at the same time, None for as many as SLURM lets run.
        program: What starts wmhseg: ``wmhseg``, or Python and its module.
        words: Of ``wmhseg batch``: the table, --output, and options; paths are absolute.
        settings: Variables of the environment that decide what is computed.
        before: Lines of shell to run first, such as ``module load apptainer``.
        container: Where wmhseg runs, None for no container.
    """

    subjects: int
    tasks: int
    at_once: int | None
    program: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    settings: tuple[tuple[str, str], ...] = ()
    before: tuple[str, ...] = ()
    container: Container | None = None


def seconds_of(time: str) -> int:
    """A time limit in seconds.

    Args:
        time: As SLURM writes it: ``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``, or
            with days ``days-hours``, ``days-hours:minutes``, ``days-hours:minutes:seconds``.

    Raises:
        UsageError: It is none of these, or too short to end in good order.

    >>> [seconds_of(time) for time in ("90", "4:30", "1:00:00", "2-12", "0-0:30")]
    [5400, 270, 3600, 216000, 1800]
    """
    found = _TIME.fullmatch(time)
    if found is None:
        raise errors.UsageError(
            "--time: minutes, HH:MM:SS or D-HH:MM:SS was expected", received=f'"{time}"'
        )
    parts = [int(part or 0) for part in found.group("first", "second", "third")]
    in_hours = found["days"] is not None or found["third"] is not None
    scale = (3600, 60, 1) if in_hours else (60, 1, 0)
    total = int(found["days"] or 0) * 86400 + sum(p * s for p, s in zip(parts, scale, strict=True))
    if total < _SHORTEST_S:
        raise errors.UsageError(
            f"--time: at least {_SHORTEST_S // 60} minutes were expected",
            received=f'"{time}"',
            advice="SLURM tells a task up to two minutes before its time is over, so that it can "
            "end in good order.",
        )
    return total


def check_resources(resources: Resources) -> None:
    """Makes sure that SLURM can understand what is asked for.

    Raises:
        UsageError: A value is not of SLURM's form.
    """
    seconds_of(resources.time)
    if not _MEMORY.fullmatch(resources.memory):
        raise errors.UsageError(
            "--mem: a whole number with K, M, G or T was expected", received=resources.memory
        )
    for option in resources.more:
        if not re.fullmatch(r"--?[a-zA-Z][\w-]*(=[^\n]*)?", option):
            raise errors.UsageError(
                "One option of sbatch on one line was expected",
                received=option,
                advice="Such as --sbatch gres=gpu:1 or --sbatch exclusive.",
            )


def array_script(plan: Plan, resources: Resources, folder: Path) -> str:
    """The script of the array.

    Args:
        plan: Who is segmented, and how.
        resources: What a task needs.
        folder: Where the scripts and their logs are.

    Raises:
        UsageError: A path cannot be given to SLURM or to a container.
    """
    limit = "" if plan.at_once is None else f"%{plan.at_once}"
    head = [
        f"# Segments {_count(plan.subjects, 'subject')} in {_count(plan.tasks, 'task')}; written "
        f"by wmhseg {__version__}.",
        f"# Run it, and what collects the results: bash {shlex.quote(str(folder / SUBMIT))}",
        "# Only some tasks again: sbatch --array=3,7 array.sh (what is done is not done again).",
        "#SBATCH --job-name=wmhseg",
        f"#SBATCH --array=1-{plan.tasks}{limit}",
        *_needs(resources, folder, "%A_%a"),
        "# A task that loses its node, or is preempted, runs again; its log goes on.",
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        "# Before the time is over the script is told, and puts the task back into the queue.",
        f"#SBATCH --signal=B:USR1@{NOTICE_S}",
    ]
    words = (*plan.words, ("--shard", f"$SLURM_ARRAY_TASK_ID/{plan.tasks}"))
    return "\n".join(["#!/bin/bash", *head, "", *_commands(plan, words), _WAITING.strip(), ""])


def collect_script(plan: Plan, resources: Resources, folder: Path) -> str:
    """The script of the job that makes the summary; arguments and errors as of the array's."""
    head = [
        f"# Makes the summary of what the tasks of {ARRAY} have done; written by wmhseg "
        f"{__version__}.",
        "#SBATCH --job-name=wmhseg-collect",
        *_needs(resources, folder, "collect_%j"),
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
    ]
    words = (*plan.words, ("--collect",))
    return "\n".join(["#!/bin/bash", *head, "", *_commands(plan, words), '"${command[@]}"', ""])


def submit_script(folder: Path) -> str:
    """The script that submits both."""
    array, collect = (shlex.quote(str(folder / name)) for name in (ARRAY, COLLECT))
    return f"""\
#!/bin/bash
# Submits the array, and the job that collects when all tasks have ended, whatever became of them.
set -euo pipefail
array=$(sbatch --parsable {array})
array=${{array%%;*}}
echo "array $array"
collect=$(sbatch --parsable --dependency=afterany:"$array" {collect})
echo "collect ${{collect%%;*}}"
"""


def write(plan: Plan, resources: tuple[Resources, Resources], folder: Path) -> list[Path]:
    """Writes the three scripts.

    Args:
        plan: Who is segmented, and how.
        resources: What a task of the array needs, and what the job that collects needs.
        folder: Where to; it is made, with a folder for the logs.

    Returns:
        The scripts: array, collection, submission.

    Raises:
        UsageError: As of ``array_script``.
        OutputError: They cannot be written.
    """
    texts = {
        ARRAY: array_script(plan, resources[0], folder),
        COLLECT: collect_script(plan, resources[1], folder),
        SUBMIT: submit_script(folder),
    }
    files.check_writable(folder / LOGS)  # sbatch makes no folders, and drops logs without one
    for name, text in texts.items():
        files.write_text(folder / name, text)
    return [folder / name for name in texts]


def submit(folder: Path) -> tuple[str, str]:
    """Submits what ``write`` has written.

    Args:
        folder: Of the scripts.

    Returns:
        Numbers of the array and of the job that collects.

    Raises:
        ClusterError: SLURM is not there, or refuses a job.
    """
    try:
        done = subprocess.run(
            ["bash", str(folder / SUBMIT)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SUBMIT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise errors.ClusterError(
            "An answer of SLURM was expected",
            received=f"none in {_SUBMIT_TIMEOUT_S} s",
            advice=f"squeue tells what was submitted. The scripts are in {folder}.",
        ) from None
    numbers = dict(re.findall(r"^(array|collect) (\S+)$", done.stdout, re.M))
    if done.returncode or len(numbers) != 2:
        begun = f"; the array is {numbers['array']}" if numbers else ""
        raise errors.ClusterError(
            "SLURM was expected to take the jobs",
            received=_last_line(done.stderr) + begun,
            advice=f"Change the scripts in {folder}, or the options that they come from.",
        )
    return numbers["array"], numbers["collect"]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no number of a job"


def _needs(resources: Resources, folder: Path, log: str) -> Iterable[str]:
    """Lines that tell SLURM what a job needs."""
    yield "#SBATCH --nodes=1"
    yield "#SBATCH --ntasks=1"
    yield f"#SBATCH --cpus-per-task={resources.cpus}"
    yield f"#SBATCH --mem={resources.memory}"
    yield f"#SBATCH --time={resources.time}"
    yield f"#SBATCH --output={_in_directive(folder / LOGS, log)}"
    for option in resources.more:
        name, sign, value = option.partition("=")
        yield f"#SBATCH {name}{sign}{_one_word(value)}"


def _in_directive(folder: Path, log: str) -> str:
    """A log as sbatch reads it in a line of a script, where "%" begins a placeholder."""
    text = str(folder)
    if "\\" in text or not text.isprintable():
        raise errors.UsageError(
            "A folder for scripts and logs without backslashes and line ends was expected",
            received=text,
            advice="SLURM cannot write logs there. Name another one: --scripts DIR.",
        )
    return _one_word(f"{text.replace('%', '%%')}/{log}.log")


def _one_word(text: str) -> str:
    """As sbatch reads it in a line of a script: in quotes, with backslashes before quotes."""
    return '"' + re.sub(r'([\\"])', r"\\\1", text) + '"' if _ODD.search(text) else text


def _commands(plan: Plan, words: Sequence[Sequence[str]]) -> Iterable[str]:
    """Lines that put the command together, an option a line."""
    yield from plan.before
    for name, value in plan.settings:
        yield f"export {name}={shlex.quote(value)}"
    if plan.before or plan.settings:
        yield ""
    outer = [plan.program] if plan.container is None else plan.container.command(plan.settings)
    if plan.container is not None:
        yield from plan.container.preparation()
    yield "command=("
    for line in (*outer, ("batch",), *words):
        yield "    " + " ".join(map(_quoted, line))
    yield ")"


def _quoted(word: str) -> str:
    """A word for a shell; variables of the script itself stay variables."""
    return f'"{word}"' if word.startswith(_VARIABLES) else shlex.quote(word)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


_WAITING = f"""
again=
trap 'kill -TERM "$!" 2>/dev/null' TERM
trap 'again=yes; kill -TERM "$!" 2>/dev/null' USR1
"${{command[@]}}" &
work=$!
# A signal ends "wait" early: the work is over when its process is.
while kill -0 "$work" 2>/dev/null; do wait "$work"; done
wait "$work"
code=$?
if [[ -n $again && $code -ne 0 && ${{SLURM_RESTART_COUNT:-0}} -lt {_RETURNS} ]]; then
    echo "The time is nearly over: this task goes back into the queue, and goes on from there."
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""
