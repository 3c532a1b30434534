"""The comparison of named structures with manual ventricles and brains."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Phantom, write_case, write_scan

from evaluation.anatomy import __main__ as compared
from evaluation.anatomy import marks
from wmhseg.weights.structures import NUMBER


@pytest.fixture
def slab(phantom: Phantom) -> Phantom:
    """Five slices of the phantom, which take less time; the second and third hold a lesion."""
    part = slice(7, 12)
    return Phantom(phantom.flair[part], phantom.t1[part], phantom.lesions[part])


@pytest.fixture
def folders(slab: Phantom, tmp_path: Path) -> tuple[Path, Path]:
    """Cases and peers: of one case the brain is what the model names, of the ventricles half."""
    data, peers = tmp_path / "data", tmp_path / "peers"
    for name in ("one", "other"):
        write_case(data / name, slab)
    half = slab.lesions.copy()
    half[1] = False
    masks = {"brain_reference": slab.lesions, "ventricles_reference": half}
    for what, mask in {**masks, "ventricles_theirs": half}.items():
        write_scan(peers / "one" / f"{what}.nii.gz", mask.astype(np.uint8), slab.spacing_mm)
    return data, peers


def test_each_case_with_references_is_compared(
    folders: tuple[Path, Path],
    anatomy_model: Path,
    no_doubts: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, peers = folders
    words = ["--data", str(data), "--peers", str(peers), "--model", str(anatomy_model)]
    assert compared.main([*words, "--output", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().out
    assert "other" not in told.replace("other names", "")
    assert "| brain, FLAIR and T1 | 1.000 (0.1, 1.00) | 1.000 |" in told
    assert "| ventricles, theirs | 1.000" in told
    assert "one: DSC of ventricles 0.000, bar 0.82" in told  # the model knows no ventricle
    with (tmp_path / "out" / "anatomy.csv").open() as file:
        rows = {(row["what"], row["who"]): row for row in csv.DictReader(file)}
    assert rows["brain", "FLAIR alone"]["dsc"] == "1.0000"
    assert rows["ventricles", "theirs"]["held"] == "1.0000"
    assert float(rows["reference", ""]["volume_ml"]) > 0
    assert (tmp_path / "out" / "one.png").is_file()


def test_orders_that_matter_are_told(
    folders: tuple[Path, Path],
    anatomy_model: Path,
    no_doubts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compared, "ORDERS", ["LPS", "SRA"])
    anatomist = compared.Anatomist(anatomy_model)
    (case,) = compared.cases.find_cases(folders[0] / "one")
    named = anatomist.compute(anatomist.load(case.flair, case.t1))
    assert compared.wrong_orders(case, anatomist, named) == []
    mirrored = replace(named, labels=np.ascontiguousarray(named.labels[:, :, ::-1]))
    assert compared.wrong_orders(case, anatomist, mirrored) == ["LPS", "SRA"]


def test_nothing_to_compare(folders: tuple[Path, Path], anatomy_model: Path) -> None:
    data, peers = folders
    with pytest.raises(compared.errors.NoCasesError):
        compared.main(
            ["--data", str(data), "--peers", str(peers / "one"), "--model", str(anatomy_model)]
        )


def test_a_reference_on_another_grid(folders: tuple[Path, Path], slab: Phantom) -> None:
    path = folders[1] / "one" / "brain_reference.nii.gz"
    grid = compared.images.read_labels(path)[1]
    np.testing.assert_array_equal(compared.read(path, grid), slab.lesions)
    write_scan(path, np.zeros((3, 4, 5), np.uint8), slab.spacing_mm)
    with pytest.raises(compared.errors.GridMismatchError, match=r"brain_reference"):
        compared.read(path, grid)


# Marks where no hyperintensity can be ------------------------------------------------------------


def test_voxels_or_whole_lesions_are_removed() -> None:
    mask = np.zeros((2, 4, 9), bool)
    mask[0, 1, :4] = mask[1, 2, 6:] = True  # four and three voxels
    labels = np.full(mask.shape, NUMBER["white-matter"], np.uint8)
    labels[0, 1, :2] = labels[1, 2, 6:8] = NUMBER["cortex"]  # half of one, most of the other
    voxels = marks.without(mask, labels, ["cortex"], whole=False)
    np.testing.assert_array_equal(voxels, mask & (labels != NUMBER["cortex"]))
    lesions = marks.without(mask, labels, ["cortex"], whole=True)
    assert lesions[0].sum() == 4
    assert not lesions[1].any()
    for whole in (False, True):
        np.testing.assert_array_equal(marks.without(mask, labels, [], whole=whole), mask)
        np.testing.assert_array_equal(marks.without(mask, labels, ["head"], whole=whole), mask)


def test_all_ways_are_tried(
    folders: tuple[Path, Path],
    use_models: Path,
    anatomy_model: Path,
    slab: Phantom,
    no_doubts: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Marks from files; in the phantom all that is marked is white matter, the rest background."""
    results, free = tmp_path / "results", tmp_path / "free"
    marked = slab.lesions.copy()
    marked[0, :3, :3] = True  # air
    for name in ("one", "other"):
        write_scan(results / name / "result.nii.gz", marked.astype(np.uint8), slab.spacing_mm)
    write_case(free / "well", slab)
    (free / "well" / "wmh.nii.gz").unlink()
    write_scan(results / "well" / "result.nii.gz", marked.astype(np.uint8), slab.spacing_mm)
    words = ["--data", str(folders[0]), "--masks", str(results), "--free", str(free)]
    assert marks.main([*words, "--model", "bright", "--anatomy", str(anatomy_model)]) == 0
    told = capsys.readouterr().out
    assert "| lesions: head | 1.0000 | 1.0000 | 0 | 0.130 |" in told
    assert "| voxels: cortex | 0.9143 | 0.6667 | 0 | 0.154 |" in told
