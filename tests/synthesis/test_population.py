"""Lesions of real people in another head: where they come to lie and how large they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from wmhseg.errors import InputError, MissingFileError
from wmhseg.geometry import Grid
from wmhseg.synthesis import heads, make_heads, population
from wmhseg.synthesis.heads import INDEX, Head

ORIGIN = (-40.0, -50.0, -20.0)


@pytest.fixture(scope="module")
def head(label_map: np.ndarray) -> Head:
    return heads.load_head(label_map)


@pytest.fixture(scope="module")
def known(label_map: np.ndarray) -> population.Population:
    """The phantom itself, 10 % larger, as the population; one person with two lesions."""
    image = SimpleITK.GetImageFromArray(label_map.astype(np.int16))
    size = [round(1.1 * n) for n in image.GetSize()]
    grid = SimpleITK.Image(size, SimpleITK.sitkInt16)
    grid.SetSpacing([1 / 1.1] * 3)
    large = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(image, grid, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)
    )
    anatomy = (large == 2).astype(np.float32) - (large == 4)
    wmh = np.where((large == 2) & (np.indices(large.shape)[0] > large.shape[0] / 2), 0.5, 0.0)
    mask = np.zeros(large.shape, bool)
    z, y, x = (n // 2 for n in large.shape)
    mask[z - 3 : z + 3, y - 3 : y + 4, x + 9 : x + 14] = True  # 210 voxels beside the ventricle
    mask[z + 8 : z + 11, y - 1 : y + 2, x - 6 : x - 3] = True  # 27 above it, on the other side
    middle = -(large.shape[2] - 1) / 2  # so that x = 0 is the plane of symmetry
    origin = (middle, ORIGIN[1], ORIGIN[2])
    person = population.person(mask, Grid(large.shape, (1.0, 1.0, 1.0), origin))
    return population.Population(anatomy, wmh.astype(np.float32), origin, [person])


@pytest.fixture(scope="module")
def mapped(head: Head, known: population.Population) -> Head:
    return population.add_to(head, known)


def lesion(head: Head, number: int) -> np.ndarray:
    """Places (voxel, axis) inside a lesion."""
    found = head.shapes
    assert found is not None
    part = slice(found.starts[number], found.starts[number + 1])
    inside = found.voxels[part][found.inside[part] > 0]
    return np.stack(np.unravel_index(inside, head.shape), -1)


def test_distances_to_a_lesion_by_hand() -> None:
    mask = np.zeros((15, 15, 15), bool)
    mask[5:10, 5:10, 5:10] = True
    one = population.person(mask, Grid(mask.shape, (1.0, 1.0, 1.0)))
    # From the border between voxels 4 and 5: half a voxel on both sides.
    np.testing.assert_array_equal(one.inside[7, 7, 2:9], [-20, -12, -4, 4, 12, 20, 12])
    assert one.inside[0, 0, 0] < -3 * 8
    assert (one.number[mask] == 0).all()


def test_lesions_keep_place_and_size(mapped: Head) -> None:
    found = mapped.shapes
    assert found is not None
    # The head is 1 / 1.1 as large in each direction.
    expected = np.array([27, 210]) / 1.1**3 / 1000
    order = np.argsort(found.lesion_ml)
    np.testing.assert_allclose(found.lesion_ml[order], expected, rtol=0.3)
    large = lesion(mapped, int(order[1]))
    centre = np.array(mapped.shape) / 2
    np.testing.assert_allclose(large.mean(0) - centre, [-0.5, 0, 11.5 / 1.1], atol=1.5)
    assert (mapped.tissue[tuple(large.T)] == INDEX["white_matter"]).mean() > 0.9


def test_mirrored_lesions_lie_on_the_other_side(
    head: Head, known: population.Population, mapped: Head
) -> None:
    """The phantom is symmetric, so nothing but the side changes."""
    other = population.add_to(head, known, mirrored=[True])
    middle = (head.shape[2] - 1) / 2
    sides = []
    for one in (mapped, other):
        assert one.shapes is not None
        place = lesion(one, int(np.argmax(one.shapes.lesion_ml)))
        sides.append(place.mean(0) - (0, 0, middle))
    np.testing.assert_allclose(sides[0] * (1, 1, -1), sides[1], atol=1.5)


def test_the_prior_lies_where_the_population_has_it(mapped: Head) -> None:
    prior = mapped.map("prior") / 255
    white = mapped.tissue == INDEX["white_matter"]
    upper = np.indices(prior.shape)[0] > prior.shape[0] / 2 + 2
    assert np.median(prior[white & upper]) == pytest.approx(0.5, abs=0.01)
    lower = np.indices(prior.shape)[0] < prior.shape[0] / 2 - 3
    assert np.median(prior[white & lower]) == 0
    assert (prior[mapped.tissue == 0] == 0).all()


def test_people_of_the_validation_scans_are_left_out(
    tmp_path: Path, known: population.Population
) -> None:
    values = {
        "wmh": known.wmh / 0.0036965606,
        "white_matter": 255 * (known.anatomy > 0),
        "ventricles": 255 * (known.anatomy < 0),
    }
    shape = known.wmh.shape
    lesions = tmp_path / "lesions"
    lesions.mkdir()
    for name, array in values.items():
        image = SimpleITK.GetImageFromArray(np.round(array).astype(np.uint8))
        SimpleITK.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    for number, name in enumerate(("06", "07", "08", "26")):
        mask = np.zeros(shape, np.uint8)
        mask[20, 20, : number + 1] = 1
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(mask), str(lesions / f"{name}.nii.gz"))
    read = population.load_population(tmp_path, lesions)
    assert [int((one.inside > 0).sum()) for one in read.people] == [1, 3]
    np.testing.assert_allclose(read.wmh, known.wmh, atol=0.003)
    np.testing.assert_array_equal(read.anatomy, known.anatomy)
    assert population.load_population(tmp_path).people == []
    with pytest.raises(MissingFileError, match="lesion masks"):
        population.load_population(tmp_path, lesions, exclude=("06", "07", "08", "26"))


# Infarcts ---------------------------------------------------------------------------------------


def infarct(head: Head, number: int = 0) -> np.ndarray:
    """Places (voxel, axis) inside one person's infarcts, in voxels of the head."""
    found = head.strokes
    assert found is not None
    part = slice(found.starts[number], found.starts[number + 1])
    inside = found.voxels[part][found.inside[part] > 0]
    return np.stack(np.unravel_index(inside, head.coarse_shape), -1) * heads.COARSE


@pytest.fixture(scope="module")
def stricken(
    head: Head, known: population.Population, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Head]:
    """One mask of two blocks on one side, stored in LPS order and back to front; and mirrored."""
    mask = np.zeros(known.wmh.shape, np.uint8)
    z, y, x = (n // 2 for n in mask.shape)
    mask[z - 5 : z + 5, y - 14 : y - 2, x + 8 : x + 18] = 1  # 1200 voxels in front
    mask[z + 8 : z + 11, y + 4 : y + 7, x + 6 : x + 9] = 1  # 27 behind and above
    folder = tmp_path_factory.mktemp("strokes")
    made = {}
    for name, array in (("LPS", mask), ("LAS", mask[:, ::-1])):
        image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array))
        origin = list(known.origin_mm)
        if name == "LAS":
            origin[1] += mask.shape[1] - 1
            image.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, 1))
        image.SetOrigin(origin)
        (folder / name).mkdir()
        SimpleITK.WriteImage(image, str(folder / name / "001.nii.gz"))
        strokes = population.load_strokes(folder / name)
        made[name] = population.add_to(head, replace(known, people=[], strokes=strokes))
    flipped = replace(known, people=[], strokes=strokes)
    made["mirrored"] = population.add_to(head, flipped, mirrored=[True])
    return made


def test_infarcts_keep_place_and_size(stricken: dict[str, Head], mapped: Head) -> None:
    one = stricken["LPS"]
    assert one.shapes is None
    assert one.strokes is not None
    # Both blocks are of one person, and chosen together; the head is 1 / 1.1 as large.
    assert one.strokes.lesion_ml == pytest.approx([1.227 / 1.1**3], rel=0.3)
    places = infarct(one)
    low = places[places[:, 0] < one.shape[0] / 2 + 6]
    centre = np.array(one.shape) / 2
    np.testing.assert_allclose(low.mean(0) - centre, np.array([-0.5, -8.5, 12.5]) / 1.1, atol=1.6)
    assert (places[:, 0] > one.shape[0] / 2 + 5).any()
    np.testing.assert_array_equal(one.maps, mapped.maps)  # as without infarcts


def test_infarcts_lie_the_same_however_they_are_stored(stricken: dict[str, Head]) -> None:
    np.testing.assert_array_equal(infarct(stricken["LAS"]), infarct(stricken["LPS"]))


def test_mirrored_infarcts_lie_on_the_other_side(stricken: dict[str, Head]) -> None:
    middle = (stricken["LPS"].shape[2] - 1) / 2
    one, other = (infarct(stricken[name]).mean(0) - (0, 0, middle) for name in ("LPS", "mirrored"))
    np.testing.assert_allclose(one * (1, 1, -1), other, atol=1.5)


def test_heads_with_infarcts_are_read_as_they_were(
    tmp_path: Path, stricken: dict[str, Head], mapped: Head
) -> None:
    both = replace(mapped, strokes=stricken["LPS"].strokes)
    heads.write_head(tmp_path / "a.npz", both)
    (again,) = heads.load_heads(tmp_path)
    for kind in ("shapes", "strokes"):
        for name, value in vars(getattr(both, kind)).items():
            np.testing.assert_array_equal(getattr(getattr(again, kind), name), value)
    heads.write_head(tmp_path / "a.npz", mapped)
    assert heads.load_heads(tmp_path)[0].strokes is None


def test_a_folder_without_infarcts(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="infarct masks"):
        population.load_strokes(tmp_path)


# Prepared heads ---------------------------------------------------------------------------------


def test_prepared_heads_are_read_as_they_were(tmp_path: Path, mapped: Head) -> None:
    heads.write_head(tmp_path / "a.npz", mapped)
    (again,) = heads.load_heads(tmp_path)
    np.testing.assert_array_equal(again.maps, mapped.maps)
    assert again.centre == mapped.centre
    assert again.extent == mapped.extent
    assert again.shapes is not None
    assert mapped.shapes is not None
    for name, value in vars(mapped.shapes).items():
        np.testing.assert_array_equal(getattr(again.shapes, name), value)
    heads.write_head(tmp_path / "a.npz", replace(mapped, shapes=None))
    assert heads.load_heads(tmp_path)[0].shapes is None


def broken_empty(path: Path) -> None:
    path.write_bytes(b"")


def broken_other(path: Path) -> None:
    np.savez(path, something=np.zeros(3))


def broken_shape(path: Path) -> None:
    np.savez(path, maps=np.zeros((3, 3, 3)), centre=np.zeros(3), extent=np.zeros(2))


def broken_objects(path: Path) -> None:
    np.savez(path, maps=np.array([{}], object), centre=np.zeros(3), extent=np.zeros(2))


@pytest.mark.parametrize("spoil", [broken_empty, broken_other, broken_shape, broken_objects])
def test_damaged_heads(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"prepared head .*a\.npz.*Received: .*make_heads"):
        heads.load_heads(tmp_path)


def test_only_missing_heads_are_made(
    tmp_path: Path, label_map: np.ndarray, known: population.Population
) -> None:
    labels, output = tmp_path / "labels", tmp_path / "heads"
    labels.mkdir()
    image = SimpleITK.GetImageFromArray(label_map.astype(np.int16))
    for name in ("01", "02"):
        SimpleITK.WriteImage(image, str(labels / f"{name}.nii.gz"))
    output.mkdir()
    (output / "01.npz").write_bytes(b"kept")
    make_heads.write_heads(labels, output, known)
    assert (output / "01.npz").read_bytes() == b"kept"
    made = heads.read_head(output / "02.npz")
    assert made.shapes is not None
    assert (made.tissue == heads.load_head(label_map).tissue).all()
    with pytest.raises(MissingFileError, match="label maps"):
        make_heads.write_heads(output, tmp_path / "more")
