"""Whom a folder holds scans of, in every layout, and whom a table names."""

from __future__ import annotations

from pathlib import Path

import pytest
from folders import close, touch
from nifti_files import failing

from wmhseg import errors
from wmhseg.batch import run as batch_run
from wmhseg.datasets.subjects import Subject, find_subjects, read_subjects


@pytest.mark.parametrize(
    ("flair", "t1", "name"),
    [
        ("a/pre/FLAIR.nii.gz", "a/pre/T1.nii.gz", "a"),
        ("a/pre/FLAIR.nii", "a/pre/T1w.nii", "a"),
        ("a/flair.nii.gz", "a/t1.nii.gz", "a"),
        ("a/pre/FLAIR.nii.gz", "a/T1.nii.gz", "a"),  # prepared or not: one home
        ("a/orig/FLAIR.nii.gz", "a/orig/T1.nii.gz", "orig"),  # nothing prepared stands beside it
        ("x/a_FLAIR.nii.gz", "x/a-T1W.nii", "a"),
        ("x/a_b_FLAIR.nii.gz", "x/a_b_T1.nii.gz", "a_b"),
        ("sub-1_FLAIR.nii.gz", "sub-1_acq-z_T1w.nii.gz", "sub-1"),
        ("sub-1_ses-2_run-3_FLAIR.nii", "sub-1_run-3_ses-2_t1w.nii", "sub-1_ses-2_run-3"),
    ],
)
def test_one_subject(tmp_path: Path, flair: str, t1: str, name: str) -> None:
    touch(tmp_path, flair, t1, "notes/FLAIR.txt", "a/FLAIR.nii.gz.json", "a/brain.nii.gz")
    expected = Subject(name, tmp_path / flair, tmp_path / t1)
    assert find_subjects(tmp_path) == [expected]


def test_the_folder_is_the_subject(tmp_path: Path) -> None:
    touch(tmp_path, "FLAIR.nii.gz")
    assert find_subjects(tmp_path) == [Subject(tmp_path.name, tmp_path / "FLAIR.nii.gz")]


def test_scans_in_different_folders_are_of_different_subjects(tmp_path: Path) -> None:
    touch(tmp_path, "x/a_FLAIR.nii", "y/a_T1.nii", "x/10_FLAIR.nii", "x/9_FLAIR.nii")
    said: list[str] = []
    found = find_subjects(tmp_path, said.append)
    assert [(s.name, s.t1, s.problem) for s in found] == [(n, None, "") for n in ("9", "10", "a")]
    assert len(said) == 1  # once, and no failed subject
    assert str(tmp_path / "y/a_T1.nii") in said[0]


def test_layouts_of_folders(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *("training/Utrecht/0/pre/FLAIR.nii.gz", "training/Utrecht/0/pre/T1.nii.gz"),
        *("training/Utrecht/0/orig/FLAIR.nii.gz", "training/Utrecht/0/wmh.nii.gz"),
        *("sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz", "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii"),
        *("derivatives/x/sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz", "p7/FLAIR.nii", "p7/T1.nii"),
        *("flat/p1_FLAIR.nii.gz", "flat/p1_T1.nii.gz", "flat/p2_flair.nii.gz", "flat/p3_T1w.nii"),
        *("sub-02/anat/sub-02_acq-a_FLAIR.nii.gz", "sub-02/anat/sub-02_acq-b_FLAIR.nii.gz"),
    )
    with pytest.warns(UserWarning, match=r"p3_T1w\.nii"):
        found = {s.name: s for s in find_subjects(tmp_path)}
    assert set(found) == {"0", "sub-01_ses-a", "p7", "p1", "p2", "sub-02"}
    assert found["0"].flair == tmp_path / "training/Utrecht/0/pre/FLAIR.nii.gz"
    for name in ("0", "sub-01_ses-a", "p7", "p1"):
        assert found[name].t1 is not None
        assert found[name].problem == ""
    assert found["p2"].t1 is None
    assert "several FLAIR" in found["sub-02"].problem
    touch(tmp_path, "test/Amsterdam/0/pre/FLAIR.nii.gz")
    (tmp_path / "flat/p3_T1w.nii").unlink()
    line = failing(errors.UsageError, batch_run.check_names, find_subjects(tmp_path))
    assert str(tmp_path / "training/Utrecht/0/pre/FLAIR.nii.gz") in line
    assert str(tmp_path / "test/Amsterdam/0/pre/FLAIR.nii.gz") in line


@pytest.mark.parametrize("beside", ["sourcedata", "code", "derivatives/x", ".git/annex"])
def test_what_is_no_part_of_the_data_is_left_out(tmp_path: Path, beside: str) -> None:
    touch(tmp_path, "sub-01/anat/sub-01_FLAIR.nii.gz", f"{beside}/sub-01/anat/sub-01_FLAIR.nii.gz")
    found = find_subjects(tmp_path)
    assert found == [Subject("sub-01", tmp_path / "sub-01/anat/sub-01_FLAIR.nii.gz")]
    assert len(find_subjects(tmp_path / beside)) == 1  # unless it is what was asked for


@pytest.mark.parametrize(
    ("flair", "t1", "expected"),
    [
        ("", ("",), ""),
        ("", ("run-1_", "run-2_"), None),
        ("run-01_", ("",), ""),
        ("run-01_", ("acq-mprage_",), "acq-mprage_"),
        ("run-01_", ("run-1_", "run-2_"), "run-1_"),
        ("run-3_", ("run-1_", "run-2_"), None),
        ("acq-a_", ("acq-a_", "acq-b_"), "acq-a_"),
        ("acq-a_", ("acq-b_", "acq-c_"), None),
        ("acq-a_run-1_", ("acq-b_run-1_", "acq-c_run-2_"), "acq-b_run-1_"),
        ("", ("", "ce-gad_"), ""),
    ],
)
def test_which_t1_of_bids_belongs_to_flair(
    tmp_path: Path, flair: str, t1: tuple[str, ...], expected: str | None
) -> None:
    scans = [f"anat/sub-1_ses-2_{entities}T1w.nii" for entities in t1]
    other = "anat/sub-1_ses-3_T1w.nii"  # another visit is another day
    touch(tmp_path, f"anat/sub-1_ses-2_{flair}FLAIR.nii.gz", other, *scans)
    said: list[str] = []
    (subject,) = find_subjects(tmp_path, said.append)
    if expected is None:  # failed, not segmented by another method
        assert (subject.flair, subject.t1) == (None, None)
        assert all(str(tmp_path / scan) in subject.problem for scan in scans)
    else:
        assert (subject.flair, subject.problem) != (None, "")
        assert subject.t1 == tmp_path / f"anat/sub-1_ses-2_{expected}T1w.nii"
    assert len(said) == 1
    assert other in said[0]


def test_fault_12_and_13(shared: Path) -> None:
    beside = shared / "faults" / "12-bids-sourcedata" / "data"
    expected = beside / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    assert find_subjects(beside) == [Subject("sub-01", expected)]
    first, second, third = find_subjects(shared / "faults" / "13-bids-T1w-runs-not-used" / "data")
    assert first.flair is None
    assert all(f"sub-01_run-{n}_T1w.nii.gz" in first.problem for n in (1, 2))
    assert (second.name, second.t1 and second.t1.name) == ("sub-02_run-01", "sub-02_T1w.nii.gz")
    assert third.t1 is not None


def test_folders_that_cannot_be_read_are_named_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a/FLAIR.nii", "b/FLAIR.nii")
    close(monkeypatch, tmp_path / "b")
    said: list[str] = []
    assert [s.name for s in find_subjects(tmp_path, said.append)] == ["a"]
    (line,) = said
    assert str(tmp_path / "b") in line
    assert "Permission denied" in line
    close(monkeypatch, tmp_path)
    failing(errors.UnreadableFileError, find_subjects, tmp_path)


def test_a_folder_without_scans(tmp_path: Path) -> None:
    failing(errors.NoCasesError, find_subjects, tmp_path)
    failing(errors.MissingFileError, find_subjects, tmp_path / "none")


# Tables -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "mark"), [("tsv", "\t"), ("csv", ","), ("txt", "\t")])
def test_a_table_of_subjects(tmp_path: Path, suffix: str, mark: str) -> None:
    lines = [("flair", "Subject", "t1", "note"), ("a/F.nii", "s1", "a/T.nii", "x"),
             ("/b/F.nii", "s2", "n/a", ""), ("", "s3", "", "")]  # fmt: skip
    table = tmp_path / f"t.{suffix}"
    table.write_text("\ufeff" + "\n".join(mark.join(line) for line in lines))
    found = read_subjects(table)
    assert found[0] == Subject("s1", tmp_path / "a/F.nii", tmp_path / "a/T.nii")
    assert found[1] == Subject("s2", Path("/b/F.nii"), None)
    assert found[2].flair is None
    assert found[2].problem


@pytest.mark.parametrize(
    "content",
    [b"", b"subject\ta\ns1\tb\n", b"subject,flair\ns1,f\n", b"subject\tflair\tFLAIR\ns1\tf\tg\n",
     b"subject\tflair\ns1\tf\tg\th\n", b"subject\tflair\n\xff\xfe\t\x00\n", b'subject\tflair\n"'],
)  # fmt: skip
def test_what_is_no_table(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.tsv").write_bytes(content)
    with pytest.raises((errors.TableError, errors.NoCasesError)):
        batch_run.check_names(read_subjects(tmp_path / "t.tsv"))
    with pytest.raises(errors.MissingFileError):
        read_subjects(tmp_path / "none.tsv")


def test_cells_that_an_editor_cut_off(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("subject\tflair\tt1\n01\tF.nii\n02\n\t\t\n")
    first, second = read_subjects(tmp_path / "t.tsv")
    assert first == Subject("01", tmp_path / "F.nii")
    assert "line 3" in second.problem
    assert second.flair is None


def test_the_line_of_a_table_is_named(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("subject,flair\n,f.nii\n")
    assert "line 2" in failing(errors.TableError, read_subjects, table)
    table.write_text("subject,flair\na,f\nb/c,f\n")
    assert "line 3" in failing(errors.UsageError, batch_run.check_names, read_subjects(table))
    table.write_text("subject,flair\na,f\n\na,g\n")
    line = failing(errors.UsageError, batch_run.check_names, read_subjects(table))
    assert f"line 2 of {table} and line 4 of {table}" in line


def test_fault_21(shared: Path) -> None:
    fault = shared / "faults" / "21-table-row-with-two-cells"
    for name in ("subjects.tsv", "blank-rows.csv"):
        found = read_subjects(fault / name)
        assert found
        assert all(s.problem == "" and s.flair == fault / "F.nii.gz" for s in found)
        batch_run.check_names(found)


def test_a_column_without_a_name_is_not_t1(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",subject,flair\n7,a,f.nii\n")
    assert read_subjects(tmp_path / "t.csv") == [Subject("a", tmp_path / "f.nii")]
