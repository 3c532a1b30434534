"""Pictures of what is wrong: on the average brain, wrong voxels in their colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import ellipsoid

from evaluation import failures
from wmhseg.channels import brain_maps
from wmhseg.channels.brain_maps import BrainMaps
from wmhseg.errors import InputError
from wmhseg.geometry import Grid
from wmhseg.io import images

SHAPE = (20, 24, 22)


@pytest.fixture(scope="module")
def maps() -> BrainMaps:
    white = ellipsoid(SHAPE, (7, 9, 8)).astype(np.float32)
    ventricles = ellipsoid(SHAPE, (2, 2, 2)).astype(np.float32)
    given = {"wmh": white * 0, "ventricles": ventricles, "white_matter": white - ventricles}
    return brain_maps.compose(given, (-20.0, -24.0, -22.0), (2.0, 2.0, 2.0))


def test_the_background_lies_where_the_case_lies(maps: BrainMaps) -> None:
    same = failures.background(maps, Grid(SHAPE, (2, 2, 2), (-22.0, -24.0, -20.0)))
    assert same.shape == SHAPE
    assert same[10, 12, 5] > same[10, 12, 11] == 0  # white matter, ventricles
    # A voxel further to the left, one up: the same places, a column and a slice on.
    moved = failures.background(maps, Grid(SHAPE, (2, 2, 2), (-20.0, -24.0, -18.0)))
    np.testing.assert_array_equal(moved[:-1, :, :-1], same[1:, :, 1:])


def test_another_space_is_refused(maps: BrainMaps) -> None:
    with pytest.raises(InputError, match="MNI"):
        failures.background(maps, Grid(SHAPE, (2, 2, 2), (40.0, -24.0, -20.0)))


def test_colours_by_hand() -> None:
    reference, result = np.zeros((2, 3, 8, 8), bool)
    reference[1, 2:4, 2:4] = True
    result[1, 2:4, 3:6] = True
    reference[2, 5, 5] = True
    picture = failures.row(np.zeros((3, 8, 8), np.float32), reference, result)
    assert picture.shape == (16, 32, 3)
    left, right = picture[::2, :16:2], picture[::2, 16::2]
    assert [tuple(left[2, column]) for column in (1, 2, 3, 4, 5, 6)] == [
        (0, 0, 0), failures.BLUE, failures.WHITE, failures.RED, failures.RED, (0, 0, 0),
    ]  # fmt: skip
    np.testing.assert_array_equal(left, right)  # slice 1 is the worst in both ways


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = Grid((30, 32, 28), (5, 6, 6), (-80.0, -84.0, -70.0))
    for folder in ("data/a/pre", "out/a"):
        (tmp_path / folder).mkdir(parents=True)
    mask = np.zeros(grid.shape, np.uint8)
    mask[9, 12, 12] = 1
    scan = np.random.default_rng(0).random(grid.shape).astype(np.float32)
    for part in ("pre/FLAIR", "pre/T1"):
        images.write_probability(tmp_path / "data" / "a" / f"{part}.nii.gz", scan, grid)
    images.write_mask(tmp_path / "data" / "a" / "wmh.nii.gz", mask, grid)
    images.write_mask(tmp_path / "out" / "a" / "result.nii.gz", mask, grid)
    picture = tmp_path / "failures.png"
    words = ["--results", tmp_path / "out", "--data", tmp_path / "data", "--output", picture]
    words += ["--case"]
    assert failures.main([str(word) for word in (*words, "a")]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert failures.main([str(word) for word in (*words, "b")]) != 0
    assert "Received: b" in capsys.readouterr().err
