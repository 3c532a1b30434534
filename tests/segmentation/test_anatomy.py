"""The anatomy of a scan: on its own grid, with left on the left, in every order of its axes."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import Phantom, make_preset
from test_geometry import CODES

import wmhseg
from wmhseg import errors
from wmhseg.channels.network_input import Alone
from wmhseg.cli.main import main
from wmhseg.engines.runtime import Runtime
from wmhseg.segmentation import anatomy
from wmhseg.segmentation.anatomy import Anatomist
from wmhseg.segmentation.loading import Loaded
from wmhseg.segmentation.pipeline import Segmenter
from wmhseg.weights import store
from wmhseg.weights.inputs import Labels
from wmhseg.weights.processing import Postprocessing, Preprocessing
from wmhseg.weights.store import Model
from wmhseg.weights.structures import LATERAL, NUMBER, STRUCTURES

LEFT, RIGHT = (NUMBER[name] for name in LATERAL)
WHITE, GREY = NUMBER["white-matter"], NUMBER["deep-grey"]
PRESET = make_preset(
    name="sides",
    labels=Labels(STRUCTURES, "softmax"),
    preprocessing=Preprocessing(field=(64, 64), orientation="LPS"),
    postprocessing=Postprocessing(end_slices=0.0),
)


@dataclass
class Sides:
    """Very bright is the ventricle of its half of the field, the rest of the head white matter.

    Where T1 is bright, too, it is deep grey. For a model of WMH bright is WMH.
    """

    runtime: Runtime
    batch: int = 4
    anatomical: bool = False

    def load(self, model: Model, member: Any) -> None:
        self.anatomical = model.preset.labels.anatomical

    def predict(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        (stack,) = batch.values()
        flair, t1 = stack[..., 0], stack[..., 1]
        if not self.anatomical:
            return np.asarray(flair > 2, np.float32)[..., None]
        left = np.arange(flair.shape[2]) >= flair.shape[2] // 2
        side = np.where(left, LEFT, RIGHT)
        number = np.where(flair > 2, side, np.where(flair > -0.5, WHITE, 0))
        number = np.where(t1 > 2, GREY, number)
        made: np.ndarray = 0.9 * np.eye(len(STRUCTURES), dtype=np.float32)[number]
        return made + np.float32(0.1 / len(STRUCTURES))


@pytest.fixture(scope="module")
def engine() -> Sides:
    return Sides(Runtime("none", "cpu", 1))


@pytest.fixture
def anatomist(engine: Sides, no_doubts: None) -> Anatomist:
    return Anatomist(Model(Path("none"), PRESET), engine=engine)


@pytest.fixture
def bodies(phantom: Phantom) -> np.ndarray:
    """A head in which one bright block lies at each side, the left one larger."""
    flair = np.where(phantom.flair > 600, 300, phantom.flair)
    flair[6:10, 24:34, 40:50] = 900  # high columns are the patient's left
    flair[6:10, 24:34, 20:26] = 900
    return flair


def image(array: np.ndarray, spacing_mm: tuple[float, float, float]) -> sitk.Image:
    made = sitk.GetImageFromArray(array)
    made.SetSpacing(spacing_mm[::-1])
    made.SetOrigin((-30.0, -20.0, 5.0))
    return made


def test_blocks_are_named(anatomist: Anatomist, bodies: np.ndarray, phantom: Phantom) -> None:
    loaded = anatomist.load(bodies, spacing_mm=phantom.spacing_mm)
    found = anatomist.compute(loaded)
    assert found.labels.dtype == np.uint8
    bright = bodies == 900
    columns = np.broadcast_to(np.arange(bodies.shape[2]), bodies.shape)
    np.testing.assert_array_equal(found.labels == LEFT, bright & (columns > 30))
    np.testing.assert_array_equal(found.labels == RIGHT, bright & (columns < 30))
    np.testing.assert_array_equal(found.where(*LATERAL), bright)
    voxel_ml = float(np.prod(phantom.spacing_mm)) / 1000
    volumes = found.volumes_ml()
    assert volumes["left-lateral-ventricle"] == pytest.approx(400 * voxel_ml)
    assert volumes["right-lateral-ventricle"] == pytest.approx(240 * voxel_ml)
    assert "background" not in volumes
    assert not found.t1_used


def test_left_stays_left_in_all_48_orders(
    anatomist: Anatomist, bodies: np.ndarray, phantom: Phantom
) -> None:
    straight = image(bodies, phantom.spacing_mm)
    expected = anatomist.compute(anatomist.load(straight)).to_image()
    wanted = sitk.GetArrayFromImage(expected)
    assert len(CODES) == 48
    for code in CODES:
        found = anatomist.compute(anatomist.load(sitk.DICOMOrient(straight, code))).to_image()
        shape = sitk.LabelShapeStatisticsImageFilter()
        shape.Execute(found)
        # The patient's left is at high x, in scanner coordinates (LPS).
        assert shape.GetCentroid(LEFT)[0] > shape.GetCentroid(RIGHT)[0] + 10, code
        turned = sitk.DICOMOrient(found, "LPS")
        np.testing.assert_array_equal(sitk.GetArrayFromImage(turned), wanted, err_msg=code)
        assert turned.GetOrigin() == pytest.approx(expected.GetOrigin())


def test_a_mirrored_head_exchanges_its_sides(
    anatomist: Anatomist, bodies: np.ndarray, phantom: Phantom
) -> None:
    """The same file with its columns in reverse order is another head: left and right change."""
    centred = np.roll(bodies, -5, axis=2)  # the head's box lies in the middle of the field
    one, other = (
        anatomist.compute(anatomist.load(array, spacing_mm=phantom.spacing_mm)).volumes_ml()
        for array in (centred, np.ascontiguousarray(centred[:, :, ::-1]))
    )
    for own, theirs in (LATERAL, LATERAL[::-1]):
        assert one[own] == pytest.approx(other[theirs])
    assert one[LATERAL[0]] != one[LATERAL[1]]


def test_fine_pixels_come_back_to_the_scan(
    anatomist: Anatomist, bodies: np.ndarray, phantom: Phantom
) -> None:
    """Half as large pixels: computed on others, told on the scan's own."""
    slice_mm, row_mm, column_mm = phantom.spacing_mm
    fine = bodies.repeat(2, 1).repeat(2, 2)
    found = anatomist.compute(
        anatomist.load(fine, spacing_mm=(slice_mm, row_mm / 2, column_mm / 2))
    )
    assert found.labels.shape == fine.shape
    bright = fine == 900
    assert ((found.labels == LEFT) | (found.labels == RIGHT))[bright].mean() > 0.85
    assert found.where(*LATERAL).sum() == pytest.approx(bright.sum(), rel=0.15)


def test_parts_are_named_alone(
    anatomist: Anatomist, bodies: np.ndarray, phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few slices at once, or all: the same labels."""
    loaded = anatomist.load(bodies, spacing_mm=phantom.spacing_mm)
    whole, told = anatomist.compute(loaded).labels, []
    monkeypatch.setattr(anatomy, "_AT_ONCE", 3)
    parts = anatomist.compute(loaded, lambda done, total: told.append((done, total))).labels
    np.testing.assert_array_equal(parts, whole)
    assert told[:2] == [(3, len(bodies)), (6, len(bodies))]
    assert told[-1] == (len(bodies), len(bodies))


def changed(loaded: Loaded, **changes: Any) -> Loaded:
    return replace(loaded, inputs=replace(loaded.inputs, **changes))


def test_where_t1_shows_nothing_flair_alone_counts(
    anatomist: Anatomist, bodies: np.ndarray, phantom: Phantom
) -> None:
    t1 = np.where(bodies == 900, np.float32(1500), phantom.t1)
    loaded = anatomist.load(bodies, t1, spacing_mm=phantom.spacing_mm)
    assert (anatomist.compute(loaded).labels[bodies == 900] == GREY).all()
    stacks = {port: stack[[7]].copy() for port, stack in loaded.inputs.stacks.items()}
    for stack in stacks.values():
        stack[..., 1] = 0
    where = np.zeros((1, 64, 64), bool)
    where[:, :, :32] = True
    found = anatomist.compute(changed(loaded, alone=Alone(np.array([7]), stacks, where))).labels
    assert (found[7][bodies[7] == 900] != GREY).any()
    assert set(np.unique(found[7][bodies[7] == 900])) == {RIGHT, GREY}
    assert (found[8][bodies[8] == 900] == GREY).all()


def test_what_is_not_known_is_background(
    anatomist: Anatomist, bodies: np.ndarray, phantom: Phantom
) -> None:
    loaded = anatomist.load(bodies, spacing_mm=phantom.spacing_mm)
    unknown = np.zeros(bodies.shape, bool)
    unknown[8] = True
    found = anatomist.compute(changed(loaded, unknown=unknown)).labels
    assert not found[8].any()
    assert (found[7][bodies[7] == 900] > 0).all()


def test_a_segmenter_has_loaded_the_same(
    use_models: Path, anatomy_model: Path, phantom: Phantom, engine: Sides, no_doubts: None
) -> None:
    segmenter = Segmenter("bright", engine=engine)
    own = Anatomist(anatomy_model, engine=segmenter.start())
    assert own.takes_from(segmenter)
    loaded = segmenter.load(phantom.flair, phantom.t1, spacing_mm=phantom.spacing_mm)
    shared = own.compute(loaded).labels
    mask = segmenter.compute(loaded).mask
    assert mask.any()
    alone = own.compute(own.load(phantom.flair, phantom.t1, spacing_mm=phantom.spacing_mm)).labels
    np.testing.assert_array_equal(shared, alone)
    assert np.isin(shared[mask == 1], (LEFT, RIGHT)).all()
    assert not Anatomist(anatomy_model).takes_from(Segmenter("bright-flair"))
    kept = wmhseg.Options(intensity_scale="keep")
    assert not Anatomist(anatomy_model, kept).takes_from(segmenter)


def test_models_that_mark_name_nothing(use_models: Path, anatomy_model: Path) -> None:
    with pytest.raises(errors.UsageError, match=r"names the structures.*bright, which marks WMH"):
        Anatomist("bright")
    with pytest.raises(errors.UsageError, match=r"marks white matter"):
        wmhseg.segment("none.nii.gz", model=anatomy_model)


def test_it_can_be_sent(anatomy_model: Path) -> None:
    sent = pickle.loads(pickle.dumps(Anatomist(anatomy_model)))
    assert sent.model == store.read_model(anatomy_model)


def test_models_tells_what_it_names(
    anatomy_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WMHSEG_MODELS", str(anatomy_model.parent))
    assert main(["models", "--json"]) == 0
    row = next(r for r in json.loads(capsys.readouterr().out) if r["name"] == anatomy_model.name)
    assert row["names"] == ", ".join(STRUCTURES)
    assert not {"marks", "readers"} & row.keys()
