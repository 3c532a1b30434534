"""Splits: by patient, disjoint, and everything kept aside once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmhseg.datasets.cases import Case
from wmhseg.errors import TableError, UsageError
from wmhseg.training.batches import split
from wmhseg.training.batches.split import PatientCase

# Patients with visits on one scanner or on several.
VISITS = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(["A", "B", "C"])), min_size=6, max_size=30
).filter(lambda visits: len({patient for patient, _ in visits}) > 4)


def found(visits: list[tuple[int, str]]) -> list[PatientCase]:
    return [
        PatientCase(Case(f"case{number}", site=site), f"p{patient}")
        for number, (patient, site) in enumerate(visits)
    ]


def names(subjects: tuple[PatientCase, ...]) -> set[str]:
    return {s.case.name for s in subjects}


def patients(subjects: tuple[PatientCase, ...]) -> set[str]:
    return {s.patient for s in subjects}


@given(visits=VISITS, how=st.sampled_from(["k-fold:2", "k-fold:5", "loso"]))
def test_folds_are_disjoint_and_cover_all(visits: list[tuple[int, str]], how: str) -> None:
    cases = found(visits)
    first = split.split(cases, how, 1)
    everything = names(tuple(cases))
    kept_aside: list[str] = []
    for fold in range(1, first.folds + 1):
        parted = split.split(cases, how, fold)
        assert names(parted.train) | names(parted.test) == everything
        assert not patients(parted.train) & patients(parted.test)
        assert not parted.unused
        kept_aside += names(parted.test)
    assert sorted(kept_aside) == sorted(everything)  # each once


@given(visits=VISITS)
def test_cross_scanner(visits: list[tuple[int, str]]) -> None:
    """Each scanner is kept aside once, and none of its patients is trained on."""
    cases = found(visits)
    kept_aside: list[str] = []
    places = sorted({s.place for s in cases})
    for fold, place in enumerate(places, 1):
        try:
            parted = split.split(cases, "cross-scanner", fold)
        except UsageError:  # every patient was on that scanner
            assert {s.patient for s in cases if s.place == place} == {s.patient for s in cases}
            kept_aside += [s.case.name for s in cases if s.place == place]
            continue
        assert {s.place for s in parted.test} == {place}
        assert place not in {s.place for s in parted.train}
        assert not patients(parted.train) & patients(parted.test)
        groups = [names(group) for group in (parted.train, parted.test, parted.unused)]
        assert sum(map(len, groups)) == len(cases)
        assert set().union(*groups) == names(tuple(cases))
        kept_aside += names(parted.test)
    assert sorted(kept_aside) == sorted(s.case.name for s in cases)


def test_folds_hold_every_scanner() -> None:
    """60 patients, 20 a scanner, as the challenge's training data: 4 of each in each fifth."""
    cases = found([(20 * i + k, site) for i, site in enumerate("ABC") for k in range(20)])
    for fold in range(1, 6):
        parted = split.split(cases, "k-fold:5", fold)
        sites = [s.place for s in parted.test]
        assert {site: sites.count(site) for site in "ABC"} == {"A": 4, "B": 4, "C": 4}
        assert parted == split.split(cases, "k-fold:5", fold)


def test_none_trains_on_all() -> None:
    cases = found([(0, "A"), (1, "B")])
    parted = split.split(cases, "none", 1)
    assert (parted.train, parted.test, parted.folds) == (tuple(cases), (), 1)


@pytest.mark.parametrize(
    ("how", "fold"),
    [
        ("fifths", 1),
        ("k-fold", 1),
        ("k-fold:1", 1),
        ("k-fold:x", 1),
        ("none:2", 1),
        ("loso", 0),
        ("loso", 4),
        ("k-fold:5", 5),  # three patients: the last two folds are empty
        ("none", 2),
    ],
)
def test_splits_that_there_are_not(how: str, fold: int) -> None:
    with pytest.raises(UsageError):
        split.split(found([(0, "A"), (1, "A"), (2, "A")]), how, fold)


def test_nothing_left_to_train_on() -> None:
    with pytest.raises(UsageError, match="both sides"):
        split.split(found([(0, "A"), (1, "A")]), "cross-scanner", 1)


# Patients -----------------------------------------------------------------------------------------


def test_patients_without_a_table() -> None:
    cases = [Case(name) for name in ("sub-01_ses-1", "sub-01_ses-2", "sub-011", "100", "sub_3")]
    assert [s.patient for s in split.with_patients(cases)] == [
        "sub-01", "sub-01", "sub-011", "100", "sub_3",
    ]  # fmt: skip


def test_patients_of_a_table(tmp_path: Path) -> None:
    table = tmp_path / "patients.tsv"
    table.write_text("case\tsite\tpatient\na1\tX\tanna\na2\tX\tanna\nb\tX\tbert \n")
    cases = [Case("a1"), Case("b"), Case("a2")]
    assert [s.patient for s in split.with_patients(cases, table)] == ["anna", "bert", "anna"]
    with pytest.raises(TableError, match="none for c"):
        split.with_patients([*cases, Case("c")], table)
    table.write_text("case,patient\na1,anna\n")
    with pytest.raises(TableError, match="separated by tabs"):
        split.with_patients(cases, table)


CASES = [Case("a1"), Case("b")]
HEAD = "case;patient;note\n"


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt"])
@pytest.mark.parametrize(
    "rows",
    [
        "Patient;CASE \nanna;a1\nbert;b\n",
        HEAD + "a1;anna\nb;bert;\n",  # short
        HEAD + ";;\n\n  ;\na1;anna;x\nb;bert;x\n;;",  # empty
        HEAD + '"a1";"anna";"x;y"\r\nb;bert\r\n',
        HEAD + "a1;anna;\nb;bert;\na1;anna;again\nc;n/a\nd;;;\n",
        "\ufeff" + HEAD + "a1;anna;\nb;bert;\n",
    ],
)
def test_a_table_as_people_save_it(tmp_path: Path, rows: str, name: str) -> None:
    (tmp_path / name).write_text(rows)
    found = split.with_patients(CASES, tmp_path / name)
    assert [s.patient for s in found] == ["anna", "bert"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (HEAD + "a1;anna;;x\nb;bert\n", "At most 3 cells, .* line 2 of .*: 4 cells"),
        (HEAD + "a1;anna\nb;bert\na1;bert\n", "anna in line 2 of .*, bert in line 4 of"),
        (HEAD + "a1;anna\n;bert\n", "name of a case .* line 3 of .* patient bert"),
        (HEAD + "a1;anna\nb\n", "none for b"),
        (HEAD + "a1;anna\nb;N/A\n", "none for b"),
        ("case;patient;Patient\na1;anna;bert\n", "One column called patient"),
        (HEAD + 'a1;"anna\nb;bert\n', "quotes around whole cells in line 3"),
        ("name;who\na1;anna\n", "columns case and patient .*semicolons. Received: name, who"),
    ],
)
def test_a_table_that_says_nothing_or_two_things(tmp_path: Path, rows: str, told: str) -> None:
    table = tmp_path / "t.tsv"
    table.write_text(rows)
    with pytest.raises(TableError, match=told):
        split.with_patients(CASES, table)


def test_a_table_in_another_alphabet(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes("case\tpatient\na1\tGrö\n".encode("latin-1"))
    with pytest.raises(TableError, match="UTF-8"):
        split.with_patients(CASES, tmp_path / "t.tsv")


def test_written_down() -> None:
    cases = [
        PatientCase(Case("a", site="Amsterdam", scanner="GE3T"), "p"),
        PatientCase(Case("b", site="Utrecht"), "q"),
    ]
    text = split.to_json(split.split(cases, "cross-scanner", 2), {"c": "no mask"})
    assert json.loads(text) == {
        "split": "cross-scanner",
        "fold": 2,
        "folds": 2,
        "train": [{"case": "a", "patient": "p", "scanner": "Amsterdam/GE3T"}],
        "test": [{"case": "b", "patient": "q", "scanner": "Utrecht"}],
        "unused": [],
        "skipped": {"c": "no mask"},
    }
