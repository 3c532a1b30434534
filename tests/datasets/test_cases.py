"""Cases are found in every layout, and what is wrong with one is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from folders import close, touch

from wmhseg import errors
from wmhseg.datasets.cases import Case, Problem, ProblemKind, find_cases, select
from wmhseg.datasets.subjects import find_subjects

PHILIPS = "Philips_VU .PETMR_01."  # as the public archive writes it


def test_challenge_layout(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "files/test/Utrecht/10/wmh.nii.gz",
        "files/test/Utrecht/9/wmh.nii.gz",
        "files/test/Utrecht/9/pre/FLAIR.nii.gz",
        "files/test/Utrecht/9/pre/T1.nii.gz",
        f"files/test/Amsterdam/{PHILIPS}/160/wmh.nii.gz",
        "files/training/Amsterdam/GE3T/100/wmh.nii.gz",
        "files/training/Amsterdam/GE3T/100/orig/FLAIR.nii.gz",
        "files/additional_annotations/observer_o3/training/Amsterdam/GE3T/100/result.nii.gz",
        "files/test/Utrecht/.hidden/wmh.nii.gz",
    )
    found = {case.name: case for case in find_cases(tmp_path)}
    assert list(found) == ["160", "9", "10", "100"]  # by path, 9 before 10
    assert [(c.split, c.site, c.scanner) for c in found.values()] == [
        ("test", "Amsterdam", PHILIPS),
        ("test", "Utrecht", ""),
        ("test", "Utrecht", ""),
        ("training", "Amsterdam", "GE3T"),
    ]
    assert found["9"].flair == tmp_path / "files/test/Utrecht/9/pre/FLAIR.nii.gz"
    assert found["9"].t1 == tmp_path / "files/test/Utrecht/9/pre/T1.nii.gz"
    assert found["100"].flair is None  # orig is not what is segmented
    assert all(case.in_challenge_layout and case.problem is None for case in found.values())


@pytest.mark.parametrize(
    ("names", "root", "expected"),
    [
        (["a/wmh.nii.gz"], "", ("a", "", "")),
        (["here/a/wmh.nii"], "", ("a", "", "here")),
        (["wmh.nii.gz"], "", (None, "", "")),  # the folder is the case
        (["test/Utrecht/1/wmh.nii.gz"], "test", ("1", "test", "Utrecht")),
    ],
)
def test_other_folders(
    tmp_path: Path, names: list[str], root: str, expected: tuple[str | None, str, str]
) -> None:
    touch(tmp_path, *names)
    (case,) = find_cases(tmp_path / root)
    name, split, site = expected
    assert (case.name, case.split, case.site) == (name or tmp_path.name, split, site)
    assert case.in_challenge_layout == (split == "test")


def test_bids_layout(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "derivatives/manual/sub-01/ses-a/anat/sub-01_ses-a_space-FLAIR_label-WMH_mask.nii.gz",
        "derivatives/manual/sub-02/anat/sub-02_run-1_label-lesion_dseg.nii.gz",
        "derivatives/manual/sub-02/anat/sub-02_label-brain_mask.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_acq-x_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_acq-y_T1w.nii.gz",
    )
    people = "participant_id\tsite\tscanner\nsub-01\tOslo\tGE\n"
    (tmp_path / "participants.tsv").write_text(people)
    first, second = find_cases(tmp_path)
    assert (first.name, first.site, first.scanner) == ("sub-01_ses-a", "Oslo", "GE")
    assert (first.flair, first.t1) == (None, None)  # there are two T1 scans: none is guessed
    assert all(f"sub-01_ses-a_acq-{a}_T1w.nii.gz" in first.scan_problem for a in "xy")
    assert (second.name, second.site, second.flair) == ("sub-02_run-1", "", None)
    assert "sub-02" in second.scan_problem
    assert (first.problem, second.problem) == (None, None)  # results can be scored all the same


def test_scans_of_cases_are_those_of_a_batch(tmp_path: Path) -> None:
    """Prepared or not, compressed or not; of several none is guessed."""
    touch(
        tmp_path,
        *("a/wmh.nii", "a/pre/FLAIR.nii", "a/pre/T1.nii"),
        *("b/wmh.nii.gz", "b/FLAIR.nii.gz", "b/pre/flair.nii.gz", "b/pre/T1w.nii.gz"),
        *("c/WMH.nii.gz", "c/flair.nii", "c/T1w.nii.gz"),
        "d/pre/FLAIR.nii",
        *("e/p1_FLAIR.nii", "e/p1_T1.nii.gz", "e/p1_wmh.nii", "e/p2_wmh.nii"),
        *("sub-1/anat/sub-1_run-1_FLAIR.nii", "sub-1/anat/sub-1_acq-x_T1w.nii.gz"),
        *("derivatives/sub-1_run-01_label-WMH_mask.nii", "derivatives/sub-1_FLAIR.nii"),
        *("f/wmh.nii", "sourcedata/f/wmh.nii"),
    )
    cases = {case.name: case for case in find_cases(tmp_path)}
    assert list(cases) == ["a", "b", "c", "sub-1_run-01", "p1", "f", "d"]
    subjects = {s.flair: s for s in find_subjects(tmp_path)}
    for name, flair, t1 in (
        ("a", "a/pre/FLAIR.nii", "a/pre/T1.nii"),
        ("c", "c/flair.nii", "c/T1w.nii.gz"),
        ("p1", "e/p1_FLAIR.nii", "e/p1_T1.nii.gz"),
        ("sub-1_run-01", "sub-1/anat/sub-1_run-1_FLAIR.nii", "sub-1/anat/sub-1_acq-x_T1w.nii.gz"),
    ):
        case = cases[name]
        assert (case.flair, case.t1) == (tmp_path / flair, tmp_path / t1)
        assert (case.problem, case.scan_problem) == (None, "")
        assert subjects[case.flair].t1 == case.t1
    assert cases["b"].flair is None
    assert "several FLAIR" in cases["b"].scan_problem
    assert f"pre/FLAIR.nii.gz, pre/FLAIR.nii, FLAIR.nii.gz or FLAIR.nii in {tmp_path / 'f'}" in (
        cases["f"].scan_problem
    )
    assert cases["d"].problem == Problem(
        ProblemKind.NO_REFERENCE, f"no wmh.nii.gz or wmh.nii in {tmp_path / 'd'}"
    )


def test_fault_20(shared: Path) -> None:
    for folder, flair, t1 in (("nii", "pre/FLAIR.nii", "pre/T1.nii"),
                              ("flat", "FLAIR.nii.gz", "T1.nii.gz")):  # fmt: skip
        data = shared / "faults" / "20-train-nii-not-found" / folder
        (case,) = find_cases(data)
        assert (case.flair, case.t1) == (data / "a" / flair, data / "a" / t1)


@pytest.mark.parametrize("content", ["", "age\n7\n", "participant_id\tage\nsub-1\t7\t8\nsub-2\n"])
def test_people_without_a_site(tmp_path: Path, content: str) -> None:
    touch(tmp_path, "sub-1_label-WMH_mask.nii", "sub-2_label-WMH_mask.nii")
    (tmp_path / "participants.tsv").write_text(content)
    assert [(c.name, c.site, c.scanner) for c in find_cases(tmp_path)] == [
        ("sub-1", "", ""),
        ("sub-2", "", ""),
    ]


def test_people_in_another_alphabet_do_not_stop_the_rest(tmp_path: Path) -> None:
    touch(tmp_path, "sub-1_label-WMH_mask.nii")
    table = "participant_id\tsite\tnote\nsub-1\tOslo\tGr\u00f6\u00dfe\n".encode("latin-1")
    (tmp_path / "participants.tsv").write_bytes(table)
    assert [case.site for case in find_cases(tmp_path)] == ["Oslo"]


def test_duplicate_ids_and_missing_references_are_named(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "a/1/wmh.nii.gz",
        "b/1/wmh.nii.gz",
        "b/2/wmh.nii.gz",
        "b/3/pre/FLAIR.nii.gz",
    )
    found = [(case.name, case.problem and case.problem.kind) for case in find_cases(tmp_path)]
    assert found == [
        ("1", ProblemKind.DUPLICATE),
        ("1", ProblemKind.DUPLICATE),
        ("2", None),
        ("3", ProblemKind.NO_REFERENCE),
    ]


def test_flair_without_a_mask_is_told(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *("p/a_FLAIR.nii", "p/a_wmh.nii", "p/b_FLAIR.nii", "p/b-wmh.nii", "p/c_FLAIR.nii"),
        *("sub-1/sub-1_FLAIR.nii", "sub-1/sub-1_label-WMH_mask.nii", "sub-2/sub-2_FLAIR.nii"),
        *("sub-1/sub-1_run-2_FLAIR.nii", "derivatives/x/sub-3_FLAIR.nii"),
        *("d/wmh.nii", "d/d_FLAIR.nii", "d/pre/other_FLAIR.nii", "d/pre/FLAIR.nii"),
    )
    said: list[str] = []
    found = find_cases(tmp_path, said.append)
    assert [case.name for case in found] == ["d", "a", "b", "sub-1"]
    (line,) = said
    assert line.startswith("FLAIR scans without a mask are left out, 2: ")
    assert str(tmp_path / "p/c_FLAIR.nii") in line
    assert str(tmp_path / "sub-2/sub-2_FLAIR.nii") in line
    with pytest.raises(errors.NoCasesError, match="1 FLAIR scans without a mask"):
        find_cases(tmp_path / "sub-2", said.append)


def test_links_to_nowhere_are_told_unless_they_are_annexed_notes(tmp_path: Path) -> None:
    touch(tmp_path, "a/wmh.nii")
    (tmp_path / "b").symlink_to("/far/away/b")
    (tmp_path / "README").symlink_to(".git/annex/objects/x/y")
    (tmp_path / "c.json").symlink_to("/far/away/c.json")
    said: list[str] = []
    assert [case.name for case in find_cases(tmp_path, said.append)] == ["a"]
    assert said == [f"{tmp_path / 'b'} is passed over: a link to /far/away/b, which is not there."]


def test_no_cases_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(errors.NoCasesError, match=r"wmh\.nii\.gz"):
        find_cases(tmp_path)
    with pytest.raises(errors.MissingFileError, match="nowhere"):
        find_cases(tmp_path / "nowhere")


def test_links_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "far/case/wmh.nii.gz")
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "linked").symlink_to(tmp_path / "far" / "case")
    (tmp_path / "near" / "loop").symlink_to(tmp_path / "near")
    assert [case.name for case in find_cases(tmp_path / "near")] == ["linked"]


def test_unreadable_folder_is_not_skipped_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a/wmh.nii.gz", "b/wmh.nii.gz")
    close(monkeypatch, tmp_path / "b")
    with pytest.warns(UserWarning, match="b is passed over"):
        assert [case.name for case in find_cases(tmp_path)] == ["a"]


def test_select() -> None:
    cases = [
        Case("1", "test", "Amsterdam", "GE3T"),
        Case("2", "test", "Amsterdam", PHILIPS),
        Case("3", "test", "Utrecht"),
        Case("4", "training", "Utrecht"),
    ]

    def names(*only: str) -> list[str]:
        return [case.name for case in select(cases, only)]

    assert names() == ["1", "2", "3", "4"]
    assert names("site=Amsterdam", "scanner=Philips*") == ["2"]
    assert names("case=1", "case=4") == ["1", "4"]
    with pytest.raises(errors.NoCasesError, match="scanner=Siemens"):
        names("scanner=Siemens")
    for wrong in ("Utrecht", "colour=red"):
        with pytest.raises(errors.UsageError, match="site=Utrecht"):
            names(wrong)
