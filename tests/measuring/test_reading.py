"""Files of a result: what is accepted in which form, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import box_brain
import numpy as np
import pytest
from nifti_files import failing

from wmhseg.errors import (
    GridMismatchError,
    LabelsError,
    RegistrationError,
    TableError,
    UsageError,
    WmhsegError,
)
from wmhseg.geometry import Grid, Turn
from wmhseg.io import nifti, volume_files
from wmhseg.io.images import Scan
from wmhseg.measures.anatomy import Anatomy
from wmhseg.measuring import naming, other_scan, reading
from wmhseg.measuring.reading import Paths
from wmhseg.measuring.scene import Scene, Wanted
from wmhseg.preparation import registration, wrapped
from wmhseg.preparation.registration import Registration, Rigid

GRID = box_brain.grid((3.0, 1.0, 0.5))
OTHER = Grid(box_brain.SHAPE, (3.0, 1.0, 0.5), (-20.0, -15.0, 9.0))
FLAIR = np.random.default_rng(0).random(box_brain.SHAPE).astype(np.float32)


def stored(path: Path, volume: np.ndarray, grid: Grid = GRID, **more: int) -> Path:
    volume_files.write_volume(path, volume, grid, **more)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    stored(tmp_path / "flair.nii", FLAIR)
    stored(tmp_path / "mask.nii", box_brain.mask())
    return tmp_path


def read(folder: Path, wanted: Wanted | None = None, **files: Path | tuple[Path, ...]) -> Scene:
    paths = Paths(**{"flair": folder / "flair.nii", "mask": folder / "mask.nii", **files})  # type: ignore[arg-type]
    return reading.read(paths, wanted or Wanted())


def test_everything_arrives_on_the_voxels_of_flair(folder: Path) -> None:
    """In whatever order of axes it is stored."""
    turn = Turn(GRID, (2, 0, 1), (True, False, True))
    probability = FLAIR / 2
    scene = read(
        folder,
        mask=stored(folder / "m.nii", np.ascontiguousarray(turn.forward(box_brain.mask())),
                    turn.target),
        probability=stored(folder / "p.nii", np.ascontiguousarray(turn.forward(probability)),
                           turn.target),
        members=(stored(folder / "0.nii", FLAIR), stored(folder / "1.nii", probability)),
        anatomy=stored(folder / "a.nii", np.ascontiguousarray(turn.forward(box_brain.anatomy())),
                       turn.target),
        exclude=stored(folder / "x.nii", (FLAIR > 0.9).astype(np.int16)),
    )  # fmt: skip
    np.testing.assert_array_equal(scene.flair.array, FLAIR)
    np.testing.assert_array_equal(scene.mask, box_brain.mask())
    assert scene.probability is not None
    np.testing.assert_array_equal(scene.probability, probability)
    assert list(scene.members) == ["0.nii", "1.nii"]
    np.testing.assert_array_equal(scene.members["0.nii"], FLAIR)
    assert scene.anatomy is not None
    np.testing.assert_array_equal(scene.anatomy.labels, box_brain.anatomy())
    assert scene.excluded is not None
    np.testing.assert_array_equal(scene.excluded, FLAIR > 0.9)


def test_probabilities_stay_what_they_are(folder: Path) -> None:
    """Near to 0 and 1 as well, where labels would be rounded; and where all are 0."""
    sure = np.where(box_brain.mask(), np.float32(0.995), np.float32(0.004))
    scene = read(folder, probability=stored(folder / "p.nii", sure))
    assert scene.probability is not None
    np.testing.assert_array_equal(scene.probability, sure)
    none = read(folder, probability=stored(folder / "p.nii", sure * 0)).probability
    assert none is not None
    assert not none.any()


@pytest.mark.parametrize(
    ("report", "threshold"),
    [
        ('{"model": "m", "threshold": 0.7}', 0.7),
        ('{"threshold": 0.7}', 0.5),  # somebody else's
        ('{"model": "m", "threshold": "high"}', 0.5),
        ('{"model": "m", "threshold": true}', 0.5),
        ('{"model": "m", "threshold": 3}', 0.5),
        ("[1]", 0.5),
        ("{", 0.5),
        (None, 0.5),
    ],
)
def test_the_threshold_is_that_of_the_report(
    folder: Path, report: str | None, threshold: float
) -> None:
    if report is not None:
        (folder / "mask.json").write_text(report, "utf-8")
    assert read(folder).threshold == threshold
    paths = Paths(folder / "flair.nii", folder / "mask.nii")
    assert reading.read(paths, Wanted(), threshold=0.3).threshold == 0.3


def test_members_of_one_name_are_told_apart(folder: Path) -> None:
    for place in ("a", "b"):
        (folder / place).mkdir()
        stored(folder / place / "p.nii", FLAIR)
    members = (folder / "a" / "p.nii", folder / "b" / "p.nii")
    assert list(read(folder, members=members).members) == [str(path) for path in members]


@pytest.mark.parametrize("what", ["mask", "probability", "anatomy", "exclude"])
def test_other_voxels_are_refused(folder: Path, what: str) -> None:
    volume = FLAIR if what == "probability" else box_brain.mask()
    path = stored(folder / "elsewhere.nii", volume, OTHER)
    line = failing(GridMismatchError, read, folder, **{what: path})
    assert "elsewhere.nii" in line
    assert "4.00 mm apart" in line
    small = stored(folder / "small.nii", volume[:-1], Grid((19, 40, 40), GRID.spacing_mm))
    assert "sizes 40 x 40 x 20" in failing(GridMismatchError, read, folder, **{what: small})


@pytest.mark.parametrize(
    ("what", "volume", "told"),
    [
        ("mask", box_brain.mask() * 255, "2 numbers: 0, 255"),
        ("mask", box_brain.mask() * 2, "2 numbers: 0, 2"),
        ("mask", FLAIR, "…"),
        ("exclude", box_brain.mask() * 255, "2 numbers: 0, 255"),
        ("probability", FLAIR * 100, "Divide percentages by 100"),
        ("probability", FLAIR - 0.5, "from 0 to 1"),
        ("anatomy", box_brain.anatomy() + 3, "3 to 13"),
    ],
)
def test_other_numbers_are_refused(folder: Path, what: str, volume: np.ndarray, told: str) -> None:
    path = stored(folder / "numbers.nii", volume)
    line = failing(LabelsError, read, folder, **{what: path})
    assert told in line
    assert "numbers.nii" in line


def table(folder: Path, text: str) -> Path:
    path = folder / "names.tsv"
    path.write_text(text, "utf-8")
    return path


REGIONS = (FLAIR > 0.5).astype(np.int16) * 7


def test_an_atlas_with_its_names(folder: Path) -> None:
    names = table(folder, "index\tname\tcolour\n0\tnone\tx\n7\tleft  lobe\ty\n9\tabsent\t\n")
    scene = read(folder, atlas=stored(folder / "a.nii", REGIONS), atlas_labels=names)
    assert scene.atlas is not None
    assert scene.atlas.space == "flair"
    assert scene.atlas.names == {7: "left  lobe", 9: "absent"}
    np.testing.assert_array_equal(scene.atlas.volume, REGIONS)


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("index\tname\n8\tother\n", LabelsError, "none for 1 of 2 labels: 7"),
        ("index\tlabel\n7\tother\n", TableError, "index and name"),
        ("index\tname\n7\tone\n7\ttwo\n", TableError, "line 3"),
        ("index\tname\n7.5\tone\n", TableError, "line 2"),
        ("index\tname\n7\t\n", TableError, "line 2"),
        ("", TableError, "an empty file"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    folder: Path, text: str, kind: type[WmhsegError], told: str
) -> None:
    atlas = stored(folder / "a.nii", REGIONS)
    line = failing(kind, read, folder, atlas=atlas, atlas_labels=table(folder, text))
    assert told in line


def test_an_atlas_says_where_it_is(folder: Path) -> None:
    """By its voxels, or by a code in its header; otherwise somebody has to."""
    names = table(folder, "index\tname\n7\tone\n")
    t1 = stored(folder / "t1.nii", FLAIR, OTHER)

    def space(path: Path, **more: Path) -> str:
        atlas = read(folder, atlas=path, atlas_labels=names, **more).atlas
        assert atlas is not None
        return atlas.space

    on_t1 = stored(folder / "on-t1.nii", REGIONS, OTHER)
    apart = "4.00 mm apart"
    line = failing(UsageError, read, folder, atlas=on_t1, atlas_labels=names)
    assert apart in line
    assert "--atlas-space" in line
    in_mni = stored(folder / "mni.nii", REGIONS, OTHER, space=nifti.MNI_152)
    assert space(in_mni) == "mni"
    with pytest.MonkeyPatch.context() as patch:
        found = Registration(Rigid(shift_mm=(1.0, 2.0, 3.0)), 1.0, "header", 1)
        patch.setattr(registration, "register", lambda *_: found)
        assert space(on_t1, t1=t1) == "t1"
        scene = read(folder, atlas=on_t1, atlas_labels=names, t1=t1)
        assert scene.t1 is not None
        assert scene.t1.move == found.move
    paths = Paths(folder / "flair.nii", folder / "mask.nii", atlas=on_t1, atlas_labels=names)
    told = reading.read(paths, Wanted(), atlas_space="mni").atlas
    assert told is not None
    assert told.space == "mni"
    fractions = stored(folder / "f.nii", FLAIR)
    failing(LabelsError, read, folder, atlas=fractions, atlas_labels=names)


def test_t1_on_other_voxels_is_registered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Scan, Scan]] = []

    def register(flair: Scan, t1: Scan) -> Registration:
        asked.append((flair, t1))
        return Registration(Rigid(shift_mm=(0.0, 0.0, 4.0)), 0.01, "header", 14)

    monkeypatch.setattr(registration, "register", register)
    beside = read(folder, t1=stored(folder / "t1.nii", FLAIR * 2)).t1
    assert beside is not None
    assert beside.move == Rigid()
    assert beside.on_flair is not None
    np.testing.assert_array_equal(beside.on_flair, FLAIR * 2)
    assert asked == []
    elsewhere = stored(folder / "t1.nii", FLAIR * 2, OTHER)
    apart = read(folder, t1=elsewhere).t1
    assert apart is not None
    assert (apart.move, apart.on_flair, apart.agreement) == (None, None, 0.01)
    assert "match those of FLAIR too badly (0.010;" in other_scan.not_used(apart)
    line = failing(RegistrationError, read, folder, Wanted(filled_t1=True), t1=elsewhere)
    assert "0.010" in line
    assert len(asked) == 2
    monkeypatch.setattr(registration, "LEAST_AGREEMENT", 0.0)
    for wanted in (Wanted(), Wanted(filled_t1=True)):
        there = read(folder, wanted, t1=elsewhere).t1
        assert there is not None
        assert there.move == Rigid(shift_mm=(0.0, 0.0, 4.0))


def test_structures_are_named_with_the_t1_that_is_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Registration(Rigid(shift_mm=(0.0, 0.0, 4.0)), 0.01, "header", 14)
    monkeypatch.setattr(registration, "register", lambda *_: failed)
    known = Anatomy(box_brain.anatomy(), "boxes")
    given: list[Path | None] = []

    def named(flair: Path, t1: Path | None, progress: object) -> tuple[Anatomy, tuple[str, ...]]:
        given.append(t1)
        return known, ("of the naming",)

    monkeypatch.setattr(naming, "named", named)
    t1 = folder / "t1.nii"
    for grid in (GRID, OTHER):
        scene = read(folder, t1=stored(t1, FLAIR * 2, grid), name_structures=True)  # type: ignore[arg-type]
        assert (scene.anatomy, scene.warnings) == (known, ("of the naming",))
    read(folder, name_structures=True)  # type: ignore[arg-type]
    assert given == [t1, None, None]


def wrapped_around(true: np.ndarray) -> np.ndarray:
    """Unsigned 16-bit numbers as they look when they are stored as signed ones."""
    return np.where(true > 32767, true - 65536, true).astype(np.int16)


def test_numbers_that_wrapped_around_are_repaired(folder: Path) -> None:
    """As a segmentation repairs them, and with its words, so that a page says it once."""
    # The brightest of all would count as ringing in air, which wraps to just below 0.
    true = np.rint(FLAIR * 65000).astype(np.float32)
    t1 = stored(folder / "t1.nii", wrapped_around(true))
    scene = read(folder, t1=t1)
    assert scene.t1 is not None
    np.testing.assert_array_equal(scene.t1.scan.array, true)
    assert scene.t1.on_flair is not None
    np.testing.assert_array_equal(scene.t1.on_flair, true)
    assert scene.warnings == (wrapped.warning("T1"),)
    stored(folder / "flair.nii", wrapped_around(true))
    both = read(folder, t1=t1)
    np.testing.assert_array_equal(both.flair.array, true)
    assert both.warnings == (wrapped.warning("FLAIR"), wrapped.warning("T1"))
    assert read(folder, t1=stored(folder / "t1.nii", true)).warnings == both.warnings[:1]


def test_numbers_are_of_a_label_map(folder: Path) -> None:
    paths = Paths.given(folder / "flair.nii", folder / "mask.nii", (), {"anatomy": "auto"})
    assert paths.anatomy is None
    assert "anatomy" not in paths.named()
    line = failing(UsageError, reading.read, paths, Wanted(), numbers="freesurfer")
    assert "--anatomy FILE" in line


@pytest.mark.parametrize(
    ("files", "wanted", "told"),
    [
        ({"atlas": Path("a")}, Wanted(), "--atlas alone"),
        ({"atlas_labels": Path("a")}, Wanted(), "--atlas-labels alone"),
        ({}, Wanted(filled_t1=True), "--fill-t1"),
        ({"members": (Path("a"), Path("b"), Path("a"))}, Wanted(), "--members"),
    ],
)
def test_what_does_not_go_together(
    folder: Path, files: dict[str, Any], wanted: Wanted, told: str
) -> None:
    assert told in failing(UsageError, read, folder, wanted, **files)


def test_a_space_needs_its_atlas_and_its_t1(folder: Path) -> None:
    paths = Paths(folder / "flair.nii", folder / "mask.nii")
    failing(UsageError, reading.read, paths, Wanted(), atlas_space="mni")
    atlas = Paths(paths.flair, paths.mask, atlas=Path("a"), atlas_labels=Path("b"))
    assert "--t1" in failing(UsageError, reading.read, atlas, Wanted(), atlas_space="t1")
