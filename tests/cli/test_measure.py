"""The command measure: which files, what is printed, and what is refused."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import box_brain
import jsonschema
import numpy as np
import pytest
from nifti_files import nifti1, saved
from placed_brain import SHAPE, SPACING, known, scan_of

from wmhseg import errors
from wmhseg.cli.main import main
from wmhseg.geometry import Grid, Turn
from wmhseg.io import forms, images, nifti, volume_files
from wmhseg.measuring import content, measure, saving, space

GRID = box_brain.grid((3.0, 1.0, 0.5))
FLAIR = np.random.default_rng(0).random(box_brain.SHAPE).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A box brain, which is found nowhere in the average one, with all that could be known."""

    def nowhere(*_: object) -> None:
        raise errors.RegistrationError("A head was expected", received="boxes")

    monkeypatch.setattr(space, "find", nowhere)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.tsv").write_text("index\tname\n1\tfront\n2\tback\n", "utf-8")
    parts = np.ones(box_brain.SHAPE, np.int16)
    parts[:, 20:] = 2
    mask = box_brain.mask()
    volumes = {
        "flair": FLAIR,
        "mask": mask,
        "p": np.where(mask, np.float32(0.8), np.float32(0.1)),
        "m": np.where(mask, np.float32(0.6), np.float32(0)),
        "anatomy": box_brain.anatomy(),
        "atlas": parts,
        "exclude": (np.indices(mask.shape)[1] > 31).astype(np.uint8),
    }
    for name, volume in volumes.items():
        volume_files.write_volume(tmp_path / f"{name}.nii", volume, GRID)
    return tmp_path


BARE = ("measure", "--flair", "flair.nii", "--mask", "mask.nii", "--output", "out")
ALL = (
    *BARE, "--probability", "p.nii", "--members", "p.nii", "m.nii", "--anatomy", "anatomy.nii",
    "--atlas", "atlas.nii", "--atlas-labels", "names.tsv", "--exclude", "exclude.nii",
)  # fmt: skip


def written(folder: Path) -> set[str]:
    return {path.name for path in (folder / "out").iterdir()}


def read_report(folder: Path) -> Any:
    """The report, which is as its schema describes it."""
    schema = json.loads((resources.files("wmhseg") / "data" / "measures.schema.json").read_text())
    told = json.loads((folder / "out" / "measures.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(told, schema)
    return told


def rows(path: Path) -> list[dict[str, str]]:
    names, *lines = (line.split("\t") for line in path.read_text("utf-8").splitlines())
    return [dict(zip(names, line, strict=True)) for line in lines]


def test_all_that_is_known_is_measured(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ALL, "--threshold", "0.7"]) == 0
    printed = capsys.readouterr()
    assert "WMH volume   0.131 ml" not in printed.out
    told = read_report(folder)
    # Rows from 32 do not count: half of the box of 16 voxels there.
    volume = (95 - 8) * 1.5 / 1000
    assert told["total"]["volume_ml"] == pytest.approx(volume)
    assert told["excluded"]["marked_ml"] == pytest.approx(0.012)
    assert told["excluded"]["lesions_cut"] == 1
    assert told["uncertainty"]["members"]["each"]["m.nii"]["volume_ml"] == 0
    assert told["regions"][1]["name"] == "front"
    assert told["atlas"] == {"file": "atlas.nii", "space": "flair"}
    assert told["anatomy"] == "anatomy.nii"
    assert told["inputs"]["mask"]["path"] == "mask.nii"
    assert len(told["inputs"]["FLAIR"]["sha256"]) == 64
    assert told["command"].startswith("wmhseg measure --flair flair.nii")
    assert told["left_out"] == [next(s for s in told["left_out"] if measure.NO_PLACE in s)]
    assert written(folder) == {"measures.json", *told["files"].values()}
    assert set(told["files"]) == {"scan", "lesions", "lesion_map", "curve", "regions"}
    (scan,) = rows(folder / "out" / "measures.tsv")
    assert float(scan["volume_ml"]) == pytest.approx(volume)
    assert scan["fazekas_deep_estimate"] == str(told["fazekas_estimate"]["by_size"]["deep"])
    lesions = rows(folder / "out" / "lesions.tsv")
    assert [row["lesion"] for row in lesions] == [str(n) for n in range(1, 8)]
    assert [float(row["volume_ml"]) for row in lesions] == [
        one["volume_ml"] for one in told["lesions"]
    ]
    curve = rows(folder / "out" / "curve.tsv")
    assert [row["threshold"] for row in curve[:2]] == ["0.05", "0.1"]
    assert float(curve[9]["volume_ml"]) == pytest.approx(volume)
    regions = rows(folder / "out" / "regions.tsv")
    assert sum(float(row["wmh_ml"]) for row in regions) == pytest.approx(volume)
    assert "Fazekas      estimate: periventricular" in printed.out
    assert "region       front: " in printed.out
    assert "written      out" in printed.out
    # The boxes are a head of 44 ml, which is told once.
    (warned,) = told["warnings"]
    assert warned.startswith("The anatomy holds an intracranial volume of 44 ml")
    assert printed.err.count(warned) == 1


def test_the_map_of_lesions_has_the_forms_of_flair(folder: Path) -> None:
    """Stored in another order of axes, as some scanners do: each lesion keeps its number."""
    turn = Turn(GRID, (2, 0, 1), (True, False, True))
    array = np.ascontiguousarray(turn.forward(FLAIR))
    body = array.astype("<f4").tobytes()
    affine = ((0, 3, 0, 5), (0.5, 0, 0, 7), (0, 0, 1, 9))
    saved(
        folder,
        nifti1(body, sizes=array.shape[::-1], pixdim=(0.5, 3, 1), sform=affine, codes=(0, 2)),
        "flair.nii",
    )
    grid = images.read_grid("flair.nii")
    images.write_mask("mask.nii", np.ascontiguousarray(turn.forward(box_brain.mask())), grid)
    assert main(list(BARE)) == 0
    labels, there = images.read_labels("out/lesions_dseg.nii.gz")
    assert there == grid
    with open("out/lesions_dseg.nii.gz", "rb") as file:
        header = nifti.inspect(file, "map")
    assert forms.forms(header).sform_code == 2
    marked = np.ascontiguousarray(turn.forward(box_brain.mask())) > 0
    np.testing.assert_array_equal(labels > 0, marked)
    for row in rows(Path("out/lesions.tsv")):
        inside = labels == int(row["lesion"])
        assert inside.sum() == int(row["voxels"])
        column, line, plane = np.argwhere(inside).mean(0)[::-1]
        x, y, z = np.array(affine) @ [column, line, plane, 1]
        assert [float(row[f"{axis}_mm"]) for axis in "xyz"] == pytest.approx([x, y, z], abs=0.01)


def test_a_bare_mask_is_measured_and_told_what_is_missing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(list(BARE)) == 0
    printed = capsys.readouterr().out
    for option in ("--probability P", "--anatomy auto", "--members P P"):
        assert f"({option}" in printed
    assert main([*BARE, "--json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == read_report(folder)
    assert told["places"] is None
    assert len(told["left_out"]) == 4
    assert told["notice"].startswith("For research")
    assert rows(folder / "out" / "lesions.tsv")[0]["place_2mm"] == "n/a"


def test_a_second_run_leaves_nothing_of_the_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(list(ALL)) == 0
    (folder / "out" / "notes.tsv").write_text("mine", "utf-8")
    assert main(list(BARE)) == 0
    assert "regions.tsv" in capsys.readouterr().err
    told = json.loads((folder / "out" / "measures.json").read_text("utf-8"))
    assert written(folder) == {"measures.json", "notes.tsv", *told["files"].values()}


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """FLAIR and T1 of a brain that has a place, with a lesion in its white matter."""
    monkeypatch.chdir(tmp_path)
    placed, grid = known(0.05, (1.0, 1.0, 1.0), (2.0, -3.0, 1.0)), Grid(SHAPE, SPACING)
    mask = np.zeros(SHAPE, np.uint8)
    mask[20:22, 40:44, 50:54] = 1
    for name, volume in (
        ("flair", scan_of(placed, "FLAIR")), ("t1", scan_of(placed, "T1")), ("mask", mask),
    ):  # fmt: skip
        volume_files.write_volume(tmp_path / f"{name}.nii", volume, grid)
    return tmp_path


def test_mni_and_filled_t1_are_written(head: Path) -> None:
    assert main([*BARE, "--t1", "t1.nii", "--mni", "--fill-t1"]) == 0
    told = read_report(head)
    assert told["mni"]["likeness"] > 0.9
    assert told["lesions"][0]["mni_z_mm"] is not None
    for name in ("wmh_mni.nii.gz", "flair_mni.nii.gz"):
        with open(head / "out" / name, "rb") as file:
            header = nifti.inspect(file, name)
        assert header.shape == (193, 229, 193)
        assert forms.forms(header).sform_code == forms.CODES.index("MNI 152")
        assert [list(row) for row in header.record["srow"].tolist()] == [
            [1, 0, 0, -96], [0, 1, 0, -132], [0, 0, 1, -78],
        ]  # fmt: skip
    mask, _ = images.read_labels("out/wmh_mni.nii.gz")
    assert mask.sum() == pytest.approx(32 * np.prod(SPACING), rel=0.2)
    filled, t1 = (images.read_scan(p, name="T1") for p in ("out/t1_filled.nii.gz", "t1.nii"))
    marked = images.read_labels("mask.nii")[0] > 0
    np.testing.assert_array_equal(filled.array[~marked], t1.array[~marked])
    assert not np.array_equal(filled.array[marked], t1.array[marked])
    assert filled.grid == t1.grid


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--probability", "none.nii"), errors.MissingFileError),
        (("--mask", "p.nii"), errors.LabelsError),
        (("--anatomy", "p.nii"), errors.LabelsError),
        (("--atlas", "atlas.nii"), errors.UsageError),
        (("--fill-t1",), errors.UsageError),
        (("--mni",), errors.RegistrationError),
        (("--threshold", "2"), errors.UsageError),
        (("--output", "flair.nii"), errors.OutputNotWritableError),
    ],
)
def test_what_is_wrong_is_told_in_a_line_and_nothing_is_written(
    folder: Path,
    words: tuple[str, ...],
    code: type[errors.WmhsegError],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*BARE, *words]) == code.exit_code
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("wmhseg: error:")
    assert not (folder / "out").exists()


def test_an_anatomy_of_freesurfer_is_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = np.array([0, 507, 24, 4, 43, 14, 3, 2, 10, 8, 16], np.int16)
    volume_files.write_volume(folder / "aseg.nii", numbers[box_brain.anatomy()], GRID)
    told = {}
    for name, words in (("anatomy", ()), ("aseg", ("--anatomy-numbers", "freesurfer"))):
        assert main([*BARE, "--anatomy", f"{name}.nii", *words, "--json"]) == 0
        told[name] = json.loads(capsys.readouterr().out)
    for what in ("places", "head", "by_anatomy_ml", "lesions"):
        assert told["aseg"][what] == told["anatomy"][what]
    assert main([*BARE, "--anatomy", "aseg.nii"]) == errors.LabelsError.exit_code
    assert "--anatomy-numbers freesurfer" in capsys.readouterr().err


def test_no_input_is_replaced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "out").mkdir()
    mask = folder / "out" / "lesions_dseg.nii.gz"
    images.write_mask(mask, box_brain.mask(), GRID)
    before = mask.read_bytes()
    assert main([*BARE, "--mask", str(mask)]) == errors.UsageError.exit_code
    assert "a file of its own" in capsys.readouterr().err
    assert mask.read_bytes() == before
    assert written(folder) == {"lesions_dseg.nii.gz"}


def test_the_table_of_a_scan_is_that_of_any_scan(folder: Path) -> None:
    assert main(list(BARE)) == 0
    (bare,) = rows(folder / "out" / "measures.tsv")
    assert main(list(ALL)) == 0
    (full,) = rows(folder / "out" / "measures.tsv")
    assert list(bare) == list(full)
    assert len(rows(folder / "out" / "lesions.tsv")[0]) == len(content.LESION_COLUMNS)
    assert saving.REPORT == "measures.json"
