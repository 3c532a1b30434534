"""The table of scores: written, read back, refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmhseg import errors
from wmhseg.datasets.cases import Problem, ProblemKind
from wmhseg.scoring import official
from wmhseg.scoring.official import Official
from wmhseg.scoring.table import COUNTS, VALUES, Score, from_text, read_table, to_text

NUMBERS = st.floats(allow_infinity=False, width=64)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0|"), max_size=20).map(
    str.strip
)


ROWS = st.lists(NUMBERS, min_size=len(VALUES), max_size=len(VALUES))


@settings(max_examples=30)
@given(ROWS, TEXTS, TEXTS)
def test_the_table_reads_back_as_itself(row: list[float], note: str, detail: str) -> None:
    values = dict(zip(VALUES, row, strict=True))
    for name in COUNTS:
        values[name] = 7.0
    written = [
        Score("1", "test", "Ütrecht, NL", "x", values, None, (note, "second") if note else ()),
        Score("2", values=values, problem=Problem(ProblemKind.EMPTY_REFERENCE, detail)),
        Score("3", values=values, official=Official({}, "stopped here"), fingerprint="abc"),
        Score("4", values=values, official=Official(dict.fromkeys(official.PRINTED, row[0]))),
        Score("lost", problem=Problem(ProblemKind.NO_RESULT, detail)),
    ]
    for delimiter in ",\t":
        text = to_text(written, delimiter)
        assert repr(from_text(text, "t")) == repr(written)  # repr: nan is nan


FIVE = "case,dsc,h95_mm,avd_percent,recall,f1\n"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("case,dsc\n1,0.5\n", "without h95_mm"),
        (FIVE + "1,0.5,2,3,0.4,half\n", 'as f1 in line 2 of .*"half"'),
        (FIVE + "1,0.5,inf,3,0.4,0.4\n", "as h95_mm in line 2"),
        (FIVE + "1,0.5,2,3,0.4\n", "as f1"),
        (FIVE + "1,1,1,1,1,1\n1,1,1,1,1,1\n", "once"),
        (FIVE.replace("case", "problem,case") + "lost,1,1,1,1,1,1\n", "known problem"),
        ("", "without case"),
        (FIVE + "1,0.5,2,3,0.4,0.4,5\n", "At most 6 cells.*line 2 of .*7 cells"),
        (FIVE + ",0.5,2,3,0.4,0.4\n", "name of a case .*line 2"),
        (FIVE + '1,0.5,2,3,0.4,"0.4\n', "quotes around whole cells in line 2"),
        (FIVE.strip() + ",DSC\n1,1,1,1,1,1,0\n", "One column called dsc"),
        (FIVE + "x" * 200_000 + ",1,1,1,1,1\n", "field limit"),  # found by the fuzzer
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(errors.TableError, match=match):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t"])
def test_a_table_as_a_spreadsheet_saves_it(tmp_path: Path, name: str) -> None:
    """Semicolons, a byte order mark, quotes, capitals, empty rows, empty cells cut off."""
    names = "Case;DSC;h95_mm;avd_percent;recall;f1;site;notes"
    rows = ['"7";0.5;nan;3;0.4;0.6;"a;b"', ";;;;;;;", "", "8"]
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + "\r\n".join([names, *rows]).encode())
    scored, lost = read_table(tmp_path / name)
    assert (scored.case, scored.site, scored.values["dsc"]) == ("7", "a;b", 0.5)
    assert (lost.case, lost.scored) == ("8", False)


def test_a_table_of_another_program_is_enough(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(FIVE + "7,0.5,nan,3,0.4,0.6\n")
    (found,) = read_table(tmp_path / "t.csv")
    assert (found.case, found.values["f1"]) == ("7", 0.6)
    assert math.isnan(found.values["h95_mm"])
    with pytest.raises(errors.MissingFileError):
        read_table(tmp_path / "nothing.csv")
