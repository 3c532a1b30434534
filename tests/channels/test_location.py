"""Where voxels lie in the brain: by hand on a small one, and on scans whose place is known."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest
from placed_brain import SHAPE, SPACING, known, scan_of

from wmhseg.channels import location
from wmhseg.channels.brain_maps import BrainMaps
from wmhseg.channels.location import Located
from wmhseg.channels.placement import Placement
from wmhseg.errors import RegistrationError
from wmhseg.weights.inputs import OF_LOCATION

# By hand ------------------------------------------------------------------------------------------

SMALL, SMALL_MM = (3, 12, 14), (5.0, 1.0, 2.0)


@pytest.fixture(scope="module")
def small() -> dict[str, np.ndarray]:
    """Features of a lopsided brain, on its whole grid; x = 0 at column 6, NaN outside."""
    brain, fluid = np.zeros(SMALL, bool), np.zeros(SMALL, np.float32)
    brain[:, 2:10, 1:12] = True
    brain[:, 2:4, 8:] = False  # lopsided
    fluid[1, 5, 8:10] = 1  # left
    fluid[1, 6:8, 4] = 1  # right
    wmh = np.zeros(SMALL, np.float32)
    wmh[1, 4, 8], wmh[1, 5, 3] = 0.8, 0.2
    origin_mm = (10.0, -5.0, -12.0)
    maps = BrainMaps(
        wmh, fluid, fluid * 0, brain, origin_mm, SMALL_MM, np.zeros((0, 3)), MappingProxyType({})
    )
    straight = Placement(np.eye(3), np.array(origin_mm))
    made = {}
    for name, column in location.columns(brain, straight, maps, SMALL_MM).items():
        made[name] = np.full(SMALL, np.nan)
        made[name][brain] = column
    return made


def test_coordinates_by_hand(small: dict[str, np.ndarray]) -> None:
    """Columns 1 to 11, rows 2 to 9, slices 0 to 2: first is 0 and last is 1."""
    assert small["x"][1, 5, [1, 6, 11]] == pytest.approx([0, 0.5, 1])
    assert small["y"][1, [2, 9], 5] == pytest.approx([0, 1])
    assert small["z"][:, 5, 5] == pytest.approx([0, 0.5, 1])


def test_distances_to_ventricles_by_hand(small: dict[str, np.ndarray]) -> None:
    """Columns are 2 mm apart, rows 1 mm; slices 0 and 2 hold no ventricle: 100 mm."""
    left, right = small["left-ventricle"], small["right-ventricle"]
    assert left[1, 5, [8, 9, 11, 6]] == pytest.approx([0, 0, 0.04, 0.04])
    assert left[1, 9, 11] == pytest.approx(np.hypot(4, 4) / 100)
    assert right[1, 6, [4, 1, 8]] == pytest.approx([0, 0.06, 0.08])
    assert right[1, 3, 4] == pytest.approx(0.03)
    for missing in (left[[0, 2]], right[[0, 2]]):
        assert np.nanmin(missing) == 1


def test_distances_to_cortex_and_middle_by_hand(small: dict[str, np.ndarray]) -> None:
    """From the first voxel outside; the deepest are 4 mm from it (rows 5 and 6, or column 2)."""
    cortex = small["cortex"]
    # 1 mm at the edge is the least, 4 mm the most.
    assert cortex[1, [2, 3, 4, 5, 6, 7, 8, 9], 5] == pytest.approx(
        (np.array([1, 2, 3, 4, 4, 3, 2, 1]) - 1) / 3
    )
    assert cortex[1, 5, 1] == pytest.approx(1 / 3)  # 2 mm to the side
    assert cortex[1, 4, 9] == 0  # below the missing corner
    # |x| from 0 to 10 mm.
    assert small["midsagittal"][1, 5, [6, 7, 5, 11, 1]] == pytest.approx([0, 0.2, 0.2, 1, 1])


def test_prior_by_hand(small: dict[str, np.ndarray]) -> None:
    assert small["prior"][1, 4, 8] == 1
    assert small["prior"][1, 5, 3] == pytest.approx(0.25)
    assert np.nansum(small["prior"]) == pytest.approx(1.25)


def test_midsagittal_distance_is_in_the_slice() -> None:
    """A head turned by 30 degrees about the vertical, and another tipped over by 30 degrees."""
    cosine, sine = np.cos(np.pi / 6), np.sin(np.pi / 6)
    brain = np.ones((1, 1, 21), bool)
    flat = np.zeros((1, 1, 1), np.float32)
    maps = BrainMaps(
        flat, flat, flat, flat > 0, (0, 0, 0), (1, 1, 1), np.zeros((0, 3)), MappingProxyType({})
    )
    tipped = np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
    placed = Placement(tipped, np.array([0.0, 0.0, -4 * cosine]))
    made = location.columns(brain, placed, maps, (1.0, 1.0, 1.0))["midsagittal"]
    # x = (column - 4) cos 30; in the slice that is |column - 4| mm, at most 16.
    np.testing.assert_allclose(made, np.abs(np.arange(21) - 4) / 16, atol=1e-5)


# Whole scans --------------------------------------------------------------------------------------

TRUTH = known(0.1, (1.0, 1.05, 0.95), (4.0, -3.0, 6.0))


@pytest.fixture(scope="module")
def located() -> Located:
    return location.features(scan_of(TRUTH, "FLAIR"), scan_of(TRUTH, "T1"), SPACING)


@pytest.fixture(scope="module")
def true_mm() -> tuple[np.ndarray, ...]:
    return TRUTH.coordinates_mm(SHAPE, SPACING)


def test_each_feature_reaches_from_0_to_1_in_the_brain(located: Located) -> None:
    assert tuple(located.channels) == OF_LOCATION
    for volume in located.channels.values():
        assert (volume.shape, volume.dtype) == (SHAPE, np.float32)
        assert (volume[located.brain].min(), volume[located.brain].max()) == (0, 1)
        assert not volume[~located.brain].any()


def test_coordinates_rise_to_left_back_and_top(
    located: Located, true_mm: tuple[np.ndarray, ...]
) -> None:
    for name, mm in zip("zyx", true_mm, strict=True):
        along = np.polyfit(mm[located.brain], located.channels[name][located.brain], 1)
        assert along[0] == pytest.approx(1 / np.ptp(mm[located.brain]), rel=0.05)


def test_left_and_right_are_not_exchanged(
    located: Located, true_mm: tuple[np.ndarray, ...]
) -> None:
    z, _, x = true_mm
    level = located.brain & (abs(z - 12) < 6)  # where both ventricles are
    gap = located.channels["left-ventricle"] - located.channels["right-ventricle"]
    assert gap[level & (x > 20)].max() < 0 < gap[level & (x < -20)].min()


def test_the_prior_is_highest_at_the_ventricles(located: Located) -> None:
    prior = located.channels["prior"]
    near = located.brain & (prior > 0.6)
    for side in ("left-ventricle", "right-ventricle"):
        assert np.median(located.channels[side][near]) < np.median(
            located.channels[side][located.brain]
        )
    assert prior[located.brain & (located.channels["cortex"] < 0.1)].mean() < 0.05


def test_flair_alone_lies_where_t1_puts_it(located: Located) -> None:
    alone = location.features(scan_of(TRUTH, "FLAIR"), None, SPACING)
    both = located.brain & alone.brain
    assert 2 * both.sum() / (located.brain.sum() + alone.brain.sum()) > 0.97
    for axis in "xyz":
        gap = abs(alone.channels[axis] - located.channels[axis])[both]
        assert gap.mean() < 0.03


@pytest.mark.parametrize("what", ["upside down", "back to front", "noise", "nothing", "half"])
def test_what_cannot_be_placed_is_refused(what: str) -> None:
    scan = scan_of(TRUTH)
    volume = {
        "upside down": scan[::-1],
        "back to front": scan[:, ::-1],
        "noise": np.random.default_rng(0).random(SHAPE).astype(np.float32),
        "nothing": np.zeros(SHAPE, np.float32),
        "half": np.where(np.arange(SHAPE[2]) < SHAPE[2] // 2, scan, np.float32(0)),
    }[what]
    with pytest.raises(RegistrationError, match="average brain") as caught:
        location.features(scan_of(TRUTH, "FLAIR"), np.ascontiguousarray(volume), SPACING)
    assert caught.value.exit_code == 91
    assert "--model" in str(caught.value)


GOOD, DOUBTFUL, WRONG = (0.9, 0.1), (0.7, 0.01), (0.9, -0.01)


@pytest.mark.parametrize(
    ("t1", "flair", "taken"),
    [
        (GOOD, WRONG, "T1"),
        (DOUBTFUL, GOOD, "FLAIR"),
        (DOUBTFUL, DOUBTFUL, None),
        (DOUBTFUL, WRONG, None),
        (WRONG, GOOD, None),
        ((0.6, 0.01), GOOD, None),
    ],
)
def test_flair_has_the_word_only_where_t1_leaves_doubt(
    monkeypatch: pytest.MonkeyPatch,
    t1: tuple[float, float],
    flair: tuple[float, float],
    taken: str | None,
) -> None:
    said = {"T1": t1, "FLAIR": flair}

    def place(volume: object, spacing_mm: object, maps: object, scan: str) -> Placement:
        return Placement(TRUTH.matrix, TRUTH.offset_mm, *said[scan])

    monkeypatch.setattr("wmhseg.channels.placement.place", place)
    if taken is None:
        with pytest.raises(RegistrationError, match="in the T1 image"):
            location.features(scan_of(TRUTH, "FLAIR"), scan_of(TRUTH, "T1"), SPACING)
        return
    found = location.features(scan_of(TRUTH, "FLAIR"), scan_of(TRUTH, "T1"), SPACING)
    assert (found.placement.quality, found.placement.lead) == said[taken]
