"""From the authors' Keras-2 files to a model that can be found and used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import of_scan
from keras2_files import legacy_name, random_value, write_legacy

from wmhseg.engines import backends, keras_engine, runtime
from wmhseg.errors import MissingFileError, PresetError, UsageError, WeightsError
from wmhseg.io import checksums
from wmhseg.networks import catalogue
from wmhseg.networks.keras_model import to_keras
from wmhseg.segmentation import ensemble
from wmhseg.weights import importing, keras2, methods, store
from wmhseg.weights.importing import Import
from wmhseg.weights.inputs import WMH_ALONE, inputs_of_channels
from wmhseg.weights.methods import METHODS

SMALL = replace(
    METHODS["released"], preprocessing=replace(METHODS["released"].preprocessing, field=(32, 32))
)


@pytest.fixture(autouse=True)
def _same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader's child process has tests of its own, and takes seconds on a busy machine."""
    monkeypatch.setattr(keras2, "_contents_from_child", keras2.contents)


FLAIR = inputs_of_channels(1, "error")


def keras_model(network: Callable[..., Any], channels: int = 2, **options: Any) -> Any:
    """A described network in Keras, on 16 x 16 pixels."""
    return to_keras(network(of_scan((16, 16), channels), **options))


def write(path: Path, network: Any, seed: int) -> dict[str, np.ndarray]:
    """Writes a Keras-2 file with random weights for a network, and returns them."""
    rng = np.random.default_rng(seed)
    values = {v.path: random_value(v.path, tuple(v.shape), rng) for v in network.weights}
    layers = dict.fromkeys(variable.split("/")[0] for variable in values)
    names = {layer: legacy_name(layer, index) for index, layer in enumerate(layers)}
    with h5py.File(path, "w") as file:
        write_legacy(file, values, names)
    return values


@pytest.fixture
def files(tmp_path: Path, tiny_network: Callable[..., Any]) -> list[Path]:
    """Two weight files of the tiny network."""
    paths = [tmp_path / "0.h5", tmp_path / "1.h5"]
    for seed, path in enumerate(paths):
        write(path, keras_model(tiny_network), seed)
    return paths


def test_same_output_as_keras_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    paths = [tmp_path / "0.h5", tmp_path / "1.h5"]
    stack = np.random.default_rng(0).normal(size=(3, 32, 32, 2)).astype(np.float32)
    outputs, values = [], []
    network = to_keras(catalogue.describe("unet", of_scan((32, 32), 2), {}))
    for seed, path in enumerate(paths):
        values.append(write(path, network, seed))
        network.load_weights(str(path))  # Keras 3 reads a legacy .h5 in topological order
        outputs.append(np.asarray(network(stack, training=False))[..., 0])

    monkeypatch.setitem(methods.METHODS, "small", SMALL)
    made = importing.import_keras2(
        paths, Import("theirs", method="small"), into=tmp_path / "models"
    )
    monkeypatch.setenv("WMHSEG_MODELS", str(tmp_path / "models"))
    found = store.find("theirs")
    assert found == made
    for member, expected in zip(found.preset.members, values, strict=True):
        assert member.parameters == 8_742_209
        for name, array in store.load(found, member).items():
            np.testing.assert_array_equal(array, expected[name])

    engine = keras_engine.KerasEngine(runtime.Runtime(keras.config.backend(), "cpu", 1))
    mean = ensemble.mean_probability({"scan": stack}, found, engine)[..., 0]
    np.testing.assert_allclose(mean, np.mean(outputs, 0), rtol=0, atol=1e-5)
    # That would say nothing of members that agree, or of constant maps.
    assert np.abs(outputs[0] - outputs[1]).max() > 0.01
    assert mean.std() > 0.01


def test_released_is_the_default(
    tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("WMHSEG_MODELS", "")
    made = importing.import_keras2(files, Import("theirs", network="tiny", licence="MIT"))
    assert made.folder == tmp_path / "data" / "wmhseg" / "models" / "theirs"
    assert store.find("theirs") == made
    what = made.preset
    assert what.preprocessing == METHODS["released"].preprocessing
    assert what.postprocessing == METHODS["released"].postprocessing
    assert methods.method_name(what) == "released"
    assert [one.name for one in what.inputs] == ["FLAIR", "T1"]
    assert (what.labels, what.licence) == (WMH_ALONE, "MIT")
    assert not what.works_without_t1
    assert [m.file for m in what.members] == ["0.safetensors", "1.safetensors"]
    assert "0.h5, 1.h5" in what.description
    card = (made.folder / "MODEL_CARD.md").read_text()
    for path in files:
        assert f"| {path.name} | {checksums.sha256_of(path)} |" in card
    assert "MIT" in card


def test_flair_alone(tmp_path: Path, tiny_network: Callable[..., Any]) -> None:
    write(tmp_path / "0.h5", keras_model(tiny_network, 1), 0)
    made = importing.import_keras2(
        [tmp_path / "0.h5"], Import("theirs", network="tiny", inputs=FLAIR), into=tmp_path
    )
    assert made.preset.inputs == FLAIR
    assert not made.preset.takes_t1
    assert made.preset.works_without_t1
    assert made.preset.members[0].parameters == 2


def test_options_reach_the_network(tmp_path: Path, tiny_network: Callable[..., Any]) -> None:
    write(tmp_path / "0.h5", keras_model(tiny_network, wide=True), 0)
    what = Import("theirs", network="tiny", options={"wide": True})
    made = importing.import_keras2([tmp_path / "0.h5"], what, into=tmp_path)
    assert made.preset.members[0].options == {"wide": True}
    assert made.preset.members[0].parameters == 17


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"method": "guessed"}, UsageError, r"published.*released.*\"guessed\""),
        ({"network": "resnet"}, PresetError, r"unet.*\"resnet\""),
        ({"options": {"depth": 3}}, PresetError, "tiny takes.*depth"),
        ({"options": {"wide": True}}, WeightsError, "wide"),
        ({"inputs": FLAIR}, WeightsError, r"output was expected with kernel \(1, 1, 1, 1\)"),
        ({"inputs": ()}, PresetError, "One input layer was expected"),
        ({"inputs": 2 * FLAIR}, PresetError, "inputs"),
        ({"name": "Theirs"}, PresetError, "Theirs"),
        ({"name": "../theirs"}, PresetError, "theirs"),
        ({"licence": "two\nlines"}, PresetError, "licence"),
    ],
)
def test_what_does_not_fit_leaves_nothing(
    tmp_path: Path, files: list[Path], change: dict[str, Any], kind: type[Exception], message: str
) -> None:
    what = replace(Import("theirs", network="tiny"), **change)
    with pytest.raises(kind, match=message):
        importing.import_keras2(files, what, into=tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_one_bad_file_leaves_nothing(tmp_path: Path, files: list[Path]) -> None:
    what, into = Import("theirs", network="tiny"), tmp_path / "models"
    (tmp_path / "page.h5").write_bytes(b"<html></html>" * 100)
    with pytest.raises(WeightsError, match=r"page\.h5"):
        importing.import_keras2([*files, tmp_path / "page.h5"], what, into=into)
    with pytest.raises(MissingFileError, match=r"absent\.h5"):
        importing.import_keras2([*files, tmp_path / "absent.h5"], what, into=into)
    with pytest.raises(PresetError, match="members"):
        importing.import_keras2([], what, into=into)
    assert not into.exists()


def test_taken_name(tmp_path: Path, files: list[Path]) -> None:
    what = Import("theirs", network="tiny")
    made = importing.import_keras2(files, what, into=tmp_path / "models")
    with pytest.raises(PresetError, match="not taken"):
        importing.import_keras2(files[:1], what, into=tmp_path / "models")
    assert store.find(made.folder) == made


def test_odd_file_names(tmp_path: Path, files: list[Path]) -> None:
    odd = files[0].rename(tmp_path / "a\nb\x1b.h5")
    made = importing.import_keras2([odd], Import("theirs", network="tiny"), into=tmp_path)
    assert "a?b?.h5" in made.preset.description
    assert "| a?b?.h5 |" in (made.folder / "MODEL_CARD.md").read_text()


def test_importing_starts_no_engine(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking for a device would settle it for later runs of the same process."""
    asked: list[Any] = []
    monkeypatch.setattr(backends, "start_keras", lambda *device: asked.append(device))
    importing.import_keras2(files, Import("theirs", network="tiny"), into=tmp_path)
    assert asked == []
