"""What a container is given, and that the command which comes of it works on a stand-in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Phantom, write_scan
from folders import touch
from nifti_files import failing

from wmhseg import errors
from wmhseg.cli.main import main
from wmhseg.clusters import containers
from wmhseg.clusters.containers import Container

# "apptainer exec OPTIONS IMAGE WORDS" with what it is told of the environment, and no more.
_APPTAINER = """#!{python}
import json, os, subprocess, sys
assert sys.argv[1] == "exec"
words, options, environment = sys.argv[2:], [], {{}}
alone = {{"--containall", "--no-home", "--net"}}
while words[0].startswith("-"):
    option = words.pop(0)
    value = None if option in alone else words.pop(0)
    if option == "--env":
        name, _, value = value.partition("=")
        environment[name] = value
    options.append([option, value])
image, program, *words = words
assert program == "wmhseg"
json.dump([options, image, words], open("{told}", "w"))
environment |= dict(PATH="/usr/bin:/bin", PYTHONPATH="{root}")
sys.exit(subprocess.run([sys.executable, "-m", "wmhseg", *words], env=environment).returncode)
"""


def test_folders_of_a_few_files(tmp_path: Path) -> None:
    touch(tmp_path, "a/one.nii", "a/b/two.nii", "c/three.nii", "kept/four.nii")
    (tmp_path / "c" / "four.nii").symlink_to(tmp_path / "kept" / "four.nii")
    paths = [tmp_path / name for name in ("a/one.nii", "a/b/two.nii", "c/three.nii", "c/four.nii")]
    assert containers.folders_of(paths) == tuple(tmp_path / name for name in ("a", "c", "kept"))


def test_folders_of_many_files_are_those_above(tmp_path: Path) -> None:
    paths = [
        touch(tmp_path, f"study/sub-{n}/anat/x.nii") / f"study/sub-{n}/anat/x.nii"
        for n in range(30)
    ]
    other = touch(tmp_path, "other/x.nii") / "other" / "x.nii"
    assert containers.folders_of([*paths, other]) == (tmp_path / "other", tmp_path / "study")


def test_docker_and_podman() -> None:
    for engine in ("docker", "podman"):
        made = Container(engine, "wmhseg:1", (Path("/a b"),), Path("/out"))  # type: ignore[arg-type]
        words = [word for line in made.command([("X", "1")]) for word in line]
        assert words[:5] == [engine, "run", "--rm", "--network", "none"]
        assert {"--read-only", "/a b:/a b:ro", "/out:/out", "X=1"} <= set(words)
        assert words[-1] == "wmhseg:1"
        assert list(made.preparation()) == []


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\nb"])
def test_names_that_no_container_can_be_given(name: str, tmp_path: Path) -> None:
    touch(tmp_path / name, "x.nii")
    line = failing(errors.UsageError, containers.of, "image", [tmp_path / name], tmp_path / "out")
    assert "colons" in line


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    sif = str(tmp_path / "no.sif")
    assert "no.sif" in failing(errors.MissingFileError, containers.of, sif, [], tmp_path)


def test_what_lies_in_the_results_is_not_given_twice(tmp_path: Path) -> None:
    touch(tmp_path, "out/table.tsv", "w.sif", "in/x.nii")
    read = [tmp_path / "out" / "table.tsv", tmp_path / "in"]
    made = containers.of(str(tmp_path / "w.sif"), read, tmp_path / "out")
    assert (made.read, made.write) == ((tmp_path / "in",), tmp_path / "out")


@pytest.mark.any_processor
def test_the_script_runs_in_a_stand_in(
    phantom: Phantom, models_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The environment, and with it the models of this machine, stay outside."""
    study, out = tmp_path / "a 'study'", tmp_path / "out put"
    write_scan(study / "a_FLAIR.nii.gz", phantom.flair, phantom.spacing_mm)
    model = shutil.copytree(models_folder / "bright-flair", tmp_path / "models" / "mine")
    (tmp_path / "w.sif").touch()
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin" / "apptainer"
    told = tmp_path / "told.json"
    stand_in.write_text(_APPTAINER.format(python=sys.executable, told=told, root=ROOT))
    stand_in.chmod(0o755)
    words = ["slurm", str(study), "--output", str(out), "--array", "1", "--cpus", "1", "--json"]
    words += ["--model", str(model), "--container", str(tmp_path / "w.sif")]
    assert main([*words, "--on-unsuitable", "warn"]) == 0
    scripts = json.loads(capsys.readouterr().out)["scripts"]
    environment = os.environ | {"PATH": f"{stand_in.parent}:{os.environ['PATH']}"}
    environment |= {"SLURM_ARRAY_TASK_ID": "1", "WMHSEG_MODELS": "/nowhere"}
    for name in ("array", "collect"):
        done = subprocess.run(
            ["bash", scripts[name]], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    options, image, _ = json.loads(told.read_text())
    assert image == str(tmp_path / "w.sif")
    assert [value for option, value in options if option == "--bind"] == [
        *(f"{study}:{study}:ro", f"{model}:{model}:ro", f"{out}:{out}")
    ]
    assert ["--network", "none"] in options
    scratch = Path(dict(options)["--workdir"])
    assert not scratch.exists()  # it was removed
    assert "a\tdone\t0.1458\t" in (out / "summary.tsv").read_text()
