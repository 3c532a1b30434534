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
        (FIVE + "1,0.5,2,3,0.4,half\n", 'line 2: .* as f1.*"half"'),
        (FIVE + "1,0.5,inf,3,0.4,0.4\n", "line 2: .* as h95_mm"),
        (FIVE + "1,0.5,2,3,0.4\n", "as f1"),
        (FIVE + "1,1,1,1,1,1\n1,1,1,1,1,1\n", "once"),
        (FIVE.replace("case", "problem,case") + "lost,1,1,1,1,1,1\n", "known problem"),
        ("", "without case"),
        (FIVE + "x" * 200_000 + ",1,1,1,1,1\n", "field limit"),  # found by the fuzzer
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(errors.TableError, match=match):
        read_table(tmp_path / "t.csv")


def test_a_table_of_another_program_is_enough(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(FIVE + "7,0.5,nan,3,0.4,0.6\n")
    (found,) = read_table(tmp_path / "t.csv")
    assert (found.case, found.values["f1"]) == ("7", 0.6)
    assert math.isnan(found.values["h95_mm"])
    with pytest.raises(errors.MissingFileError):
        read_table(tmp_path / "nothing.csv")
