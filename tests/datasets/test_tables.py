"""Tables as people save them: marks of byte order, quotes, lines that are too short."""

from __future__ import annotations

from pathlib import Path

import pytest

from wmhseg import errors
from wmhseg.datasets import tables
from wmhseg.datasets.bids import read_participants
from wmhseg.datasets.tables import read_table


def saved(folder: Path, content: bytes, name: str = "t.tsv") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_rows_by_name(tmp_path: Path, end: bytes, lenient: bool) -> None:
    lines = ["\ufeffname\tnote".encode(), "Grö\t1,5".encode(), b"", b'b\t"a\tb"']
    table = read_table(saved(tmp_path, end.join(lines)), lenient=lenient)
    assert table.columns == ("name", "note")
    assert table.rows == ({"name": "Grö", "note": "1,5"}, {"name": "b", "note": "a\tb"})


def test_commas_by_the_name_of_the_file(tmp_path: Path) -> None:
    table = read_table(saved(tmp_path, b'a,b\n"x,y",2\n', "t.CSV"))
    assert table.rows == ({"a": "x,y", "b": "2"},)
    assert "separated by commas" in str(table.lacking("c"))
    assert "separated by tabs" in str(read_table(saved(tmp_path, b"a,b\n")).lacking("c", "d"))
    marked = read_table(saved(tmp_path, b"a;b\n", "t.csv"))
    assert "separated by semicolons" in str(marked.lacking("c"))


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt"])
def test_semicolons_as_spreadsheets_write_them(tmp_path: Path, name: str) -> None:
    table = read_table(saved(tmp_path, b'\xef\xbb\xbfa;b\r\n"x;y";1,5\r\n', name))
    assert table.rows == ({"a": "x;y", "b": "1,5"},)


def test_commas_where_the_name_says_nothing(tmp_path: Path) -> None:
    for name in ("t.txt", "t"):
        assert read_table(saved(tmp_path, b"a,b\n1,2\n", name)).rows == ({"a": "1", "b": "2"},)
        assert read_table(saved(tmp_path, b"a,x,y\tb\n1\t2\n", name)).columns == ("a,x,y", "b")
    assert read_table(saved(tmp_path, b"a,b\n1,2\n", "t.tsv")).columns == ("a,b",)


def test_columns_by_name(tmp_path: Path) -> None:
    table = read_table(saved(tmp_path, b" Case\tx\tX\n1\t2\n"))
    assert table.named("case", "patient") == {"case": " Case"}
    assert table.where(0) == f"line 2 of {tmp_path / 't.tsv'}"
    with pytest.raises(errors.TableError, match="One column called x"):
        table.named("x")


def test_rows_that_are_short_or_empty(tmp_path: Path) -> None:
    content = b"\n,,\na,b,c\n1\n,,\n , \n\n2,x,y,,\n"
    table = read_table(saved(tmp_path, content, "t.csv"))
    assert table.rows == ({"a": "1", "b": "", "c": ""}, {"a": "2", "b": "x", "c": "y"})
    assert table.lines == (4, 8)


def test_an_empty_file_has_no_columns(tmp_path: Path) -> None:
    table = read_table(saved(tmp_path, b""))
    assert (table.columns, table.rows) == ((), ())
    assert "an empty file" in str(table.lacking("a"))


@pytest.mark.parametrize(
    ("content", "row"),
    [
        (b"a\tb\n1\t2\t3\n", {"a": "1", "b": "2"}),
        (b"a\tb\n1\t\xff\n", {"a": "1", "b": "\ufffd"}),
        (b'a\tb\n1\t"x\n', {"a": "1", "b": "x\n"}),
    ],
)
def test_what_is_odd_is_refused_or_put_up_with(
    tmp_path: Path, content: bytes, row: dict[str, str]
) -> None:
    path = saved(tmp_path, content)
    with pytest.raises(errors.TableError, match=r"t\.tsv"):
        read_table(path)
    assert read_table(path, lenient=True).rows == (row,)


def test_the_line_that_is_wrong_is_named(tmp_path: Path) -> None:
    long = saved(tmp_path, b"a\tb\n\n1\t2\n1\t2\t3\n")
    with pytest.raises(errors.TableError, match=r"2 cells, .* a, b, .* line 4 of .*: 3 cells"):
        read_table(long)
    with pytest.raises(errors.TableError, match="line 2"):
        read_table(saved(tmp_path, b'a\tb\n1\t"x\n'))


def test_what_is_far_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_MAX_BYTES", 8)
    assert read_table(saved(tmp_path, b"a\n123456")).rows == ({"a": "123456"},)
    for lenient in (False, True):
        with pytest.raises(errors.TableError, match="more than 8 bytes"):
            read_table(saved(tmp_path, b"a\n1234567"), lenient=lenient)
        with pytest.raises(errors.UnreadableFileError):
            read_table(tmp_path, lenient=lenient)


def test_people_by_their_id(tmp_path: Path) -> None:
    path = saved(tmp_path, b"participant_id\tsite\nsub-1\tOslo\n\tRome\nsub-2\n")
    assert read_participants(path) == {
        "sub-1": {"participant_id": "sub-1", "site": "Oslo"},
        "sub-2": {"participant_id": "sub-2", "site": ""},
    }
