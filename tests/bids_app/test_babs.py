"""The configuration for BABS in docs/examples: BABS reads it, and what it makes of it runs.

BABS is installed apart from everything else, without the packages that its own work on DataLad data
sets needs: its code writes the job here, and does not submit it. Apptainer is stood in for by a
program that takes the same words and keeps to the same limits as far as this machine allows.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import ROOT, Phantom, write_scan

pytestmark = pytest.mark.slow

CONFIGURATION = ROOT / "docs" / "examples" / "babs-slurm.yaml"
BABS = "babs==0.5.4"
IMAGE = "containers/.datalad/environments/wmhseg-0-2-0/image"

# BABS' own steps of "babs init" that read the configuration. A warning is a word that it does not
# know, and an error here.
_WRITE = """
import sys, warnings
from pathlib import Path
from unittest.mock import MagicMock
warnings.simplefilter("error")
for name in ("datalad", "datalad.api", "pandas", "filelock", "tqdm"):
    sys.modules[name] = MagicMock()
from babs.container import Container
from babs.input_datasets import InputDatasets
from babs.system import System
container, folder = Container("containers", "wmhseg-0-2-0", sys.argv[1]), Path(sys.argv[2])
inputs = InputDatasets("subject", container.config["input_datasets"])
inputs.update_abs_paths(folder)
container.generate_bash_run_bidsapp(str(folder / "code" / "run.sh"), inputs, "subject")
container.generate_bash_participant_job(
    str(folder / "code" / "job.sh"), inputs, "subject", System("slurm")
)
"""

# "singularity run OPTIONS IMAGE WORDS": nothing of the user's environment, a home and a /tmp of its
# own, what is bound read-only is so, and no network; of root's machine, as far as it is allowed.
_SINGULARITY = """#!{python}
import json, os, shlex, subprocess, sys
assert sys.argv[1] == "run"
words, bound, flags = sys.argv[2:], [], []
while words[0].startswith("-"):
    word = words.pop(0)
    if word == "-B":
        bound.append(words.pop(0))
    elif word == "--network":
        flags.append(word + " " + words.pop(0))
    else:
        flags.append(word)
assert words.pop(0) == "{image}", words
closed = not subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True).returncode
steps = [f"mkdir -p {home}/home {home}/tmp"]
if closed:
    steps += ["mount --make-rprivate /", "mount --bind {home}/tmp /tmp"] if {private} else []
    for one in bound:
        place, _, rest = one.partition(":")
        if rest.endswith(":ro"):
            place = shlex.quote(place)
            steps += [f"mount --bind {{place}} {{place}}", f"mount -o remount,ro,bind {{place}}"]
steps.append("cd {home}/home; exec " + shlex.join([sys.executable, "-m", "wmhseg", *words]))
told = dict(flags=flags, bound=bound, words=words, closed=closed)
open("{told}", "w").write(json.dumps(told))
environment = dict(PATH=os.environ["PATH"], HOME="{home}/home", TMPDIR="{home}/tmp",
                   PYTHONPATH="{root}", WMHSEG_MODELS="{models}")
inside = ["unshare", "--net", "--mount"] if closed else []
sys.exit(subprocess.run([*inside, "bash", "-ec", "; ".join(steps)], env=environment).returncode)
"""

# "7z a ARCHIVE FOLDER"
_7Z = """#!{python}
import os, sys, zipfile
assert sys.argv[1] == "a"
with zipfile.ZipFile(sys.argv[2], "w") as archive:
    for folder, _, names in os.walk(sys.argv[3]):
        for name in names:
            archive.write(os.path.join(folder, name))
"""


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts that BABS writes for the configuration."""
    packages = tmp_path_factory.mktemp("babs")
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"),
            *("--target", str(packages), BABS),
        ],
        check=True,
        cwd=packages,
    )
    folder = tmp_path_factory.mktemp("analysis")
    done = subprocess.run(
        [sys.executable, "-c", _WRITE, str(CONFIGURATION), str(folder)],
        env=os.environ | {"PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_babs_knows_every_word_of_it(project: Path) -> None:
    lines = (project / "code" / "job.sh").read_text().splitlines()
    asked = [line for line in lines if line.startswith("#SBATCH")]
    assert set(asked) == {
        *("#SBATCH --nodes=1", "#SBATCH --ntasks=1", "#SBATCH --mem=4G"),
        *("#SBATCH --cpus-per-task=4", "#SBATCH --time=00:30:00"),
    }
    assert any("module load" in line for line in lines)


def test_what_it_makes_runs(
    project: Path, phantom: Phantom, models_folder: Path, tmp_path: Path
) -> None:
    """As in a job: the script of BABS on a data set, with the default model replaced by a small."""
    work = shutil.copytree(project, tmp_path / "ds")
    data = work / "inputs" / "data" / "BIDS"
    for name, array in (("FLAIR", phantom.flair), ("T1w", phantom.t1)):
        # Content behind a link, as git-annex keeps it.
        kept = data / ".git" / "annex" / "objects" / f"{name}.nii.gz"
        write_scan(kept, array, phantom.spacing_mm)
        link = data / "sub-01" / "anat" / f"sub-01_{name}.nii.gz"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(os.path.relpath(kept, link.parent)))
    description = {"Name": "Small", "BIDSVersion": "1.10.0"}
    (data / "dataset_description.json").write_text(json.dumps(description))
    before = {path: path.lstat().st_mtime_ns for path in data.rglob("*")}

    (tmp_path / "bin").mkdir()
    models = shutil.copytree(models_folder / "bright", tmp_path / "models" / "mixed-tuned")
    preset = json.loads((models / "preset.json").read_text())
    (models / "preset.json").write_text(json.dumps(preset | {"name": "mixed-tuned"}))
    values = {
        "python": sys.executable,
        "image": IMAGE,
        "home": tmp_path / "own",
        "root": ROOT,
        "models": models.parent,
        "told": tmp_path / "told.json",
        # Unless this test lies there itself.
        "private": not tmp_path.is_relative_to("/tmp"),
    }
    program(tmp_path / "bin" / "singularity", _SINGULARITY.format(**values))
    program(tmp_path / "bin" / "7z", _7Z.format(**values))
    done = subprocess.run(
        ["bash", "code/run.sh", "sub-01"],
        cwd=work,
        env=os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["flags"] == ["--containall", "--net", "--network none"]
    assert told["bound"] == [str(work), f"{work}/inputs/data:{work}/inputs/data:ro"]
    assert told["words"][:3] == [str(data), f"{work}/outputs/wmhseg", "participant"]
    assert told["closed"] or os.geteuid() != 0 or "CI" not in os.environ

    assert {path: path.lstat().st_mtime_ns for path in data.rglob("*")} == before
    assert not list((tmp_path / "own").rglob("*.*"))
    with zipfile.ZipFile(work / "sub-01_wmhseg-0-2-0.zip") as archive:
        archive.extractall(tmp_path)
    found = tmp_path / "wmhseg" / "sub-01" / "anat"
    mask = sitk.ReadImage(
        str(found / "sub-01_space-orig_label-L_desc-wmh_mask.nii.gz"), sitk.sitkUInt8
    )
    expected = phantom.lesions.copy()
    expected[:2] = expected[-2:] = False
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), expected)
    assert (found / "sub-01_space-orig_desc-wmh_overlay.png").stat().st_size > 1000
    assert json.loads((tmp_path / "wmhseg" / "dataset_description.json").read_text())
