"""Tables name subjects; what is no table is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from wmhseg import errors
from wmhseg.batch import run as batch_run
from wmhseg.datasets import tables
from wmhseg.datasets.subjects import Subject


@pytest.mark.parametrize(("suffix", "mark"), [("tsv", "\t"), ("csv", ","), ("txt", "\t")])
def test_a_table_of_subjects(tmp_path: Path, suffix: str, mark: str) -> None:
    lines = [("flair", "Subject", "t1", "note"), ("a/F.nii", "s1", "a/T.nii", "x"),
             ("/b/F.nii", "s2", "n/a", ""), ("", "s3", "", "")]  # fmt: skip
    table = tmp_path / f"t.{suffix}"
    table.write_text("\ufeff" + "\n".join(mark.join(line) for line in lines))
    found = tables.read_subjects(table)
    assert found[0] == Subject("s1", tmp_path / "a/F.nii", tmp_path / "a/T.nii")
    assert found[1] == Subject("s2", Path("/b/F.nii"), None)
    assert found[2].flair is None
    assert found[2].problem


@pytest.mark.parametrize(
    "content",
    [b"", b"subject\ta\ns1\tb\n", b"subject,flair\ns1,f\n", b"subject\tflair\ns1\n",
     b"subject\tflair\ns1\tf\tg\th\n", b"subject\tflair\n\xff\xfe\t\x00\n", b'subject\tflair\n"'],
)  # fmt: skip
def test_what_is_no_table(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.tsv").write_bytes(content)
    with pytest.raises((errors.TableError, errors.NoCasesError)):
        batch_run.check_names(tables.read_subjects(tmp_path / "t.tsv"))
    with pytest.raises(errors.MissingFileError):
        tables.read_subjects(tmp_path / "none.tsv")
