"""The scripts for SLURM: what stands in them, and what a shell makes of them without SLURM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nifti_files import failing

from wmhseg import errors
from wmhseg.clusters import slurm
from wmhseg.clusters.containers import Container
from wmhseg.clusters.slurm import Plan, Resources

TASK = Resources("90", "4G", 4, ("--partition=short",))
HERE = Path("/results/slurm")


def plan(*words: str, program: tuple[str, ...] = ("wmhseg",), **more: object) -> Plan:
    return Plan(200, 8, None, program, tuple((word,) for word in words), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("time", ["", "x", "1:2:3:4", "-5", "1-", "90m", "2-1:2:3:4", "1.5"])
def test_times_that_slurm_does_not_know(time: str) -> None:
    assert "--time" in failing(errors.UsageError, slurm.seconds_of, time)


@pytest.mark.parametrize("time", ["2", "2:59", "0:2:59", "0-0:2"])
def test_times_too_short_to_end_well(time: str) -> None:
    assert "3 minutes" in failing(errors.UsageError, slurm.seconds_of, time)


@pytest.mark.parametrize(
    "resources",
    [
        Resources("90", "four", 1),
        Resources("90", "0G", 1),
        Resources("90", "4G", 1, ("--qos=a\n#SBATCH --b",)),
        Resources("90", "4G", 1, ("rm -rf",)),
    ],
)
def test_what_cannot_be_asked_for(resources: Resources) -> None:
    failing(errors.UsageError, slurm.check_resources, resources)


def test_a_script_to_read() -> None:
    made = Plan(200, 8, 3, ("wmhseg",), (("/a study",), ("--output", "/results")), before=("# x",))
    lines = slurm.array_script(made, TASK, HERE).splitlines()
    assert lines[0] == "#!/bin/bash"
    assert {
        *("#SBATCH --array=1-8%3", "#SBATCH --time=90", "#SBATCH --mem=4G", "#SBATCH --requeue"),
        *("#SBATCH --cpus-per-task=4", "#SBATCH --partition=short"),
        *("#SBATCH --output=/results/slurm/logs/%A_%a.log", "#SBATCH --signal=B:USR1@60"),
    } <= set(lines)
    first = lines.index("command=(")
    assert lines[first - 2 : first + 7] == [
        *("# x", "", "command=(", "    wmhseg", "    batch", "    '/a study'"),
        *("    --output /results", '    --shard "$SLURM_ARRAY_TASK_ID/8"', ")"),
    ]
    collect = slurm.collect_script(made, TASK, HERE)
    assert "--collect" in collect
    assert "--shard" not in collect
    assert "--array" not in collect.replace("array.sh", "")
    for line in lines:
        assert len(line) <= 100


@pytest.mark.parametrize("folder", ["/a\\b", "/a\nb"])
def test_logs_that_slurm_cannot_write(folder: str) -> None:
    line = failing(errors.UsageError, slurm.array_script, plan(), TASK, Path(folder))
    assert "--scripts" in line


@given(
    words=st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), max_size=4),
    setting=st.text(st.characters(exclude_characters="\0", codec="utf-8")),
)
@settings(max_examples=40)
def test_words_survive_the_shell(words: list[str], setting: str) -> None:
    words = [f"/{word}" for word in words]
    made = plan(*words, settings=(("WMHSEG_MODELS", setting),))
    script = slurm.array_script(made, TASK, HERE)
    head = script.partition("again=\n")[0]
    head += 'printf "%s\\0" "$WMHSEG_MODELS" "${command[@]}"'
    done = subprocess.run(
        ["bash", "-uc", head], capture_output=True, env={"SLURM_ARRAY_TASK_ID": "3"}
    )
    found = done.stdout.decode().split("\0")[:-1]
    assert found == [setting, "wmhseg", "batch", *words, "--shard", "3/8"]


# What SLURM tells a task -------------------------------------------------------------------------

_WORK = """
import signal, sys, time
from pathlib import Path
def end(*_):
    print("told to end", flush=True)
    raise SystemExit(143)
signal.signal(signal.SIGTERM, end)
Path(sys.argv[1]).touch()
try:
    time.sleep(float(sys.argv[2]))
finally:
    time.sleep(0.3)
    print("tidied up", flush=True)
raise SystemExit(int(sys.argv[3]))
"""


class Script:
    """The script of an array that runs without SLURM."""

    def __init__(self, folder: Path, seconds: float, code: int = 0) -> None:
        self.begun, self.asked = folder / "begun", folder / "asked"
        (folder / "work.py").write_text(_WORK)
        (folder / "scontrol").write_text(f'#!/bin/bash\necho "$@" >> {self.asked}\n')
        (folder / "scontrol").chmod(0o755)
        program = (
            sys.executable,
            str(folder / "work.py"),
            str(self.begun),
            str(seconds),
            str(code),
        )
        script = slurm.array_script(plan(program=program), TASK, folder)
        self.environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
        self.environment |= {"SLURM_ARRAY_TASK_ID": "1", "SLURM_JOB_ID": "77"}
        self.text = script

    def run(self, *signals: int, **more: str) -> tuple[int, str]:
        """Exit code, and what was printed."""
        with subprocess.Popen(
            ["bash", "-c", self.text],
            env=self.environment | more,
            stdout=subprocess.PIPE,
            text=True,
        ) as running:
            while signals and not self.begun.exists():
                time.sleep(0.02)
            for number in signals:
                running.send_signal(number)
                time.sleep(0.05)
            printed, _ = running.communicate(timeout=60)
        return running.returncode, printed


@pytest.mark.parametrize("code", [0, 115])
def test_a_task_ends_as_its_work_does(code: int, tmp_path: Path) -> None:
    script = Script(tmp_path, 0, code)
    assert script.run() == (code, "tidied up\n")
    assert not script.asked.exists()


def test_a_task_that_is_to_end_waits_for_its_work(tmp_path: Path) -> None:
    script = Script(tmp_path, 60)
    assert script.run(signal.SIGTERM) == (143, "told to end\ntidied up\n")
    assert not script.asked.exists()


def test_a_task_whose_time_is_over_goes_back(tmp_path: Path) -> None:
    script = Script(tmp_path, 60)
    code, printed = script.run(signal.SIGUSR1)
    assert code == 143
    assert printed.startswith("told to end\ntidied up\nThe time is nearly over")
    assert script.asked.read_text() == "requeue 77\n"


def test_a_task_does_not_go_back_for_ever(tmp_path: Path) -> None:
    script = Script(tmp_path, 60)
    code, printed = script.run(signal.SIGUSR1, SLURM_RESTART_COUNT="20")
    assert (code, printed) == (143, "told to end\ntidied up\n")
    assert not script.asked.exists()


# Submitting ---------------------------------------------------------------------------------------


def fake_sbatch(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "bin").mkdir()
    (folder / "bin" / "sbatch").write_text(f"#!/bin/bash\n{text}\n")
    (folder / "bin" / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


def test_both_jobs_are_submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_sbatch(
        tmp_path,
        monkeypatch,
        f'printf "%s|" "$@" >> {tmp_path}/asked\n'
        f'[[ $* == *dependency* ]] && echo "42;cluster" || echo "41;cluster"',
    )
    scripts = tmp_path / 'it\'s "here" $HOME'
    written = slurm.write(plan("/study"), (TASK, TASK), scripts)
    assert [path.name for path in written] == ["array.sh", "collect.sh", "submit.sh"]
    assert (scripts / "logs").is_dir()
    assert slurm.submit(scripts) == ("41", "42")
    assert (tmp_path / "asked").read_text().split("|")[:-1] == [
        *("--parsable", str(scripts / "array.sh")),
        *("--parsable", "--dependency=afterany:41", str(scripts / "collect.sh")),
    ]


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("echo 'sbatch: error: invalid partition' >&2; exit 1", "invalid partition"),
        ("[[ $* == *dependency* ]] && exit 1 || echo 41", "the array is 41"),
        ("exit 0", "no number of a job"),
    ],
)
def test_what_slurm_refuses(
    says: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_sbatch(tmp_path, monkeypatch, says)
    slurm.write(plan("/study"), (TASK, TASK), tmp_path / "scripts")
    assert told in failing(errors.ClusterError, slurm.submit, tmp_path / "scripts")


def test_a_machine_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bash").symlink_to("/bin/bash")
    slurm.write(plan("/study"), (TASK, TASK), tmp_path / "scripts")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert "sbatch" in failing(errors.ClusterError, slurm.submit, tmp_path / "scripts")


def test_a_container_stands_around_the_command() -> None:
    container = Container("apptainer", "/w.sif", (Path("/study"),), Path("/results"))
    script = slurm.array_script(plan("/study", container=container), TASK, HERE)
    lines = [line.strip() for line in script.splitlines()]
    first = lines.index("command=(")
    assert lines[first + 1 : first + 9] == [
        "apptainer exec",
        '--containall --no-home --pwd / --workdir "$scratch"',
        *("--net --network none", "--bind /study:/study:ro", "--bind /results:/results"),
        *("/w.sif wmhseg", "batch", "/study"),
    ]
    assert "scratch=$(mktemp -d)" in lines
