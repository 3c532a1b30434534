"""One scan of the BIDS App, in this process: other labels, names, and what a failure leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import box_brain
import numpy as np
import pytest
import SimpleITK as sitk
from conftest import Phantom, with_stroke, write_scan
from hypothesis import given
from hypothesis import strategies as st

from wmhseg.batch.summary import DONE, FAILED
from wmhseg.batch.task import done_before, segment_one
from wmhseg.bids_app import description
from wmhseg.bids_app.measures import LESION_COLUMNS, Lesions, lesions_of
from wmhseg.bids_app.names import Places, entities_of, results_below
from wmhseg.bids_app.task import DerivativesTask
from wmhseg.datasets.bids import parse
from wmhseg.datasets.subjects import Subject
from wmhseg.geometry import Grid
from wmhseg.io.images import Scan
from wmhseg.measuring import measure
from wmhseg.measuring.scene import Scene
from wmhseg.segmentation.options import Options

WARN = Options(threads=1, on_unsuitable="warn")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_other_labels_are_derivatives_too_and_go_with_the_rest(
    phantom: Phantom, stroke_model: Path, tmp_path: Path
) -> None:
    bright, stroke = with_stroke(phantom)
    scan = tmp_path / "study" / "sub-1" / "anat" / "sub-1_chunk-2_FLAIR.nii.gz"
    write_scan(scan, bright, phantom.spacing_mm)
    subject = Subject("sub-1_chunk-2", scan, notes=("A note.",))
    folder = tmp_path / "out" / "logs" / subject.name
    task = DerivativesTask(
        subject, folder, str(stroke_model), WARN, "1f", "overlay.png", others=("stroke",)
    )
    row = segment_one(task)
    assert row.status == DONE, row.error
    assert row.warnings[0] == "A note."
    anat = tmp_path / "out" / "sub-1" / "anat"
    stem = "sub-1_space-orig_chunk-2_label-stroke_desc-stroke_mask"
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(anat / f"{stem}.nii.gz")))
    expected = stroke.copy()
    expected[:2] = False  # end slices
    np.testing.assert_array_equal(mask, expected)
    told = json.loads((anat / f"{stem}.json").read_text())
    assert told["Sources"] == ["bids:raw:sub-1/anat/sub-1_chunk-2_FLAIR.nii.gz"]
    assert "Mask of stroke" in told["Description"]
    assert [name for name, _ in results_below(tmp_path / "out")] == ["sub-1_chunk-2"]
    assert len(files(anat)) == 10
    assert not (anat / "sub-1_space-orig_chunk-2_desc-anatomy_dseg.tsv").exists()
    assert done_before(task) is not None
    (anat / f"{stem}.json").unlink()
    assert done_before(task) is None

    # Outdated, and now without stroke and picture: nothing of the first result stays.
    assert segment_one(task).status == DONE
    scan.write_bytes(b"no image")
    plain = replace(task, picture="", others=())
    assert segment_one(plain).status == FAILED
    assert files(tmp_path / "out") == set()
    assert not (tmp_path / "out" / "sub-1").exists()


@pytest.mark.usefixtures("use_anatomy")
@pytest.mark.parametrize("structures", [True, False])
def test_measures_name_the_files_beside_them(
    phantom: Phantom, tmp_path: Path, structures: bool
) -> None:
    scan = tmp_path / "study" / "sub-1" / "anat" / "sub-1_FLAIR.nii.gz"
    write_scan(scan, phantom.flair, phantom.spacing_mm)
    folder = tmp_path / "out" / "logs" / "sub-1"
    options = replace(WARN, anatomy=structures)
    task = DerivativesTask(Subject("sub-1", scan), folder, "bright-flair", options, "1f")
    row = segment_one(task)
    assert row.status == DONE, row.error
    named = json.loads((folder / "measures.json").read_text("utf-8"))["files"]
    always = {"scan", "curve", "lesions", "lesion_map"}
    assert set(named) == always | ({"anatomy"} if structures else set())
    assert {(folder / path).resolve() for path in named.values()} < {
        path.resolve() for path in (tmp_path / "out").rglob("*")
    }
    if structures:
        assert (folder / named["anatomy"]).resolve() == task.places.structures.resolve()


def test_all_files_of_a_result_appear_or_none(
    phantom: Phantom, models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = tmp_path / "study" / "sub-1" / "anat" / "sub-1_FLAIR.nii.gz"
    write_scan(scan, phantom.flair, phantom.spacing_mm)
    folder = tmp_path / "out" / "logs" / "sub-1"
    model = str(models_folder / "bright-flair")
    task = DerivativesTask(Subject("sub-1", scan), folder, model, WARN, "1f")

    def broken(*_: object) -> None:
        raise OSError("the last file cannot be written")

    monkeypatch.setattr("wmhseg.bids_app.tables.write_table", broken)
    row = segment_one(task)
    assert (row.status, "the last file" in row.error) == (FAILED, True)
    assert files(tmp_path / "out") == set()


def test_lesions_are_numbered_by_size_on_the_scan_s_own_axes() -> None:
    grid = Grid((3, 8, 8), (5.0, 10.0, 10.0), direction=(-1, 0, 0, 0, 1, 0, 0, 0, -1))
    mask = np.zeros(grid.shape, np.uint8)

    def lesions() -> Lesions:
        scene = Scene(Scan(np.zeros(grid.shape, np.float32), grid, "FLAIR"), mask)
        return lesions_of(measure.measure(scene, brain=box_brain.in_brain(grid)))

    mask[0, 0, 0] = 1
    mask[1, 4:7, 4] = mask[2, 7, 5] = 1  # joined by a corner
    mask[0, 0, 4:6] = 1
    found = lesions()
    assert [row["volume_ml"] for row in found.rows] == [2.0, 1.0, 0.5]
    assert (found.labels[2, 7, 5], found.labels[0, 0, 4], found.labels[0, 0, 0]) == (1, 2, 3)
    assert all(list(row)[:3] == ["index", "name", "mapping"] for row in found.rows)
    assert set(LESION_COLUMNS) < set(found.rows[0])
    mask[:] = 0
    none = lesions()
    assert (none.rows, none.labels.any()) == ((), False)


LABEL = st.text("abcXYZ019", min_size=1, max_size=4)


@given(LABEL, st.dictionaries(st.sampled_from(["ses", "acq", "ce", "rec", "run", "chunk"]), LABEL))
def test_names_are_of_bids_and_lead_back_to_the_scan(label: str, entities: dict[str, str]) -> None:
    order = ("ses", "acq", "ce", "rec", "run", "chunk")
    scan = "_".join([f"sub-{label}", *(f"{k}-{entities[k]}" for k in order if k in entities)])
    places = Places(Path("out"), scan)
    names = [places.mask, places.probability, places.lesions, places.scans_table]
    assert len({path.name for path in names}) == 4
    for path in names[:3]:
        found = parse(path.name.removesuffix(".nii.gz"))
        assert found is not None
        kept = {k: v for k, v in found.entities.items() if k not in ("space", "label", "desc")}
        assert kept == entities_of(scan)
        assert found.entities["space"] == "orig"
        assert path.parent.name == "anat"


def test_links_lead_from_the_derivatives_to_the_data_set(
    models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative within the data set, so that it may be moved as a whole."""
    monkeypatch.delenv("WMHSEG_IMAGE", raising=False)
    monkeypatch.setenv("APPTAINER_NAME", "wmhseg.sif")
    data = tmp_path / "a study"
    inside, beside = data / "derivatives" / "wmhseg", tmp_path / "out"
    links = []
    for output in (inside, beside):
        description.check_output(data, output)
        description.write(data, output, {}, ["A. Author"], ("stroke",))
        description.check_output(data, output)  # its own may be written to again
        told = json.loads((output / "dataset_description.json").read_text())
        links.append(told["DatasetLinks"]["raw"])
        assert told["GeneratedBy"][0]["Container"] == {"Type": "apptainer", "Tag": "wmhseg.sif"}
    assert links == ["../../", (tmp_path / "a study").as_uri()]
    assert (inside / links[0]).resolve() == data
    assert "desc-stroke\tStroke," in (inside / "descriptions.tsv").read_text()
