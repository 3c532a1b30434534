"""Dealing subjects out, and the table that is made of what many shards have written."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from batch_work import stamped
from hypothesis import given
from hypothesis import strategies as some
from nifti_files import failing

from wmhseg import errors
from wmhseg.batch import collect, parts, shards
from wmhseg.batch import run as batch_run
from wmhseg.batch.run import BatchOptions
from wmhseg.batch.shards import Shard
from wmhseg.batch.summary import Row
from wmhseg.batch.task import Task
from wmhseg.datasets.subjects import Subject
from wmhseg.segmentation.options import Options

NAMES = some.lists(some.text(min_size=1, max_size=8), unique=True, max_size=60)


def people(*names: str) -> list[Subject]:
    return [Subject(name, Path("f")) for name in names]


def names_of(subjects: list[Subject]) -> list[str]:
    return [subject.name for subject in subjects]


# Dealing ----------------------------------------------------------------------------------------


@given(NAMES, some.integers(1, 70))
def test_everybody_is_in_one_shard_and_shards_are_of_one_size(names: list[str], count: int) -> None:
    dealt = [names_of(shards.deal(people(*names), Shard(n + 1, count))) for n in range(count)]
    assert sorted(name for some in dealt for name in some) == sorted(names)
    sizes = [len(some) for some in dealt]
    assert max(sizes) - min(sizes) <= 1


@given(NAMES, some.randoms(use_true_random=False))
def test_the_order_of_the_table_decides_nothing(names: list[str], order: object) -> None:
    mixed = list(names)
    order.shuffle(mixed)  # type: ignore[attr-defined]
    for shard in (Shard(1, 3), Shard(3, 3)):
        one = names_of(shards.deal(people(*names), shard))
        assert set(one) == set(names_of(shards.deal(people(*mixed), shard)))
        assert one == [name for name in names if name in one]  # as the table has them


def test_dealt_as_on_every_machine() -> None:
    """By SHA-256 of the names: a 961b6d, b 3e23e8, c 2e7d2c, d 18ac3e, e 3f79bb (hexadecimal)."""
    # Sorted: d, c, b, e, a (ca978112 is a's).
    dealt = [names_of(shards.deal(people(*"abcde"), Shard(n, 2))) for n in (1, 2)]
    assert dealt == [["a", "b", "d"], ["c", "e"]]


# What is asked for --------------------------------------------------------------------------------


def slurm(
    task: object, lowest: object = 1, highest: object = 8, count: object = 8
) -> dict[str, str]:
    values = {"ID": task, "MIN": lowest, "MAX": highest, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


def test_the_shard_that_is_asked_for() -> None:
    assert shards.parse("3/8", {}) == Shard(3, 8)
    assert shards.parse("slurm", slurm(3)) == Shard(3, 8)
    # Two tasks that run again: the array says 2, the user knows that there were 8.
    assert shards.parse("slurm/8", slurm(3, 3, 7, 2)) == Shard(3, 8)
    assert shards.parse("3/8", slurm(5)) == Shard(3, 8)


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        ("0/8", {}, "0/8"),
        ("9/8", {}, "9/8"),
        ("1", {}, '"1"'),
        ("1/0", {}, "1/0"),
        ("-1/8", {}, '"-1/8"'),
        ("a/b", {}, '"a/b"'),
        ("1/8/2", {}, '"1/8/2"'),
        ("slurm", {}, "no SLURM_ARRAY_TASK_ID"),
        ("slurm/8", {}, "no SLURM_ARRAY_TASK_ID"),
        ("slurm/x", slurm(1), '"slurm/x"'),
        ("slurm/8", slurm(0, 0, 7), "0/8"),
        ("slurm", slurm(0, 0, 7), "tasks 0 to 7, 8 in all"),
        ("slurm", slurm(7, 7, 7, 1), "--shard slurm/N"),
        ("slurm", slurm(3, 1, 15), "tasks 1 to 15, 8 in all"),
    ],
)
def test_what_is_no_shard(text: str, environment: dict[str, str], said: str) -> None:
    assert said in failing(errors.UsageError, shards.parse, text, environment)


# Running and collecting ---------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path, use_models: Path) -> list[Subject]:
    found = []
    for name in ("s1", "s2", "s3", "s4", "bad1", "bad2"):
        (tmp_path / f"{name}.nii").write_bytes(name.encode())
        found.append(Subject(name, tmp_path / f"{name}.nii"))
    return found


def run(data: list[Subject], out: Path, number: int, count: int = 2) -> list[Row]:
    options = BatchOptions("bright", shard=Shard(number, count))
    return batch_run.run(data, out, options, work=stamped)


def table(out: Path) -> dict[str, dict[str, str]]:
    with (out / "summary.tsv").open(newline="") as file:
        return {row["subject"]: row for row in csv.DictReader(file, delimiter="\t")}


def test_shards_write_parts_and_collect_the_table(data: list[Subject], tmp_path: Path) -> None:
    out, options = tmp_path / "out", BatchOptions("bright")
    first = run(data, out, 1)
    assert not (out / "summary.tsv").exists()
    found = collect.collect(data, out, options)
    assert [str(shard) for shard in found.unfinished] == ["2/2"]
    assert [row.subject for row in found.rows] == names_of(data)
    status = {row.subject: row.status for row in found.rows}
    told = {row.subject: row.status for row in first}
    assert status == {name: told.get(name, "not run") for name in status}
    second = run(data, out, 2)
    found = collect.collect(data, out, options)
    assert found.unfinished == []
    assert {r.subject for r in first} | {r.subject for r in second} == set(names_of(data))
    assert {name: row["status"] for name, row in table(out).items()} == {
        s.name: "failed" if s.name.startswith("bad") else "done" for s in data
    }
    assert table(out)["bad1"]["error"] == "not NIfTI"
    assert table(out)["s1"]["volume_ml"] == "1.5"


def test_collect_names_what_is_of_other_scans_or_options(
    data: list[Subject], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(data, out, 1, 1)
    (tmp_path / "s2.nii").write_bytes(b"another scan")
    (tmp_path / "s3.nii").touch()  # the same scan, with another time
    rows = {r.subject: r for r in collect.collect(data, out, BatchOptions("bright")).rows}
    assert {name: row.status for name, row in rows.items()} == {
        "s1": "done", "s2": "outdated", "s3": "done", "s4": "done",
        "bad1": "failed", "bad2": "failed",
    }  # fmt: skip
    assert "other scans" in rows["s2"].error
    assert rows["s2"].volume_ml is None
    assert table(out)["s2"]["volume_ml"] == "n/a"
    other = BatchOptions("bright", Options(threshold=0.7))
    rows = {r.subject: r for r in collect.collect(data, out, other).rows}
    assert {row.status for name, row in rows.items() if name[0] == "s"} == {"outdated"}
    assert "other options" in rows["s1"].error


def test_what_of_the_method_was_another_is_named(tmp_path: Path) -> None:
    """As far as a result says it: older versions did not write the reader."""
    task = Task(
        Subject("s", tmp_path / "f.nii"), tmp_path / "s", str(tmp_path / "bright"),
        Options(reader="sparing"), "m",
    )  # fmt: skip
    for told, why in (
        ({"model": "dark"}, "with model dark, not with model bright"),
        ({"model": "bright", "reader": "balanced"}, "with reader balanced, not with reader spar"),
        (
            {"model": "dark", "reader": "generous"},
            "with model dark and reader generous, not with m",
        ),
        ({"model": "bright", "reader": "sparing"}, "with other options or another version"),
        ({}, "with other options or another version"),
    ):
        assert collect._other_method(task, told).startswith(f"the result was made {why}")


def test_a_shard_without_subjects(data: list[Subject], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert [len(run(data[:2], out, n, 3)) for n in (1, 2, 3)] == [1, 1, 0]
    assert collect.collect(data[:2], out, BatchOptions("bright")).unfinished == []


def test_a_part_that_was_cut_short_costs_its_last_line(data: list[Subject], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(data, out, 1, 1)
    (part,) = parts.folder_in(out).glob("*.jsonl")
    whole = part.read_bytes()
    lines = [json.loads(line) for line in whole.splitlines()]
    assert lines[0]["shard"] == [1, 1]
    assert lines[-1]["end"] == "complete"
    assert [line["row"]["subject"] for line in lines[1:-1]] == names_of(data)
    for cut in range(len(whole)):
        part.write_bytes(whole[:cut])
        found = parts.read(out)
        assert list(found.rows) == names_of(data)[: max(0, whole[:cut].count(b"\n") - 1)]
        assert cut == 0 or found.unfinished == [] or found.unfinished == [Shard(1, 1)]
    part.write_bytes(whole)
    assert parts.read(out).unfinished == []
