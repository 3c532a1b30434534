"""Installs the wheel and the source archive of a folder in every Python here, and runs them.

    python tests/supply/try_packages.py build/release [--python 3.12] [--only wheel]

Each gets a fresh environment and `pip install FILE[openvino]`, which takes what the ranges of
pyproject.toml allow today. The synthetic case is segmented, and its mask held against its
reference.
Pythons that are not here are named. The standard library is enough for this program.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13")
# The case holds 11.7 ml; the default model of this version marks 15.6 ml, with a DSC of 0.83.
LEAST_DSC = 0.81
VOLUME_ML = (15.2, 16.0)
# Runs in the environment, from elsewhere, so that no clone is imported.
CHECK = """
import json, sys
import numpy as np
import SimpleITK as sitk
import wmhseg
from pathlib import Path
folder = Path(sys.argv[1])
read = lambda name: sitk.GetArrayFromImage(sitk.ReadImage(str(folder / name))) == 1
reference, found = read("input/wmh.nii.gz"), read("output/result.nii.gz")
told = json.loads((folder / "output" / "result.json").read_text())
dsc = 2 * (reference & found).sum() / (reference.sum() + found.sum())
print(json.dumps({"dsc": round(float(dsc), 4), "ml": told["volume_ml"], "at": wmhseg.__file__}))
"""


def pythons() -> dict[str, str]:
    """Version -> an interpreter of it: on the path, or one of pyenv's."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = {}
    for version in VERSIONS:
        named = [shutil.which(f"python{version}"), sys.executable]
        others = sorted(root.glob(f"versions/{version}.*/bin/python"))
        for candidate in [*filter(None, named), *map(str, others)]:
            code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
            done = subprocess.run([candidate, "-c", code], capture_output=True, text=True)
            if done.returncode == 0 and done.stdout.strip() == version:
                found[version] = candidate
                break
    return found


def run(*words: object, cwd: Path) -> str:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(
            f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stderr[-3000:]}"
        )
    return done.stdout


def tried(python: str, file: Path, folder: Path) -> str:
    """Installs a file in a fresh environment and segments with it; returns what to print."""
    began = time.monotonic()
    run(python, "-m", "venv", folder / "venv", cwd=folder)
    programs = folder / "venv" / "bin"
    run(programs / "pip", "install", "--quiet", "--disable-pip-version-check",
        f"{file.resolve()}[openvino]", cwd=folder)  # fmt: skip
    run(programs / "pip", "check", cwd=folder)
    installed = time.monotonic()
    run(programs / "wmhseg", "demo", "--quiet", "--output", folder / "demo", cwd=folder)
    told = json.loads(run(programs / "python", "-c", CHECK, folder / "demo", cwd=folder))
    if not str(told["at"]).startswith(str(folder / "venv")):
        sys.exit(f"another wmhseg than the installed one was tried: {told['at']}")
    if told["dsc"] < LEAST_DSC or not VOLUME_ML[0] < told["ml"] < VOLUME_ML[1]:
        sys.exit(f"{file.name}: the mask is another than was expected: {told}")
    spent = f"{installed - began:.0f} s to install, {time.monotonic() - installed:.0f} s to run"
    return f"DSC {told['dsc']}, {told['ml']} ml; {spent}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="holds a wheel and a source archive")
    parser.add_argument("--python", action="append", choices=VERSIONS, help="only this version")
    parser.add_argument("--only", choices=["wheel", "sdist"])
    chosen = parser.parse_args()
    patterns = {"wheel": "*.whl", "sdist": "*.tar.gz"}
    patterns = {kind: text for kind, text in patterns.items() if chosen.only in (None, kind)}
    found, count = pythons(), 0
    for version in chosen.python or VERSIONS:
        if version not in found:
            print(f"Python {version}: not here, not tried")
            continue
        for kind, pattern in patterns.items():
            (file,) = chosen.folder.glob(pattern)
            with tempfile.TemporaryDirectory(prefix="wmhseg-package-") as place:
                told = tried(found[version], file, Path(place).resolve())
            print(f"Python {version}, {kind}: {told}", flush=True)
            count += 1
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main())
