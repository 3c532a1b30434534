"""Label volumes read as two masks, and the box that both are cut to."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from wmhseg.scoring import masks, metrics


def square(first: int, last: int) -> np.ndarray:
    """A square of voxels in slice 1, rows and columns first to last."""
    mask = np.zeros((3, 12, 12), bool)
    mask[1, first : last + 1, first : last + 1] = True
    return mask


@pytest.mark.parametrize(
    ("dtype", "values", "foreground"),
    [
        ("bool", [0, 1], [0, 1]),
        ("uint8", [0, 1, 2, 232], [0, 1, 1, 1]),  # the program's 8-bit range: 1 to 1000 - 768
        ("int8", [-1, 0, 1, 127], [0, 0, 1, 1]),
        ("int16", [-1, 0, 1, 1000, 1001], [0, 0, 1, 1, 0]),
        ("uint16", [0, 1, 1000, 65535], [0, 1, 1, 0]),
        ("int64", [0, 1, 1000, 1001], [0, 1, 1, 0]),
        ("float32", [0, 0.4999, 0.5, 1000, 1000.5], [0, 0, 1, 1, 0]),
        ("float64", [-1, 0.4999999, 0.5, 255], [0, 0, 1, 1]),
        ("float32", [np.nan, np.inf, -np.inf, 1], [0, 0, 0, 1]),
    ],
)
@pytest.mark.filterwarnings("ignore::wmhseg.scoring.masks.MaskWarning")
def test_result_thresholds(dtype: str, values: list[float], foreground: list[int]) -> None:
    """Integers are foreground from 1 to 1000, floating-point numbers from 0.5 to 1000."""
    result = np.array(values, dtype=dtype).reshape(1, 1, -1)
    _, found = masks.binarise(np.zeros(result.shape), result)
    assert found.ravel().tolist() == [bool(value) for value in foreground]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32", "float64"])
def test_reference_labels_whatever_their_type(dtype: str) -> None:
    """Label 1 is the reference; label 2 is taken out of both; 0 and 3 are background."""
    reference = np.array([0, 1, 1, 2, 2, 0], dtype=dtype).reshape(1, 1, -1)
    result = np.array([1, 1, 0, 1, 0, 0], dtype=np.uint8).reshape(1, 1, -1)
    truth, found = masks.binarise(reference, result)
    assert truth.ravel().tolist() == [False, True, True, False, False, False]
    assert found.ravel().tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize("read", [masks.binarise, metrics.dsc, metrics.match_lesions])
def test_a_warning_shows_the_line_that_asked(read: object) -> None:
    reference = square(3, 6).astype(np.uint8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(reference, reference * 255)  # type: ignore[operator]
    (warning,) = caught
    assert issubclass(warning.category, masks.MaskWarning)
    assert Path(warning.filename).name == Path(__file__).name


def test_common_box_keeps_a_margin() -> None:
    assert masks.common_box(square(3, 4), square(6, 6)) == (
        *(slice(0, 3), slice(2, 8), slice(2, 8)),
    )
    assert masks.common_box(square(0, 1), square(1, 1))[1] == slice(0, 3)  # cut at the edge


def test_a_pair_is_cut_to_its_box_and_counted() -> None:
    """Columns 3 to 6 and a margin of one make 6 x 6 of 12 x 12; label 2 is in neither mask."""
    labels, result = square(3, 6).astype(np.uint8), square(4, 5).astype(np.float32)
    labels[1, 4, 4] = 2
    with pytest.warns(masks.MaskWarning, match="fractions"):
        pair = masks.mask_pair(labels, result * np.float32(0.7))
    assert pair.reference.shape == pair.result.shape == (3, 6, 6)
    assert (pair.reference_vox, pair.result_vox) == (15, 3)
    assert pair.lesions.shared_vox.tolist() == [3]
    assert pair.notes == ("The result holds fractions: foreground is 0.5 and above.",)


def test_every_mask_is_outlined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    outlined = []
    original = masks.outline
    monkeypatch.setattr(masks, "outline", lambda mask: outlined.append(mask) or original(mask))
    metrics.evaluate(square(3, 6), square(4, 5), (3, 1, 1))
    assert [int(mask.sum()) for mask in outlined] == [16, 4]
