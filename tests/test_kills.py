"""The program that kills runs at random moments: two kills, and whether it would notice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fuzz_kills
import pytest
from fuzz_kills import Job

FILES = {"result.nii.gz": b"mask", "result.json": b'{"lesion_count": 2, "seconds": {"read": 1}}'}


def written(folder: Path, **changed: bytes) -> Path:
    folder.mkdir(parents=True)
    for name, content in (FILES | {k.replace("_", "."): v for k, v in changed.items()}).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job("segment", (), written(tmp_path / "reference"), 1.0, 2)


def test_what_is_left_is_absent_or_equal(job: Job, tmp_path: Path) -> None:
    out = written(tmp_path / "out")
    assert fuzz_kills.check_left(job, out) == "all"
    (out / "result.json").write_text('{"lesion_count": 2, "seconds": {"read": 5}}')
    assert fuzz_kills.check_left(job, out) == "all"  # but for the time
    (out / "result.nii.gz").rename(out / ".wmhseg-0123.part")
    assert fuzz_kills.check_left(job, out) == "a part"
    (out / "result.json").unlink()
    assert fuzz_kills.check_left(job, out) == "nothing"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("result.nii.gz", b"mas", "differs"),
        ("result.json", b'{"lesion_count": 3}', "differs"),
        ("other.tmp", b"", "no result"),
    ],
)
def test_it_notices(job: Job, tmp_path: Path, name: str, content: bytes, said: str) -> None:
    out = written(tmp_path / "out")
    (out / name).write_bytes(content)
    with pytest.raises(AssertionError, match=said):
        fuzz_kills.check_left(job, out)


def test_a_table_without_a_subject_is_noticed(job: Job, tmp_path: Path) -> None:
    row = "{}\tdone\t1.0\n"
    whole = "subject\tstatus\tvolume_ml\n" + "".join(row.format(s) for s in fuzz_kills.SUBJECTS)
    (job.reference / "summary.tsv").write_text(whole)
    out = written(tmp_path / "out")
    (out / "summary.tsv").write_text(whole)
    fuzz_kills.check_left(job, out)
    for cut in (whole[:-1], whole.rpartition("c\t")[0]):
        (out / "summary.tsv").write_text(cut)
        with pytest.raises(AssertionError, match=r"cut short|lacks"):
            fuzz_kills.check_left(job, out)


def test_the_watch_counts_files_in_new_folders(tmp_path: Path) -> None:
    code = "import pathlib, sys, time; p = pathlib.Path(sys.argv[1]); (p / 'a').mkdir(); "
    code += "time.sleep(0.3); (p / 'a' / 'x').touch(); (p / 'y').touch(); time.sleep(30)"
    watch = fuzz_kills.Watch(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    try:
        assert watch.wait(3, process, 60) == 3
    finally:
        process.kill()
        process.wait()
    assert watch.wait(1, process, 60) == 0
    watch.close()


def test_two_kills(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz_kills.kills(2, 0) == 0
    assert "killed 2, half-written or wrong afterwards: 0" in capsys.readouterr().out
