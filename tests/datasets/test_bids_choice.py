"""Which scans of a BIDS data set are segmented, and which T1w scan goes with each."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from folders import close, touch
from hypothesis import given
from hypothesis import strategies as st
from nifti_files import failing

from wmhseg import errors
from wmhseg.datasets import bids_filters
from wmhseg.datasets.bids_choice import Selection, select
from wmhseg.datasets.bids_dataset import check_data_set, find_people
from wmhseg.datasets.bids_filters import Filters
from wmhseg.datasets.subjects import Subject, why_not


def scans(root: Path, *names: str) -> Path:
    """Makes scans by their names alone, in the folders that the names say, ``.nii.gz``."""
    for name in names:
        above = [part for part in name.split("_") if part.startswith(("sub-", "ses-"))]
        touch(root, "/".join([*above, "anat", f"{name}.nii.gz"]))
    return root


def chosen(root: Path, *, any_session: bool = False, **filters: Any) -> Selection:
    return select(find_people(root), Filters(**filters), any_session=any_session)


def pairs(selection: Selection) -> dict[str, tuple[str, str]]:
    """Scan -> names of the files that are used, without what all have."""
    return {s.name: (_short(s.flair), _short(s.t1)) for s in selection.subjects}


def _short(path: Path | None) -> str:
    return path.name.removesuffix(".nii.gz") if path else ""


def one(selection: Selection) -> Subject:
    (subject,) = selection.subjects
    return subject


# The data set -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "no such file"), ("[1]", r"\[1\]"), ("{", "no JSON"), ('{"a": 1, "a": 2}', "twice")],
)
def test_what_is_no_data_set_is_said(tmp_path: Path, text: str | None, told: str) -> None:
    scans(tmp_path, "sub-01_FLAIR")
    if text is not None:
        (tmp_path / "dataset_description.json").write_text(text)
    with pytest.raises(errors.InvalidDatasetError, match=told) as caught:
        check_data_set(tmp_path)
    assert caught.value.exit_code == 16
    failing(errors.MissingFileError, check_data_set, tmp_path / "none")
    failing(errors.InvalidDatasetError, find_people, touch(tmp_path / "x", "pre/FLAIR.nii.gz"))


def test_what_lies_beside_the_subjects_is_left_out(tmp_path: Path) -> None:
    scans(tmp_path, "sub-01_FLAIR", "sub-01_T1w")
    for other in ("derivatives/wmhseg", "sourcedata", "code", "sub-01/anat/old", ".git"):
        scans(tmp_path / other, "sub-01_FLAIR", "sub-02_FLAIR", "sub-01_T1w")
    touch(tmp_path, "sub-01/func/sub-01_FLAIR.nii.gz", "sub-01/anat/sub-01_T2w.nii.gz")
    touch(tmp_path, "sub-01/anat/sub-01_part-phase_FLAIR.nii.gz", "sub-01/anat/sub-01_FLAIR.json")
    assert pairs(chosen(tmp_path)) == {"sub-01": ("sub-01_FLAIR", "sub-01_T1w")}
    assert one(chosen(tmp_path)).notes == ()


def test_links_are_followed_and_a_missing_content_is_told(tmp_path: Path) -> None:
    """As git-annex and DataLad keep data sets."""
    store = touch(tmp_path, "data/.git/annex/objects/a/a") / "data" / ".git" / "annex" / "objects"
    (store / "a" / "a").write_bytes(b"content")
    anat = tmp_path / "data" / "sub-01" / "anat"
    anat.mkdir(parents=True)
    os.symlink("../../.git/annex/objects/a/a", anat / "sub-01_FLAIR.nii.gz")
    os.symlink("../../.git/annex/objects/b/b", anat / "sub-01_T1w.nii.gz")
    os.symlink(tmp_path / "data" / "sub-01", tmp_path / "data" / "sub-02")
    warned: list[str] = []
    people = find_people(tmp_path / "data", warned.append)
    subject = one(select(people, Filters(subjects=("01",))))
    assert _short(subject.flair) == "sub-01_FLAIR"
    assert "datalad get" in why_not(subject)
    # Scans of somebody else in one's folder are nobody's.
    assert "not named after their folder" in "".join(warned)
    assert people[1].of("", "flair") == []


def test_a_closed_folder_costs_its_own_session_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans(tmp_path, "sub-01_ses-a_FLAIR", "sub-01_ses-b_FLAIR", "sub-02_FLAIR")
    close(monkeypatch, tmp_path / "sub-01" / "ses-a" / "anat")
    warned: list[str] = []
    people = find_people(tmp_path, warned.append)
    names = [subject.name for subject in select(people, Filters()).subjects]
    assert names == ["sub-01_ses-b", "sub-02"]
    assert any("ses-a" in sentence or "Permission denied" in sentence for sentence in warned)


# FLAIR ------------------------------------------------------------------------------------------


def test_every_session_run_and_acquisition_is_a_scan_of_its_own(tmp_path: Path) -> None:
    names = [
        *("sub-2_ses-a_acq-2D_FLAIR", "sub-2_ses-a_acq-3D_run-1_FLAIR"),
        *("sub-2_ses-a_acq-3D_run-2_FLAIR", "sub-2_ses-b_FLAIR", "sub-10_FLAIR"),
    ]
    found = pairs(chosen(scans(tmp_path, *names)))
    assert found == {name.removesuffix("_FLAIR"): (name, "") for name in names}


@pytest.mark.parametrize(
    ("files", "used"),
    [
        (("sub-1_FLAIR", "sub-1_desc-preproc_FLAIR"), "sub-1_FLAIR"),
        (("sub-1_space-T1w_FLAIR", "sub-1_desc-preproc_FLAIR"), "sub-1_desc-preproc_FLAIR"),
        (("sub-1_space-T1w_FLAIR",), "sub-1_space-T1w_FLAIR"),
        (("sub-1_desc-brain_FLAIR", "sub-1_desc-denoised_FLAIR"), ""),
    ],
)
def test_the_scan_itself_goes_before_what_was_made_of_it(
    tmp_path: Path, files: tuple[str, ...], used: str
) -> None:
    subject = one(chosen(scans(tmp_path, *files)))
    assert (subject.name, _short(subject.flair)) == ("sub-1", used)
    told = subject.problem if not used else "".join(subject.notes)
    assert all(name in told for name in files) or len(files) == 1
    assert bool(subject.notes) == bool(used and len(files) > 1)


def test_two_files_of_one_name_are_not_guessed_from(tmp_path: Path) -> None:
    touch(scans(tmp_path, "sub-1_FLAIR"), "sub-1/anat/sub-1_FLAIR.nii")
    problem = one(chosen(tmp_path)).problem
    assert "several FLAIR" in problem
    assert "sub-1_FLAIR.nii," in problem + ","


def test_who_has_no_scan_is_told_and_is_a_failure_if_asked_for(tmp_path: Path) -> None:
    scans(tmp_path, "sub-01_FLAIR", "sub-02_T1w", "sub-03_ses-a_FLAIR", "sub-03_ses-b_T1w")
    (tmp_path / "sub-04").mkdir()
    selection = chosen(tmp_path)
    assert selection.without == ("sub-02", "sub-03_ses-b", "sub-04")
    assert [s.name for s in selection.subjects if not s.problem] == ["sub-01", "sub-03_ses-a"]
    asked = chosen(tmp_path, subjects=("04", "01"))
    assert [(s.name, bool(s.problem)) for s in asked.subjects] == [
        ("sub-01", False),
        ("sub-04", True),
    ]


def test_no_flair_anywhere_is_one_error_and_nothing_asked_for_another(tmp_path: Path) -> None:
    scans(tmp_path, "sub-01_T1w")
    line = failing(errors.NoCasesError, chosen, tmp_path)
    assert "Received: none for 1 participant, and 1 T1w scan." in line
    scans(tmp_path, "sub-01_FLAIR", "sub-02_ses-a_FLAIR")
    query = {"flair": {"acq": ("3D",)}}
    line = failing(errors.NothingSelectedError, lambda: chosen(tmp_path, queries=query))
    assert "Received: none; the data set has 2 FLAIR scans." in line
    for wanted in ({"subjects": ("01", "99")}, {"sessions": ("99",)}):
        line = failing(errors.NothingSelectedError, lambda w=wanted: chosen(tmp_path, **w))
        assert "Received: 99." in line


def test_who_is_asked_for_and_has_no_flair_is_named(tmp_path: Path) -> None:
    scans(tmp_path, "sub-01_FLAIR", "sub-04_T1w", "sub-05_T1w")
    for wanted, told in (
        ({"subjects": ("04",)}, "Received: sub-04 has no FLAIR scan."),
        ({"subjects": ("04", "05")}, "Received: sub-04, sub-05 have no FLAIR scan."),
        ({"subjects": ("01", "04"), "queries": {"flair": {"acq": ("3D",)}}},
         "Received: none; the data set has 1 FLAIR scan, but none of sub-04."),
    ):  # fmt: skip
        line = failing(errors.NothingSelectedError, lambda w=wanted: chosen(tmp_path, **w))
        assert told in line


# T1w --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flair", "t1w", "used"),
    [
        ("_FLAIR", ["_T1w"], "_T1w"),
        ("_run-1_FLAIR", ["_run-2_T1w"], "_run-2_T1w"),
        ("_run-1_FLAIR", ["_run-01_T1w", "_run-02_T1w"], "_run-01_T1w"),
        ("_FLAIR", ["_run-1_T1w", "_run-2_T1w", "_run-10_T1w"], "_run-10_T1w"),
        ("_acq-3D_FLAIR", ["_acq-2D_T1w", "_acq-3D_T1w"], "_acq-3D_T1w"),
        ("_FLAIR", ["_ce-gd_T1w", "_acq-a_T1w"], "_acq-a_T1w"),
        ("_FLAIR", ["_T1w", "_desc-preproc_T1w", "_space-MNI152_T1w"], "_T1w"),
        ("_FLAIR", ["_acq-a_T1w", "_acq-b_T1w"], None),
        ("_acq-c_FLAIR", ["_acq-a_run-1_T1w", "_acq-b_run-1_T1w"], None),
    ],
)
def test_which_t1w_goes_with_a_flair(
    tmp_path: Path, flair: str, t1w: list[str], used: str | None
) -> None:
    subject = one(chosen(scans(tmp_path, f"sub-1{flair}", *(f"sub-1{name}" for name in t1w))))
    if used is None:
        assert "several T1w" in subject.problem
        assert subject.flair is None
        return
    assert _short(subject.t1) == f"sub-1{used}"
    assert bool(subject.notes) == (len(t1w) > 1)
    assert not subject.notes or f"sub-1{used}.nii.gz is used, of" in subject.notes[0]


@pytest.mark.parametrize(
    ("flair", "t1w", "used"),
    [
        ("b", "abc", "b"),
        ("b", "ac", "a"),  # as near: the earlier one
        ("a", "c", "c"),
        ("2", ["1", "10"], "1"),
        ("3", ["1", "4"], "4"),
    ],
)
def test_the_t1w_of_another_session_is_used_if_asked_for(
    tmp_path: Path, flair: str, t1w: str | list[str], used: str
) -> None:
    names = [f"sub-1_ses-{one}_T1w" for one in t1w]
    scans(tmp_path, f"sub-1_ses-{flair}_FLAIR", *names, "sub-2_ses-0_FLAIR", "sub-2_ses-0_T1w")
    for extra in "123":
        (tmp_path / "sub-1" / f"ses-{extra}").mkdir(exist_ok=True)
    asked = chosen(tmp_path, any_session=True).subjects[0]
    assert _short(asked.t1) == f"sub-1_ses-{used}_T1w"
    plain = chosen(tmp_path)
    own = flair in t1w
    assert _short(plain.subjects[0].t1) == (f"sub-1_ses-{flair}_T1w" if own else "")
    assert plain.elsewhere == (() if own else (f"sub-1_ses-{flair}",))
    assert bool(asked.notes) is not own
    # A session that is named chooses what is segmented, not where its T1w may come from.
    named = chosen(tmp_path, any_session=True, sessions=(flair,)).subjects[0]
    assert named.t1 == asked.t1


# Filters ----------------------------------------------------------------------------------------


def queries(tmp_path: Path, content: Any, warned: list[str] | None = None) -> Any:
    path = tmp_path / "filter.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    told: list[str] = [] if warned is None else warned
    return bids_filters.read_queries(path, told.append)


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ({"acquisition": "3D"}, ["acq-3D_run-1", "acq-3D_run-02"]),
        ({"acq": ["3D", "2D"], "run": 1}, ["acq-2D_run-1", "acq-3D_run-1"]),
        ({"run": "2"}, ["acq-3D_run-02"]),
        ({"run": None}, [""]),
        ({"acquisition": "*"}, ["acq-2D_run-1", "acq-3D_run-1", "acq-3D_run-02"]),
        ({"acquisition": "Query.NONE"}, [""]),
        ({"acquisition": [None, "2D"]}, ["", "acq-2D_run-1"]),
        ({"suffix": "FLAIR", "datatype": "anat", "extension": [".nii.gz"]}, None),
    ],
)
def test_filters_choose_by_entities(
    tmp_path: Path, query: dict[str, Any], kept: list[str] | None
) -> None:
    every = ["", "acq-2D_run-1", "acq-3D_run-1", "acq-3D_run-02"]
    scans(tmp_path / "d", *("_".join(filter(None, ["sub-1", e, "FLAIR"])) for e in every))
    found = chosen(tmp_path / "d", queries=queries(tmp_path, {"flair": query}))
    expected = ["_".join(filter(None, ["sub-1", e])) for e in (every if kept is None else kept)]
    assert sorted(s.name for s in found.subjects) == sorted(expected)


def test_a_filter_for_t1w_chooses_among_several_and_says_if_none_is_left(tmp_path: Path) -> None:
    scans(tmp_path / "d", "sub-1_FLAIR", "sub-1_acq-a_T1w", "sub-1_acq-b_T1w", "sub-2_FLAIR",
          "sub-2_T1w")  # fmt: skip
    warned: list[str] = []
    asked = queries(tmp_path, {"T1w": {"acquisition": "b"}, "bold": {"task": "rest"}}, warned)
    first, second = chosen(tmp_path / "d", queries=asked).subjects
    assert _short(first.t1) == "sub-1_acq-b_T1w"
    assert second.t1 is None
    assert "none is asked for" in second.notes[0]
    assert "bold" in warned[0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "object of queries"),
        ("{", "object of queries"),
        ({"flair": []}, "object of queries"),
        ({"flair": {"colour": "red"}}, '"colour"'),
        ({"flair": {"run": True}}, "True"),
        ({"flair": {"run": 1.5}}, "1.5"),
        ({"flair": {"suffix": "T2w"}}, "T2w"),
    ],
)
def test_filters_of_another_form_are_refused(tmp_path: Path, content: Any, told: str) -> None:
    assert told in failing(errors.UsageError, queries, tmp_path, content)


def test_labels_stand_with_their_key_or_without_and_in_files(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("03\nsub-04\n\n")
    given = ["01", "sub-02", str(tmp_path / "ids.txt"), "01"]
    assert bids_filters.labels(given, "sub") == ("01", "02", "03", "04")
    failing(errors.MissingFileError, bids_filters.labels, ["none.txt"], "sub")


def test_scans_without_a_session_are_not_subject_to_session_labels(tmp_path: Path) -> None:
    """As the draft of BIDS for such programs says."""
    scans(tmp_path, "sub-1_FLAIR", "sub-2_ses-a_FLAIR", "sub-2_ses-b_FLAIR")
    found = chosen(tmp_path, sessions=("b",))
    assert [s.name for s in found.subjects] == ["sub-1", "sub-2_ses-b"]


ENTITIES = st.dictionaries(
    st.sampled_from(["acq", "ce", "rec", "run"]), st.sampled_from(["1", "2"]), max_size=3
)


@given(st.lists(ENTITIES, min_size=1, max_size=4), st.lists(ENTITIES, max_size=4))
def test_no_flair_is_lost_and_no_t1w_is_anothers(
    flair: list[dict[str, str]], t1w: list[dict[str, str]]
) -> None:
    """Whatever the names: one result a FLAIR scan, with a T1w scan of the person or a problem."""
    from wmhseg.datasets.bids import parse
    from wmhseg.datasets.bids_dataset import BidsScan, Person

    def made(entities: dict[str, str], suffix: str) -> str:
        order = [f"{key}-{entities[key]}" for key in ("acq", "ce", "rec", "run") if key in entities]
        return "_".join(["sub-1", *order, suffix])

    names = {made(e, "FLAIR") for e in flair} | {made(e, "T1w") for e in t1w}
    found = [(Path(f"{name}.nii.gz"), parse(name)) for name in sorted(names)]
    person = Person("1", ("",), {"": [BidsScan(path, name) for path, name in found if name]})
    subjects = select([person], Filters()).subjects
    expected = {name.removesuffix("_FLAIR") for name in names if name.endswith("_FLAIR")}
    assert {subject.name for subject in subjects} == expected
    there = any(name.endswith("_T1w") for name in names)
    for subject in subjects:
        assert subject.problem or (subject.t1 is not None) == there
        assert subject.problem or _short(subject.flair) == f"{subject.name}_FLAIR"
