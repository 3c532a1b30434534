"""Carries out what ``containers/Apptainer.def`` says, as an ordinary user, and runs it.

    python tests/container/check_apptainer.py [--work DIR] [--optional]

Apptainer itself is not needed: Charliecloud's ch-run, of Debian, is as unprivileged and takes the
same steps. It starts from the base image's stand-in (engine.py), copies what %files says, runs
%post, and then %test and %runscript with what %environment sets, the image being read-only. Root of
a Debian machine is needed to prepare it; every step of the definition runs as the user nobody.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import definition
import engine
from engine import EngineError, say

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wmhseg-container-test"
NOBODY = pwd.getpwnam("nobody")
# What the building machine needs to reach its index of packages; neither is kept in the image.
SETTINGS = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt", "/etc/resolv.conf")


def unprivileged(
    root: Path, script: str, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs a shell script in a root folder, as nobody."""
    words = ["ch-run", "--unset-env=*", *options]
    words += [f"--set-env={name}={value}" for name, value in variables.items()]
    return subprocess.run(
        [
            *("setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"),
            *(*words, str(root), "--", "/bin/sh", "-c", script),
        ],
        env={"PATH": os.environ["PATH"], "USER": "nobody", "HOME": "/tmp"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def expect(done: subprocess.CompletedProcess[str], what: str) -> str:
    if done.returncode:
        raise EngineError(f"{what} ended with {done.returncode}: {done.stderr[-3000:]}")
    say(f"ok   {what}")
    return done.stdout


def unpacked(folder: Path, work: Path) -> Path:
    """The base image's stand-in as a folder that nobody owns."""
    root = folder / "root"
    root.mkdir()
    subprocess.run(
        ["tar", "-xf", engine.stand_in(work), "-C", root, "--exclude=./dev/*"], check=True
    )
    return root


def copied(root: Path, what: definition.Definition) -> None:
    for source, target in what.files:
        place = root / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, place, ignore=ignored)
        else:
            shutil.copy(ROOT / source, place)


def built(folder: Path, work: Path, what: definition.Definition) -> Path:
    """The image as a folder, %post carried out."""
    root = unpacked(folder, work)
    copied(root, what)
    kept = {}
    for name in SETTINGS:
        place = root / name.lstrip("/")
        if Path(name).is_file():
            kept[place] = place.read_bytes() if place.is_file() else None
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, place)
    subprocess.run(["chown", "-R", f"{NOBODY.pw_uid}:{NOBODY.pw_gid}", folder], check=True)
    path = "/usr/local/bin:/usr/bin:/bin"
    began = time.monotonic()
    expect(unprivileged(root, what.script("post"), "--write", PATH=path, LANG="C.UTF-8"), "%post")
    say(f"     {time.monotonic() - began:.0f} s")
    for place, content in kept.items():
        place.unlink() if content is None else place.write_bytes(content)
    return root


def check(root: Path, folder: Path, what: definition.Definition) -> None:
    variables = what.environment
    expect(unprivileged(root, what.script("test"), **variables), "%test")
    results = folder / "results"
    results.mkdir()
    os.chown(results, NOBODY.pw_uid, NOBODY.pw_gid)
    line = "set -- demo --output /output/demo; " + what.script("runscript")
    expect(unprivileged(root, line, f"--bind={results}:/output", **variables), "%runscript")
    told = json.loads((results / "demo" / "output" / "result.json").read_text("utf-8"))
    if told["container"] != variables["WMHSEG_IMAGE"] or not 14.0 < told["volume_ml"] < 14.6:
        raise EngineError(f"another result than was expected: {told}")
    say(f"ok   the synthetic case: {told['volume_ml']} ml in {told['container']}")
    done = subprocess.run(["du", "-s", "-B1", root], capture_output=True, text=True, check=True)
    say(f"     {int(done.stdout.split()[0]) / 1e9:.2f} GB on the disk")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=CACHE, help="keeps the base's stand-in")
    parser.add_argument("--optional", action="store_true", help="skip where it cannot be done")
    chosen = parser.parse_args()
    try:
        if os.getuid():
            raise EngineError("Root of a Debian machine was expected, to prepare the base.")
        engine.install("charliecloud", program="ch-run")
    except (EngineError, OSError, subprocess.SubprocessError) as error:
        if not chosen.optional:
            raise
        say(f"Apptainer definition: skipped. {error}")
        return 0
    what = definition.read()
    with tempfile.TemporaryDirectory(prefix="wmhseg-apptainer-", dir="/var/tmp") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        check(built(folder, chosen.work.resolve(), what), folder, what)
    say("the definition file does what it says")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (EngineError, subprocess.SubprocessError) as error:
        sys.exit(f"check_apptainer: {error}")
