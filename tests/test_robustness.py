"""Hostile places and moments: full and closed disks, odd files, processes that are killed.

What hostile bytes do is in test_images.py and, of all kinds and for longer, in test_fuzzing.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import SimpleITK as sitk
from conftest import ROOT, Phantom

from wmhseg.cli.main import main


@pytest.fixture(autouse=True)
def _models(use_models: Path) -> None:
    pass


@pytest.fixture
def flair(phantom: Phantom, tmp_path: Path) -> Path:
    image = sitk.GetImageFromArray(phantom.flair)
    image.SetSpacing(phantom.spacing_mm[::-1])
    sitk.WriteImage(image, str(tmp_path / "f.nii.gz"))
    return tmp_path / "f.nii.gz"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(["mount", *options], capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"mounting is not possible here: {error}")
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def full_device(tmp_path: Path) -> Path:
    """A device of which every write fails for want of room."""
    if Path("/dev/full").is_char_device():
        return Path("/dev/full")
    try:
        os.mknod(tmp_path / "full", 0o20666, os.makedev(1, 7))
        with (
            open(tmp_path / "full", "wb", buffering=0) as file,
            pytest.raises(OSError, match="space"),
        ):
            file.write(b"x")
    except (OSError, pytest.fail.Exception):
        pytest.skip("there is no /dev/full here and none can be made")
    return tmp_path / "full"


def segment(flair: Path, output: Path, *more: str) -> int:
    words = ["segment", "--model", "bright", "--threads", "1", "--flair", str(flair)]
    return main([*words, "--output", str(output), *more])


# Places -----------------------------------------------------------------------------------------


def test_a_disk_that_is_full_at_once(
    flair: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (small_disk / "filling").write_bytes(bytes(64 << 10))
    assert segment(flair, small_disk / "r.nii.gz") == 97
    assert [p.name for p in small_disk.iterdir()] == ["filling"]
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_disk_that_fills_while_writing(flair: Path, small_disk: Path) -> None:
    """The probability map needs more than the disk has: not even the report stays."""
    (small_disk / "r.nii.gz").write_bytes(b"before")
    assert segment(flair, small_disk / "r.nii.gz", "--probability", f"{small_disk}/p.nii") == 97
    assert [p.name for p in small_disk.iterdir()] == ["r.nii.gz"]
    assert (small_disk / "r.nii.gz").read_bytes() == b"before"


def test_a_disk_that_takes_no_writing(flair: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert segment(flair, small_disk / "r.nii.gz") == 96
    assert segment(flair, small_disk / "new" / "r.nii.gz") == 96
    assert main(["batch", str(flair.parent), "--output", str(small_disk)]) in (96, 93)


def test_devices_pipes_and_links_as_outputs(flair: Path, full_device: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.nii.gz"
    os.mkfifo(pipe)
    assert segment(flair, pipe) == 96
    assert pipe.is_fifo()
    assert main(["check", str(flair), "--json", str(full_device)]) == 96
    link = tmp_path / "link.nii.gz"
    link.symlink_to(full_device)
    assert segment(flair, link) == 0  # the link is replaced, never followed
    assert link.is_file()
    assert not link.is_symlink()
    assert full_device.is_char_device()


@pytest.mark.parametrize("command", ["check", "segment"])
def test_odd_files_as_inputs(command: str, tmp_path: Path) -> None:
    """A pipe must not block, and a link that leads nowhere or to itself must end."""
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "loop.nii").symlink_to(tmp_path / "loop.nii")
    (tmp_path / "lost.nii").symlink_to(tmp_path / "none.nii")
    out = tmp_path / "out" / "r.nii"
    for name, code in (("pipe.nii", 81), (".", 81), ("loop.nii", 81), ("lost.nii", 80)):
        path = tmp_path / name
        found = main(["check", str(path)]) if command == "check" else segment(path, out)
        assert found == code, name
    assert not out.exists()


def run(*words: object, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wmhseg", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, text=True, **more)  # type: ignore[call-overload,no-any-return]


def test_printing_to_a_full_disk(full_device: Path, flair: Path) -> None:
    with open(full_device, "w") as full:
        done = run("models", stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 97
        assert len(done.stderr.splitlines()) == 1
        assert run("check", "/none.nii", stdout=subprocess.PIPE, stderr=full).returncode == 80


def test_without_standard_error() -> None:
    command = f'exec "{sys.executable}" -m wmhseg check /none.nii 2>&-'
    assert subprocess.run(["bash", "-c", command], cwd=ROOT).returncode == 80


# Moments ----------------------------------------------------------------------------------------

_KILL = """
import os, signal, sys
from wmhseg.cli import main as cli
from wmhseg.io import files
from wmhseg.segmentation import loading
number, stage, words = signal.Signals(int(sys.argv[1])), sys.argv[2], sys.argv[3:]
def die(*_):
    os.kill(os.getpid(), number)
if stage == "between files":
    real = os.replace
    def replace(*arguments):
        real(*arguments)
        die()
    files.os.replace = replace
else:
    real_stage = loading.Stopwatch.stage
    def stage_(self, name):
        if name == stage:
            die()
        return real_stage(self, name)
    loading.Stopwatch.stage = stage_
sys.exit(cli.main(words))
"""


@pytest.mark.parametrize(
    ("number", "stage"),
    [
        (signal.SIGTERM, "read"),
        (signal.SIGTERM, "prepare"),
        (signal.SIGKILL, "prepare"),
        (signal.SIGKILL, "restore"),
        (signal.SIGTERM, "between files"),
        (signal.SIGKILL, "between files"),
    ],
)
def test_killed_at_a_stage(number: signal.Signals, stage: str, flair: Path, tmp_path: Path) -> None:
    """What is there afterwards is whole; before the end nothing is there."""
    out = tmp_path / "out"
    words = ["segment", "--model", "bright", "--flair", flair, "--output", out / "r.nii.gz"]
    command = [sys.executable, "-c", _KILL, str(int(number)), stage, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120)
    assert done.returncode == (143 if number is signal.SIGTERM else -9)
    left = {path.name for path in out.iterdir()} if out.exists() else set()
    hidden = {name for name in left if name.startswith(".wmhseg-")}
    if number is signal.SIGTERM:
        assert not hidden
    if stage != "between files":
        assert left == hidden
        return
    assert left - hidden == {"r.json"}  # the mask comes last
    assert json.loads((out / "r.json").read_text())["lesion_count"] == 2
