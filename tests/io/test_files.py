"""Writing files: complete or not at all."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from nifti_files import VALUES, failing, saved, unprivileged

from wmhseg import errors
from wmhseg.geometry import Grid
from wmhseg.io import files, images, pictures

pytestmark = pytest.mark.filterwarnings("error")  # a user would see them beside the one line

GRID = Grid((6, 5, 4), (3.0, 1.0, 0.5), (1.0, 2.0, 3.0))
MASK = VALUES % 3 == 0


def write_everything(folder: Path) -> list[Callable[[], None]]:
    """Every way of writing, for tests that all of them must fail in."""
    return [
        lambda: images.write_mask(folder / "mask.nii.gz", MASK, GRID),
        lambda: images.write_probability(folder / "probability.nii", MASK * 0.5, GRID),
        lambda: pictures.write_picture(folder / "overlay.png", np.zeros((2, 2, 3), np.uint8)),
        lambda: files.write_text(folder / "report.json", "{}"),
        lambda: files.write_bytes(folder / "scan", b"content"),
        lambda: files.check_writable(folder),
    ]


def test_output_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for place in (tmp_path / "file", tmp_path / "file" / "deeper", tmp_path / "nul\0"):
        for write in write_everything(place):
            failing(errors.OutputNotWritableError, write)
    assert (tmp_path / "file").read_text() == "kept"
    failing(errors.OutputNotWritableError, files.write_text, tmp_path / "none" / "a.txt", "")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert errors.OutputNotWritableError.exit_code == 96


def test_output_without_permission(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with unprivileged():
        for write in write_everything(closed):
            assert "Permission denied" in failing(errors.OutputNotWritableError, write)
        failing(errors.OutputNotWritableError, files.check_writable, closed / "new")
    assert list(closed.iterdir()) == []


def test_only_files_and_links_are_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "folder.nii").mkdir()
    for name in ("pipe.nii", "folder.nii"):
        failing(errors.OutputNotWritableError, images.write_mask, tmp_path / name, MASK, GRID)
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe.nii").st_mode)
    elsewhere = saved(tmp_path, b"kept", "elsewhere")
    (tmp_path / "link.nii").symlink_to(elsewhere)
    images.write_mask(tmp_path / "link.nii", MASK, GRID)
    assert elsewhere.read_bytes() == b"kept"
    assert not (tmp_path / "link.nii").is_symlink()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_disk_that_is_found_full_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    saved(tmp_path, b"earlier", "mask.nii.gz")
    monkeypatch.setattr(os, "fsync", full)
    for write in write_everything(tmp_path):
        assert os.strerror(code) in failing(errors.DiskFullError, write)
    assert [p.name for p in tmp_path.iterdir()] == ["mask.nii.gz"]
    assert (tmp_path / "mask.nii.gz").read_bytes() == b"earlier"
    assert errors.DiskFullError.exit_code == 97


def test_a_write_that_is_cut_short(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    noise = np.random.default_rng(0).random((6, 40, 40))
    grid = Grid(noise.shape, (1.0, 1.0, 1.0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        for name in ("p.nii.gz", "p.nii"):
            failing(errors.DiskFullError, images.write_probability, tmp_path / name, noise, grid)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


ON_A_FULL_DISK = """
import os, subprocess, sys
from pathlib import Path
import numpy as np
from wmhseg.io import files, images
from wmhseg.errors import DiskFullError, OutputNotWritableError
from wmhseg.geometry import Grid

disk = Path(sys.argv[1])
noise = np.random.default_rng(0).random((10, 64, 64))
grid = Grid(noise.shape, (1.0, 1.0, 1.0))

def all_fail(kind, *writes):
    before = sorted(p.name for p in disk.iterdir())
    for write in writes:
        try:
            write()
        except kind as error:
            assert error.received, error
        else:
            raise SystemExit(f"{write} succeeded")
        assert sorted(p.name for p in disk.iterdir()) == before

large = (
    lambda: images.write_probability(disk / "p.nii.gz", noise, grid),
    lambda: images.write_probability(disk / "p.nii", noise, grid),
)
small = (
    lambda: images.write_mask(disk / "m.nii.gz", noise > 0.5, grid),
    lambda: files.write_text(disk / "r.json", "{}"),
    lambda: files.write_bytes(disk / "b", b"content"),
    lambda: files.check_writable(disk),
)
files.check_writable(disk)
all_fail(DiskFullError, *large)
small[0]()
assert images.read_labels(disk / "m.nii.gz")[0].sum() == (noise > 0.5).sum()
(disk / "filler").touch()
try:
    (disk / "filler").write_bytes(bytes(1 << 20))
except OSError:
    pass
all_fail(DiskFullError, *large, *small)
subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
all_fail(OutputNotWritableError, *large, *small)
print("done")
"""


def test_a_small_disk(tmp_path: Path) -> None:
    """In a mount namespace of its own, which ends with the process."""
    mount = f'mount -t tmpfs -o size=96k none "{tmp_path}"'
    wrapped = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*wrapped, mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk is not permitted here")
    command = [
        *wrapped,
        f'{mount} && exec "$@"',
        "sh",
        sys.executable,
        "-c",
        ON_A_FULL_DISK,
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_an_interrupted_write_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    saved(tmp_path, b"earlier", "mask.nii.gz")
    monkeypatch.setattr(os, "fsync", interrupt)
    for write in write_everything(tmp_path):
        with pytest.raises(KeyboardInterrupt):
            write()
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("mask.nii.gz", b"earlier")]


def test_results_have_the_users_permissions(tmp_path: Path) -> None:
    earlier = os.umask(0o027)
    try:
        images.write_mask(tmp_path / "mask.nii.gz", MASK, GRID)
    finally:
        os.umask(earlier)
    assert stat.S_IMODE(os.stat(tmp_path / "mask.nii.gz").st_mode) == 0o640


def test_files_that_belong_together_appear_at_the_end_of_the_outermost_block(
    tmp_path: Path,
) -> None:
    with files.together():
        with files.together():
            files.write_text(tmp_path / "a", "1")
        files.write_text(tmp_path / "b", "2")
        assert not (tmp_path / "a").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]

    def failing_block() -> None:
        with files.together():
            with files.together():
                files.write_text(tmp_path / "a", "3")
            raise KeyError

    with pytest.raises(KeyError):
        failing_block()
    assert (tmp_path / "a").read_text() == "1"
    assert len(list(tmp_path.iterdir())) == 2


def test_write_text(tmp_path: Path) -> None:
    files.write_text(tmp_path / "report.json", '{"größe_ml": 1}\n')
    assert (tmp_path / "report.json").read_bytes() == '{"größe_ml": 1}\n'.encode()
    files.write_text(tmp_path / "report.json", "odd name \udcff")
    assert (tmp_path / "report.json").read_text() == "odd name \\udcff"


def test_check_writable_creates_folders_and_leaves_them_empty(tmp_path: Path) -> None:
    for _ in range(2):
        files.check_writable(tmp_path / "a" / "b")
        assert list((tmp_path / "a" / "b").iterdir()) == []


def test_write_bytes_makes_the_folder_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "scan.nii.gz"
    for content in (bytes(range(256)), b""):
        files.write_bytes(path, content)
        assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["scan.nii.gz"]


def test_a_folder_is_worked_on_by_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def other() -> None:
        with files.locked(tmp_path):
            order.append("other")

    with files.locked(tmp_path):
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]
    # Nobody waits for ever, and a folder that cannot be locked is worked on all the same.
    monkeypatch.setattr(files, "_PATIENCE_S", 0.05)
    with files.locked(tmp_path), files.locked(tmp_path), files.locked(tmp_path / "none"):
        order.append("went on")
    assert order[-1] == "went on"
    assert list(tmp_path.iterdir()) == []


def test_outputs_are_checked_and_their_folders_made(tmp_path: Path) -> None:
    scan = saved(tmp_path, b"scan")
    targets = [tmp_path / "a" / "mask.nii", tmp_path / "b" / "c" / "mask.nii"]
    files.check_outputs(targets, inputs=[scan, scan])  # an input may be read twice
    assert scan.read_bytes() == b"scan"
    for target in targets:
        assert list(target.parent.iterdir()) == []
    saved(targets[0].parent, b"earlier", "mask.nii")
    files.check_outputs(targets, inputs=[scan])  # what is no input may be replaced
    assert targets[0].read_bytes() == b"earlier"


def test_every_output_is_a_file_of_its_own(tmp_path: Path) -> None:
    mask = tmp_path / "new" / "mask.nii"
    again = tmp_path / "new" / ".." / "new" / "mask.nii"
    line = failing(errors.UsageError, files.check_outputs, [mask, again], inputs=[])
    assert "twice" in line
    assert str(again) in line
    assert list(tmp_path.iterdir()) == []


def test_no_output_is_an_input(tmp_path: Path) -> None:
    scan = saved(tmp_path, b"scan")
    (tmp_path / "link.nii").symlink_to(scan)
    (tmp_path / "folder").symlink_to(tmp_path)
    for output in (scan, tmp_path / "link.nii", tmp_path / "folder" / "scan.nii"):
        failing(errors.UsageError, files.check_outputs, [output], inputs=[scan])
    failing(errors.UsageError, files.check_outputs, [scan], inputs=[tmp_path / "link.nii"])


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    place = saved(tmp_path, b"kept", "file")
    failing(errors.OutputNotWritableError, files.check_outputs, [place / "mask.nii"], inputs=[])
    assert place.read_bytes() == b"kept"


def test_a_temporary_folder_is_read_while_other_files_wait(tmp_path: Path) -> None:
    with files.together():
        files.write_text(tmp_path / "waits", "1")
        with files.at_once():
            files.write_text(tmp_path / "read", "2")
            assert (tmp_path / "read").read_text() == "2"
        assert not (tmp_path / "waits").exists()
    assert (tmp_path / "waits").read_text() == "1"
