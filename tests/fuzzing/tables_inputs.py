"""Tables: subjects, patients, participants, scores; made by hand, by spreadsheets, by nobody."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from pathlib import Path

from wmhseg.datasets import bids, subjects, tables
from wmhseg.datasets.cases import Case
from wmhseg.errors import WmhsegError
from wmhseg.scoring import table
from wmhseg.training import journal
from wmhseg.training.batches import split

from . import damage, ends
from .targets import Files, Target

_COLUMNS = {
    "subjects": ("subject", "flair", "t1"),
    "patients": ("case", "patient"),
    "participants": ("participant_id", "age", "site"),
    "scores": ("case", "dsc", "h95_mm", "avd_percent", "recall", "f1", "problem", "notes", "detail",
               "official_dsc", "official_stopped"),
    "log": ("step", "loss"),
}  # fmt: skip
_CELLS = ("a", "b", "1", "0.5", "nan", "inf", "-1e999", "n/a", "", " ", '"', 'a"b', "a,b", "a;b",
          "a\tb", "a\nb", "\0", "é", "\ufeff", "../x", "x" * 300, "1_0", "\u0661", "FLAIR.nii.gz",
          "sub-01", "missing FLAIR", "\u2028", "\x1f", "\r", "a\0b")  # fmt: skip


def _written(rows: Sequence[Sequence[str]], mark: str, end: str = "\n") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=mark, lineterminator=end).writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def _rows(kind: str) -> list[tuple[str, ...]]:
    columns = _COLUMNS[kind]
    return [
        columns,
        *(tuple(_cell(column, at) for column in columns) for at in range(1, 4)),
    ]


def _cell(column: str, at: int) -> str:
    """What stands in a good table."""
    if column in ("flair", "t1"):
        return ("FLAIR.nii.gz", "T1.nii.gz", "n/a")[(at + len(column)) % 3]
    if column == "problem":
        return ("", "not segmented", "empty reference")[at - 1]
    return "a | b" if column in ("notes", "official_stopped") else str(at)


def _corpus() -> list[Files]:
    made: list[Files] = []
    for kind in _COLUMNS:
        for mark in ",;\t":
            content = _written(_rows(kind), mark, "\r\n" if mark == ";" else "\n")
            for name in ("table.csv", "table.tsv"):
                made += [{name: content}, {name: b"\xef\xbb\xbf" + content}]
    odd = [b"", b"\n\n", b"subject,flair\n\xff\xfe,a\n", b'subject,flair\n"a,b\n', b"a,b\nc,d,e\n",
           b"subject,subject\na,b\n", b"subject,flair\n,x\n", b"case,patient\n", b"\0",
           b"case,dsc\n" + b"x" * 200_000, b'case,patient\n"' + b"x," * 90_000]  # fmt: skip
    return [*made, *({"table.csv": content} for content in (*odd, *damage.POINTERS))]


def _damaged(rng: random.Random, corpus: Sequence[Files]) -> Files:
    if rng.random() < 0.5:
        name, content = next(iter(rng.choice(corpus).items()))
        content = bytes(damage.several(rng, content, (*damage.ANY[:-1], damage.pointer)))
    else:
        name = rng.choice(("table.csv", "table.tsv", "table.txt", "TABLE.CSV", "table"))
        rows = [list(row) for row in _rows(rng.choice(list(_COLUMNS)))]
        for _ in range(rng.randint(1, 6)):
            row = rng.choice(rows) if rows else []
            at = rng.randrange(len(row) + 1)
            row[at : at + rng.randint(0, 2)] = rng.choices(_CELLS, k=rng.randint(0, 2))
        if rng.random() < 0.1:
            rng.shuffle(rows)
        content = _written(rows, rng.choice(",;\t"), rng.choice(("\n", "\r\n", "\r", "\n\n")))
    odd = rng.randrange(40)
    if odd == 0:
        content = content.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-32")))
    elif odd == 1:
        content = content.replace(b"1", b"x" * (1 << rng.randint(8, 18)), 1)
    elif odd == 2:
        content = content.replace(b"1", b'"', 1) + b"y,\n" * (1 << rng.randint(4, 11))
    elif odd in (3, 4):
        content = b"\xef\xbb\xbf" + content
    elif odd == 5:
        content = content.split(b"\n")[0] + b"," + b"c," * (1 << rng.randint(2, 15)) + content
    made = {name: content}
    if rng.random() < 0.2:
        made["FLAIR.nii.gz"] = rng.choice((*damage.POINTERS, b"\x1f\x8b"))
    return made


def _read(folder: Path, given: Files) -> None:
    """Each reader of tables; what the plain one, which comes last, says is how it ended."""
    path = folder / next(iter(given))
    cases = [Case(str(number)) for number in (1, 2)]
    error: WmhsegError | None = None

    def log() -> None:
        assert all(isinstance(row["step"], str) for row in journal.read(path) if "step" in row)

    def scores() -> None:
        read = table.read_table(path)
        assert len(table.from_text(table.to_text(read), "again")) == len(read)

    for read in (
        lambda: tables.read_table(path, lenient=True),
        lambda: bids.read_participants(path),
        lambda: [subjects.why_not(one) for one in subjects.read_subjects(path)],
        lambda: split.with_patients(cases, path),
        log,
        scores,
        lambda: ends.check_error(tables.read_table(path).lacking("a")),
    ):
        error = None
        try:
            read()
        except WmhsegError as raised:
            error = raised
            ends.check_error(raised)
    if error is not None:
        raise error


def make() -> Target:
    modules = ("wmhseg.datasets.tables", "wmhseg.datasets.subjects", "wmhseg.scoring.table",
               "wmhseg.training.batches.split", "wmhseg.training.journal")  # fmt: skip
    return Target("tables", _corpus(), _damaged, _read, modules)
