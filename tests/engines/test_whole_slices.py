"""Models of whole slices: scans of any size, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_preset

import wmhseg
from wmhseg.engines import keras_engine, openvino_engine
from wmhseg.engines.backends import start_keras
from wmhseg.engines.runtime import Runtime
from wmhseg.networks import catalogue
from wmhseg.weights import preset, store
from wmhseg.weights.inputs import Labels, inputs_of_channels
from wmhseg.weights.processing import Postprocessing, Preprocessing
from wmhseg.weights.store import Model

LABELS = Labels(("background", "WMH"), "softmax")
SIZES = ((7, 60, 72), (7, 64, 72), (7, 41, 90))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A uResNet of random weights on whole slices, all of whose slices count."""
    made = make_preset(
        name="whole",
        inputs=inputs_of_channels(1, "error"),
        labels=LABELS,
        preprocessing=Preprocessing(field=None, orientation="LPS"),
        postprocessing=Postprocessing(end_slices=0.0),
        members=(),
    )
    member = preset.unwritten_member("0.safetensors", "uresnet", {}, made.signature)
    made = preset.with_changes(made, members=(member,))
    shapes = catalogue.describe("uresnet", made.signature, {}).variables()
    rng = np.random.default_rng(3)
    tensors = {
        path: (rng.normal(0, np.sqrt(1 / max(1, np.prod(shape[:-1]))), shape)).astype(np.float32)
        for path, shape in shapes.items()
    }
    folder = tmp_path_factory.mktemp("models") / "whole"
    return store.save_model(folder, made, [tensors], "# Whole\n", dtype="float32")


def scan(shape: tuple[int, int, int]) -> np.ndarray:
    """A bright box in dark air, all voxels different."""
    rng = np.random.default_rng(shape[1])
    flair = rng.uniform(1, 3, shape).astype(np.float32)
    flair[:, 6:-6, 8:-8] += rng.uniform(200, 400, flair[:, 6:-6, 8:-8].shape).astype(np.float32)
    return flair


def engines() -> list[Any]:
    made: list[Any] = [openvino_engine.OpenVinoEngine(Runtime("openvino", "cpu", 1))]
    return [*made, keras_engine.KerasEngine(start_keras("cpu", 1))]


def test_scans_of_any_size_in_turns(model: Model) -> None:
    options = wmhseg.Options(on_unsuitable="warn", intensity_scale="keep")
    for engine in engines():
        segmenter = wmhseg.Segmenter(model, options, engine)
        found = [segmenter.segment(scan(size), spacing_mm=(4.0, 1.0, 1.0)) for size in SIZES]
        again = segmenter.segment(scan(SIZES[0]), spacing_mm=(4.0, 1.0, 1.0))
        np.testing.assert_array_equal(again.probability, found[0].probability)
        for size, result in zip(SIZES, found, strict=True):
            assert result.probability.shape == size
            assert result.probability.std() > 0
            # What the network says of the slices padded to a multiple of 8, cut back.
            loaded = segmenter.load(scan(size), spacing_mm=(4.0, 1.0, 1.0))
            (stack,) = loaded.inputs.stacks.values()
            rows, columns = stack.shape[1:3]
            assert [rows % 8, columns % 8] == [0, 0]
            on = preset.on_slices(model.preset, *size[1:])
            engine.load(Model(model.folder, on), on.members[0])
            said = engine.predict({"scan": stack})[..., 1]
            top, left = (rows - size[1]) // 2, (columns - size[2]) // 2
            own = said[:, top : top + size[1], left : left + size[2]]
            np.testing.assert_allclose(result.probability, own, atol=1e-5)


def test_no_more_than_one_size_is_kept(model: Model, tmp_path: Path) -> None:
    for engine, kept in zip(engines(), ("_members", "_built"), strict=True):
        for size in SIZES:
            on = preset.on_slices(model.preset, *size[1:])
            engine.load(Model(model.folder, on), on.members[0])
        assert len(getattr(engine, kept)) == 1
