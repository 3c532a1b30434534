"""One subject: read ahead, and never at the cost of a file that was given."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from conftest import ROOT, Phantom, with_stroke, write_scan

import wmhseg
from wmhseg import errors
from wmhseg.batch import answers
from wmhseg.batch.summary import (
    COLUMNS,
    DONE,
    FAILED,
    SKIPPED,
    Other,
    Row,
    stored_rows,
    write_summary,
)
from wmhseg.batch.task import SegmenterAhead, Task, done_before, segment_one
from wmhseg.datasets.subjects import Subject
from wmhseg.io import images
from wmhseg.measures import head_size
from wmhseg.measuring import saving
from wmhseg.segmentation import anatomy, pipeline
from wmhseg.segmentation.loading import Loaded
from wmhseg.segmentation.options import Options
from wmhseg.weights.structures import NUMBER


@pytest.fixture(autouse=True)
def _models(use_models: Path) -> None:
    pass


def test_the_next_subject_is_read_ahead_and_once(
    phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (
        Subject(name, write_scan(tmp_path / f"{name}.nii.gz", array, phantom.spacing_mm))
        for name, array in (("one", phantom.flair), ("other", phantom.flair[:, ::-1]))
    )
    read: list[str] = []
    load = pipeline.Segmenter.load

    def recorded(self: pipeline.Segmenter, flair: Path, *rest: Path) -> Loaded:
        read.append(Path(flair).name)
        return load(self, flair, *rest)

    monkeypatch.setattr(pipeline.Segmenter, "load", recorded)
    reader = SegmenterAhead("bright", Options())
    first, second = reader.segment(one, other), reader.segment(other, None)
    assert read == ["one.nii.gz", "other.nii.gz"]
    assert first.mask.any()
    np.testing.assert_array_equal(second.mask, first.mask[:, ::-1])
    # What comes is not what was announced: it is read all the same.
    reader.segment(one, other)
    np.testing.assert_array_equal(reader.segment(one, None).mask, first.mask)


def test_an_output_that_is_an_input_is_refused(phantom: Phantom, tmp_path: Path) -> None:
    flair = write_scan(tmp_path / "s" / "result.nii.gz", phantom.flair, phantom.spacing_mm)
    before = flair.read_bytes()
    task = Task(Subject("s", flair), tmp_path / "s", "bright", Options(), "1f")
    assert segment_one(task).exit_code == errors.UsageError.exit_code
    assert flair.read_bytes() == before


def test_a_subject_that_fails_leaves_no_outdated_mask(tmp_path: Path) -> None:
    (tmp_path / "flair.nii").write_bytes(b"no image")
    subject = Subject("s", tmp_path / "flair.nii")
    task = Task(subject, tmp_path / "s", "bright", Options(), "1f")
    task.folder.mkdir()
    for path in task.stamp.outputs:
        path.touch()
    assert segment_one(task).exit_code == errors.NotNiftiError.exit_code
    assert task.mask.exists()  # nothing says that it is of this program
    task.stamp.write("2e")
    assert segment_one(task).status == "failed"
    assert not task.folder.exists()  # nor an empty folder


def test_a_subject_without_flair(tmp_path: Path) -> None:
    task = Task(Subject("s", None, problem="several"), tmp_path / "s", "bright", Options(), "")
    row = segment_one(task)
    assert (row.subject, row.exit_code) == ("s", errors.MissingFileError.exit_code)
    assert "several" in row.error
    assert not task.folder.exists()


def test_a_worthless_scan_fails(phantom: Phantom, tmp_path: Path) -> None:
    """A table of volumes would hide what is only a warning."""
    path = write_scan(tmp_path / "f.nii.gz", phantom.flair, phantom.spacing_mm)
    twice = Subject("s", path, path)
    row = segment_one(Task(twice, tmp_path / "s", "bright", Options(), "1f"))
    assert (row.status, row.exit_code) == ("failed", errors.UnsuitableScanError.exit_code)
    assert not list((tmp_path / "s").glob("result*"))
    insisting = Options(on_unsuitable="warn")
    row = segment_one(Task(twice, tmp_path / "s", "bright", insisting, "1f"))
    assert row.status == "done"
    assert any("one and the same" in line for line in row.warnings)


def test_the_worthless_scans_of_a_user(shared: Path, tmp_path: Path) -> None:
    folder = shared / "faults" / "28-worthless-input-is-done"
    case = shared / "data" / "cases" / "tabriz-3"
    for name, flair, t1 in (
        ("twice", folder / "F.nii.gz", folder / "F.nii.gz"),
        ("mask", folder / "mask.nii.gz", None),
        ("labels", case / "wmh.nii.gz", None),
        ("exchanged", case / "pre" / "T1.nii.gz", case / "pre" / "FLAIR.nii.gz"),
    ):
        row = segment_one(Task(Subject(name, flair, t1), tmp_path / name, "bright", Options(), ""))
        assert row.exit_code == errors.UnsuitableScanError.exit_code, name


def test_a_page_belongs_to_the_result(phantom: Phantom, tmp_path: Path, no_doubts: None) -> None:
    """As a picture does; its title is the subject's name, by which the group page finds it."""
    flair = write_scan(tmp_path / "f.nii.gz", phantom.flair, phantom.spacing_mm)
    plain = Task(Subject("s <1>", flair), tmp_path / "s", "bright", Options(), "1f")
    paged = replace(plain, page=True)
    assert segment_one(plain).status == "done"
    assert done_before(paged) is None
    assert segment_one(paged).status == "done"
    assert done_before(paged)
    content = (plain.folder / "report.html").read_text("utf-8")
    assert "<h1>s &lt;1&gt;</h1>" in content
    assert 'id="data-probability"' in content
    assert segment_one(replace(plain, method="another")).status == "done"
    assert not (plain.folder / "report.html").exists()


def test_measures_belong_to_the_result(
    phantom: Phantom, anatomy_model: Path, tmp_path: Path, no_doubts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    flair = write_scan(tmp_path / "f.nii.gz", phantom.flair, phantom.spacing_mm)
    with monkeypatch.context() as without:
        without.setattr(anatomy, "installed", lambda: None)
        options = answers.options_for(Options(), measures=True, page=False)
    assert options == Options(members=True)
    plain = Task(Subject("s", flair), tmp_path / "s", "bright", Options(), "1f")
    measured = replace(plain, options=options, measures=True)
    assert segment_one(plain).status == "done"
    assert done_before(measured) is None
    row = segment_one(measured)
    assert row.status == "done", row.error
    assert done_before(measured) == replace(row, status=SKIPPED)
    assert done_before(plain)  # nobody asks for less
    names = {path.name for path in plain.folder.iterdir()}
    mask = {"result.nii.gz", "result.json", "done.json"}
    tables = {"measures.json", "measures.tsv", "lesions.tsv", "curve.tsv", "lesions_dseg.nii.gz"}
    assert names == mask | tables
    told = json.loads((plain.folder / "measures.json").read_text("utf-8"))
    schema = json.loads((ROOT / "wmhseg/data/measures.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(told)
    assert told["total"]["volume_ml"] == row.volume_ml
    # Both networks of the phantom's model mark the lesions, one of them more.
    each = told["uncertainty"]["members"]["each"]
    assert list(each) == ["0", "1"]
    spread = sorted(one["volume_ml"] for one in each.values())
    assert [row.measures["members_lowest_ml"], row.measures["members_highest_ml"]] == spread
    assert told["uncertainty"]["members"]["mean_structural_disagreement"] is not None
    assert "tiv_ml" not in row.measures

    # Once a model of structures is there, what was measured without is not done.
    shutil.copytree(anatomy_model, tmp_path / "models" / anatomy_model.name)
    both = os.pathsep.join([os.environ["WMHSEG_MODELS"], str(tmp_path / "models")])
    monkeypatch.setenv("WMHSEG_MODELS", both)
    options = answers.options_for(Options(), measures=True, page=False)
    assert options.anatomy
    with_structures = replace(measured, options=options)
    assert done_before(with_structures) is None
    row = segment_one(with_structures)
    assert row.status == "done", row.error
    structures = images.read_labels(plain.folder / saving.STRUCTURES)[0]
    white = (structures == NUMBER["white-matter"]).sum() * np.prod(phantom.spacing_mm) / 1000
    assert row.measures["white_matter_ml"] == pytest.approx(white, abs=1e-4)
    # What speaks against measures stands where warnings of a result do.
    (doubt,) = json.loads((plain.folder / "measures.json").read_text("utf-8"))["warnings"]
    assert doubt == head_size.doubt(row.measures["tiv_ml"])
    report = json.loads((plain.folder / "result.json").read_text("utf-8"))
    assert row.warnings[-1] == report["warnings"][-1] == doubt
    paged = segment_one(replace(with_structures, page=True, measures=False, method="paged"))
    assert paged.warnings == row.warnings
    row = segment_one(with_structures)
    assert row.warnings == paged.warnings
    assert done_before(with_structures) == replace(row, status=SKIPPED)
    told = json.loads((plain.folder / "measures.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(told)
    weights = (anatomy_model / "0.safetensors").read_bytes()
    assert told["anatomy_model"] == {
        "name": "anatomy-synthetic", "sha256": hashlib.sha256(weights).hexdigest(),
    }  # fmt: skip
    assert told["files"]["anatomy"] == saving.STRUCTURES

    # Of files it is the same anatomy, by the same network.
    again = wmhseg.measure(flair, plain.folder / "result.nii.gz", anatomy="auto")
    again.save(tmp_path / "again")
    np.testing.assert_array_equal(
        images.read_labels(tmp_path / "again" / saving.STRUCTURES)[0], structures
    )
    same = ("total", "head", "by_anatomy_ml", "places", "anatomy", "anatomy_model", "warnings")
    for what in same:
        assert again.to_dict()[what] == told[what]

    # The table shows what is known of any, and keeps it.
    table = tmp_path / "summary.tsv"
    write_summary(table, [row, Row("without")])
    (stored, without) = stored_rows(table)
    assert (stored.measures, without.measures) == (row.measures, {})

    # Of another scan now, and not asked for: nothing of the first one stays.
    assert segment_one(replace(plain, method="another")).status == "done"
    assert {path.name for path in plain.folder.iterdir()} == mask


def test_measures_cost_nothing_that_was_there(
    phantom: Phantom, tmp_path: Path, no_doubts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files appear together or not at all."""
    flair = write_scan(tmp_path / "f.nii.gz", phantom.flair, phantom.spacing_mm)
    options = Options(members=True)
    task = Task(Subject("s", flair), tmp_path / "s", "bright", options, "1f", measures=True)

    def broken(*_: object, **__: object) -> None:
        raise OSError("no more")

    monkeypatch.setattr(images, "write_mask", broken)
    assert segment_one(task).status == "failed"
    assert not task.folder.exists()


def test_a_picture_belongs_to_the_result(phantom: Phantom, tmp_path: Path, no_doubts: None) -> None:
    """It is written beside the mask, made if it is missing, and never that of an older mask."""
    flair = write_scan(tmp_path / "f.nii.gz", phantom.flair, phantom.spacing_mm)
    plain = Task(Subject("s", flair), tmp_path / "s", "bright", Options(), "1f")
    with_png, with_pdf = (replace(plain, picture=name) for name in ("overlay.png", "overlay.pdf"))

    def held() -> set[str]:
        return {path.name for path in plain.folder.iterdir()}

    files = {"result.nii.gz", "result.json", "done.json"}
    assert segment_one(plain).status == "done"
    assert held() == files
    assert done_before(plain)
    assert done_before(with_png) is None
    assert segment_one(with_png).status == "done"
    assert held() == files | {"overlay.png"}
    assert done_before(with_png)
    assert done_before(plain)
    assert segment_one(with_pdf).status == "done"
    assert held() == files | {"overlay.pdf"}
    assert segment_one(replace(plain, method="another")).status == "done"
    assert held() == files


def test_masks_of_stroke_belong_to_the_result(
    phantom: Phantom, stroke_model: Path, tmp_path: Path, no_doubts: None
) -> None:
    """In the table always; a mask of its own when asked for, never that of an older scan."""
    flair, stroke = with_stroke(phantom)
    given = Subject("s", write_scan(tmp_path / "f.nii.gz", flair, phantom.spacing_mm))
    plain = Task(given, tmp_path / "s", str(stroke_model), Options(), "1f")
    asked = replace(plain, others=("stroke",))

    def held() -> set[str]:
        return {path.name for path in plain.folder.iterdir()}

    files = {"result.nii.gz", "result.json", "done.json"}
    row = segment_one(plain)
    assert row.others == {"stroke": Other(pytest.approx(18 * 0.0027, abs=1e-4), 1)}
    assert held() == files
    assert done_before(asked) is None
    assert segment_one(asked).others == row.others
    assert held() == files | {"stroke.nii.gz"}
    mask, _ = images.read_labels(tmp_path / "s" / "stroke.nii.gz")
    stroke[:2] = False
    np.testing.assert_array_equal(mask, stroke)
    again = done_before(asked)
    assert again is not None
    assert again.others == row.others
    # What somebody else put there stays; what is of the older result goes.
    (tmp_path / "s" / "other.nii.gz").touch()
    assert segment_one(replace(plain, method="another")).status == "done"
    assert held() == files | {"other.nii.gz"}


def test_columns_of_other_labels_come_and_stay(tmp_path: Path) -> None:
    """Whichever of the runs knew of them."""
    path = tmp_path / "summary.tsv"
    one, two = Row("a", FAILED), Row("b", DONE, 1.5, 2, others={"stroke": Other(3.25, 1)})
    write_summary(path, [one])
    plain = path.read_text().splitlines()
    assert plain[0].split("\t") == list(COLUMNS)
    write_summary(path, [two])
    write_summary(path, [Row("c", others={"tumour": Other(0.0, 0)})])
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    more = ["stroke_volume_ml", "stroke_lesion_count", "tumour_volume_ml", "tumour_lesion_count"]
    assert lines[0] == [*COLUMNS, *more]
    ends = {line[0]: line[-4:] for line in lines[1:]}
    assert ends == {
        "a": ["n/a"] * 4,
        "b": ["3.25", "1", "n/a", "n/a"],
        "c": ["n/a", "n/a", "0.0", "0"],
    }
    assert "\t".join(next(line for line in lines if line[0] == "a")[:-4]) == plain[1]
