"""The mean over an ensemble, with an engine that is known by heart, and with Keras."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_preset, of_scan
from hypothesis import given
from hypothesis import strategies as st

from wmhseg.channels.network_input import NetworkInput
from wmhseg.engines import keras_engine
from wmhseg.engines.interface import Batch
from wmhseg.engines.runtime import Runtime
from wmhseg.errors import ChecksumError, PresetError, WeightsError
from wmhseg.networks import catalogue, keras_model, variables
from wmhseg.networks.graph import Graph
from wmhseg.segmentation import ensemble
from wmhseg.weights import store
from wmhseg.weights.inputs import Input, Labels
from wmhseg.weights.preset import Member
from wmhseg.weights.processing import OtherLabel, Preprocessing
from wmhseg.weights.store import Model

FIELD = (3, 2)
NOWHERE: Any = None


class FakeEngine:
    """Member k says FLAIR / 2**k at each voxel, plus how bright its slice is, over 1000."""

    runtime = Runtime("none", "cpu", 1)
    batch = 4

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.batches: list[np.ndarray] = []

    def load(self, model: Model, member: Member) -> None:
        self.loaded.append(member.file)

    def predict(self, batch: Batch) -> np.ndarray:
        scan = batch["scan"]
        self.batches.append(scan)
        return scan[..., :1] / 2 ** int(self.loaded[-1][0]) + self.brightness(scan)

    @staticmethod
    def brightness(batch: np.ndarray) -> np.ndarray:
        return batch[..., :1].max((1, 2), keepdims=True) / 1000


def model(count: int, field: tuple[int, int] = FIELD) -> Model:
    members = tuple(Member(f"{i}.safetensors", "0" * 64, "tiny", {}, 3) for i in range(count))
    method = Preprocessing(field=field)
    return Model(Path("nowhere"), make_preset(members=members, preprocessing=method))


def mean_probability(scan: np.ndarray, *arguments: Any, **options: Any) -> np.ndarray:
    """Of one port and one label: (slice, row, column, channel) -> (slice, row, column)."""
    found = ensemble.mean_probability({"scan": scan}, *arguments, **options)
    assert found.shape[3:] == (1,)
    return found[..., 0]


def stack(slices: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((slices, *FIELD, 2), np.float32)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_mean_of_the_members(count: int) -> None:
    engine, scan = FakeEngine(), stack(5)
    mean = mean_probability(scan, model(count), engine)
    assert mean.shape == (5, *FIELD)
    assert mean.dtype == np.float32
    factor = sum(2.0**-i for i in range(count)) / count
    known = scan[..., :1] * factor + engine.brightness(scan)
    np.testing.assert_allclose(mean, known[..., 0], rtol=1e-6)
    # Members are loaded once each, one after the other.
    assert engine.loaded == [f"{i}.safetensors" for i in range(count)]


@given(st.integers(1, 12), st.integers(1, 15), st.integers(1, 3))
def test_the_batch_never_changes_the_result(slices: int, batch: int, count: int) -> None:
    engine, scan = FakeEngine(), stack(slices)
    mean = mean_probability(scan, model(count), engine, batch=batch)
    alone = [mean_probability(part[None], model(count), FakeEngine())[0] for part in scan]
    np.testing.assert_array_equal(mean, alone)
    # Bounded; the engine fills up what it wants of one size.
    assert max(len(part) for part in engine.batches) == min(batch, slices)
    assert len(engine.batches) == count * -(-slices // batch)


@given(st.integers(1, 12), st.integers(1, 15), st.integers(1, 3))
def test_progress_is_monotone_and_complete(slices: int, batch: int, count: int) -> None:
    told: list[tuple[int, int]] = []
    mean_probability(
        stack(slices),
        model(count),
        FakeEngine(),
        batch=batch,
        progress=lambda done, total: told.append((done, total)),
    )
    assert {total for _, total in told} == {slices * count}
    done = [0, *(done for done, _ in told)]
    steps = np.diff(done)
    assert (steps > 0).all()
    assert (steps <= batch).all()
    assert done[-1] == slices * count


def test_no_slices() -> None:
    assert mean_probability(stack(0), model(2), FakeEngine()).shape == (0, *FIELD)


def test_a_slice_is_empty_when_it_is_so_in_every_port() -> None:
    """Slices 0 and 3 are equal throughout; 1 and 2 equal them in one port each."""
    near, deep = (np.zeros((4, *FIELD, 1), np.float32) for _ in range(2))
    near[1, 0, 0], deep[2, 0, 0] = 7, 5
    inputs = [Input(port, "FLAIR", "z-score", "error", port) for port in ("near", "deep")]

    class Sum(FakeEngine):
        def predict(self, batch: Batch) -> np.ndarray:
            self.batches.append(batch["near"])
            return batch["near"] + batch["deep"]

    engine = Sum()
    made = model(1)
    made = Model(made.folder, replace(made.preset, inputs=tuple(inputs)))
    found = ensemble.mean_probability({"near": near, "deep": deep}, made, engine, batch=1)
    assert len(engine.batches) == 3
    np.testing.assert_array_equal(found, near + deep)


def test_the_maps_that_masks_are_made_of_are_taken_whatever_their_places() -> None:
    """Three labels of 20 slices, of which the first two and the last two are not computed."""

    class Three(FakeEngine):
        def predict(self, batch: Batch) -> np.ndarray:
            self.batches.append(batch["scan"])
            return np.concatenate([batch["scan"][..., :1] * k for k in (1, 2, 3)], -1)

    engine, scan, made = Three(), stack(20), model(1)
    for place in range(3):
        names = ["a", "b"]
        names.insert(place, "WMH")
        labels = Labels(tuple(names), "softmax")
        others = (OtherLabel("b"),) if place == 1 else ()
        chosen = Model(made.folder, replace(made.preset, labels=labels, others=others))
        inputs = NetworkInput({"scan": scan}, NOWHERE, {}, ())
        found = ensemble.label_probabilities(inputs, chosen, engine).labels
        assert list(found) == ["WMH", *(one.label for one in others)]
        for label, probability in found.items():
            known = scan[..., 0] * (names.index(label) + 1)
            known[:2] = known[-2:] = 0
            np.testing.assert_array_equal(probability, known)
    assert sum(map(len, engine.batches)) == 3 * 16


def test_certain_members_stay_certain() -> None:
    """The mean of ones is exactly one, for any number of members."""

    class Sure(FakeEngine):
        def predict(self, batch: Batch) -> np.ndarray:
            return np.ones((*batch["scan"].shape[:3], 1), np.float32)

    for count in (1, 3, 7, 64):
        assert (mean_probability(stack(2), model(count), Sure()) == 1).all()


class LeftRight(FakeEngine):
    """Member k says FLAIR, the more the further the column is to the right, over 2**k."""

    def predict(self, batch: Batch) -> np.ndarray:
        scan = batch["scan"]
        self.batches.append(scan)
        weights = np.arange(1, scan.shape[2] + 1, dtype=np.float32)[:, None]
        return scan[..., :1] * weights / 2 ** int(self.loaded[-1][0])


@given(st.integers(1, 7), st.integers(1, 9), st.integers(1, 3))
def test_flips_average_each_member_with_the_scan_the_other_way_round(
    slices: int, batch: int, count: int
) -> None:
    scan, made = stack(slices), model(count)
    plain = mean_probability(scan, made, LeftRight())
    # By hand: columns 0, 1 count 1, 2 times as they are, 2, 1 times flipped and turned back.
    factor = sum(2.0**-i for i in range(count)) / count
    np.testing.assert_allclose(plain, scan[..., 0] * [1, 2] * factor, rtol=1e-6)
    engine = LeftRight()
    flipping = Model(made.folder, replace(made.preset, flips=True))
    found = mean_probability(scan, flipping, engine, batch=batch)
    np.testing.assert_allclose(found, scan[..., 0] * 1.5 * factor, rtol=1e-6)
    assert found.dtype == np.float32
    # Twice the work, each member loaded once.
    assert len(engine.batches) == 2 * count * -(-slices // batch)
    assert engine.loaded == [f"{i}.safetensors" for i in range(count)]
    assert sum(map(len, engine.batches)) == 2 * count * slices


@given(st.integers(1, 7), st.integers(1, 9), st.booleans())
def test_what_each_member_says_changes_nothing_and_is_what_it_says_alone(
    slices: int, batch: int, flips: bool
) -> None:
    scan, made = stack(slices), model(3)
    scan[slices // 2 :] = 0.25  # of which one is computed for all
    made = Model(made.folder, replace(made.preset, flips=flips))
    each: list[np.ndarray] = []
    mean = mean_probability(scan, made, LeftRight(), batch=batch, each=each)
    np.testing.assert_array_equal(mean, mean_probability(scan, made, LeftRight(), batch=batch))
    assert len(each) == 3
    for number, said in enumerate(each):
        alone = replace(made.preset, members=made.preset.members[number : number + 1])
        own = mean_probability(scan, Model(made.folder, alone), LeftRight(), batch=batch)
        np.testing.assert_allclose(said[..., 0], own, rtol=1e-6)
        assert said.shape == (slices, *FIELD, 1)


def test_members_are_named_by_their_files_or_by_numbers() -> None:
    made = model(2).preset
    assert ensemble.member_names(made) == ["0", "1"]
    same = [replace(made.members[0], file=f"unet.{ending}") for ending in ("a", "b")]
    assert ensemble.member_names(replace(made, members=tuple(same))) == ["0", "1"]
    other = replace(made.members[0], file="unet-thick.safetensors")
    assert ensemble.member_names(replace(made, members=(other, same[0]))) == ["unet-thick", "unet"]


def test_certain_members_stay_certain_when_flipped() -> None:
    class Sure(FakeEngine):
        def predict(self, batch: Batch) -> np.ndarray:
            return np.ones((*batch["scan"].shape[:3], 1), np.float32)

    for count in (1, 3, 7):
        made = model(count)
        flipping = Model(made.folder, replace(made.preset, flips=True))
        assert (mean_probability(stack(2), flipping, Sure()) == 1).all()


# Keras ------------------------------------------------------------------------------------------

A, B, C = 1.2345678, -0.8765432, 0.1234567


def tensors(c: float = C) -> variables.Tensors:
    return {
        "output/kernel": np.float32([A, B]).reshape(1, 1, 2, 1),
        "output/bias": np.float32([c]),
    }


@pytest.fixture
def runtime(tiny_network: Callable[..., Any]) -> Runtime:
    import keras

    return Runtime(keras.config.backend(), "cpu", 1)


def saved(folder: Path, biases: tuple[float, ...] = (C,), **change: Any) -> Model:
    """A model of tiny networks sigmoid(A * FLAIR + B * T1 + c), one for each c."""
    member = replace(Member("0.safetensors", "0" * 64, "tiny", {}, 3), **change)
    members = tuple(replace(member, file=f"{i}.safetensors") for i in range(len(biases)))
    made = make_preset(
        name=folder.name, members=members, preprocessing=Preprocessing(field=(16, 18))
    )
    return store.save_model(folder, made, [tensors(c) for c in biases], "", dtype="float32")


def scan(slices: int = 3) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(slices, 16, 18, 2)).astype(np.float32)


def expected(stack: np.ndarray, c: float = C) -> np.ndarray:
    flair, t1 = stack.astype(np.float64).transpose(3, 0, 1, 2)
    return 1 / (1 + np.exp(-(A * flair + B * t1 + c)))


def test_keras_computes_the_mean(tmp_path: Path, runtime: Runtime) -> None:
    made = saved(tmp_path / "some-model", (C, -2.0, 3.0))
    mean = mean_probability(scan(), made, keras_engine.KerasEngine(runtime), batch=2)
    assert mean.dtype == np.float32
    known = np.mean([expected(scan(), c) for c in (C, -2.0, 3.0)], axis=0)
    np.testing.assert_allclose(mean, known, atol=2e-7)


@pytest.fixture
def half_precision() -> Iterator[str]:
    """A host program that computes its own networks in half precision."""
    import keras

    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float16")
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield "mixed_bfloat16"
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


def test_keras_is_float32_whatever_the_host_program_uses(
    tmp_path: Path, runtime: Runtime, half_precision: str
) -> None:
    import keras

    made = saved(tmp_path / "some-model")
    engine = keras_engine.KerasEngine(runtime)
    engine.load(made, made.preset.members[0])
    # Half precision would be off by 1e-3.
    found = engine.predict({"scan": scan()})[..., 0]
    np.testing.assert_allclose(found, expected(scan()), atol=2e-7)
    assert keras.config.dtype_policy().name == half_precision
    assert keras.config.floatx() == "float16"


def test_settings_of_the_host_survive_a_failure(
    tmp_path: Path, runtime: Runtime, half_precision: str
) -> None:
    import keras

    made = saved(tmp_path / "some-model", options={"depth": 3})
    with pytest.raises(PresetError, match="depth"):
        keras_engine.KerasEngine(runtime).load(made, made.preset.members[0])
    assert keras.config.dtype_policy().name == half_precision
    assert keras.config.floatx() == "float16"


def test_wrong_parameter_count(tmp_path: Path, runtime: Runtime) -> None:
    made = saved(tmp_path / "some-model", parameters=4)
    with pytest.raises(WeightsError, match=r"4 parameters.*Received: 3 in tiny"):
        keras_engine.KerasEngine(runtime).load(made, made.preset.members[0])


def test_wrong_parameter_count_of_a_later_member(tmp_path: Path, runtime: Runtime) -> None:
    """The network of the second member is there already; its number is checked all the same."""
    made = saved(tmp_path / "some-model", (C, C))
    first, second = made.preset.members
    made = Model(made.folder, replace(made.preset, members=(first, replace(second, parameters=5))))
    engine = keras_engine.KerasEngine(runtime)
    engine.load(made, first)
    with pytest.raises(WeightsError, match="5 parameters"):
        engine.load(made, made.preset.members[1])


def test_unknown_network(tmp_path: Path, runtime: Runtime) -> None:
    made = saved(tmp_path / "some-model", network="resnet")
    with pytest.raises(PresetError, match=r"unet.*stacknet.*Received: \"resnet\""):
        keras_engine.KerasEngine(runtime).load(made, made.preset.members[0])


@pytest.mark.parametrize(
    "options", [{"depth": 3}, {"field": 16}, {"channels": 2}, {"wide": True, "x": 1}]
)
def test_wrong_options(tmp_path: Path, runtime: Runtime, options: dict[str, Any]) -> None:
    made = saved(tmp_path / "some-model", options=options)
    with pytest.raises(PresetError, match=f"tiny.*{next(iter(options))}"):
        keras_engine.KerasEngine(runtime).load(made, made.preset.members[0])


def test_weights_of_another_network(tmp_path: Path, runtime: Runtime) -> None:
    made = saved(tmp_path / "some-model", options={"wide": True}, parameters=17)
    with pytest.raises(WeightsError, match=r"0\.safetensors: output/kernel"):
        keras_engine.KerasEngine(runtime).load(made, made.preset.members[0])


def test_damaged_weights_are_not_used(tmp_path: Path, runtime: Runtime) -> None:
    made = saved(tmp_path / "some-model", (C, C))
    (made.folder / "1.safetensors").write_bytes(b"damaged")
    with pytest.raises(ChecksumError):
        mean_probability(scan(1), made, keras_engine.KerasEngine(runtime))


def test_one_network_serves_all_members_of_a_kind(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    build = keras_model.to_keras

    def counted(described: Graph, **types: Any) -> Any:
        built.append(described.name)
        return build(described, **types)

    monkeypatch.setattr(keras_model, "to_keras", counted)
    made = saved(tmp_path / "some-model", (0.0, 1.0, 2.0))
    mean_probability(scan(1), made, keras_engine.KerasEngine(runtime))
    assert len(built) == 1


@pytest.fixture(scope="module")
def unet() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    return keras_model.to_keras(catalogue.describe("unet", of_scan((16, 18), 1), {}))


@pytest.mark.parametrize("batch", [2, 3, 5, 8])
def test_keras_batch_equals_one_by_one(unet: Any, batch: int) -> None:
    """A real network: no convolution or pooling mixes slices."""
    import keras

    class Ready(keras_engine.KerasEngine):
        def load(self, model: Model, member: Member) -> None:
            self._network = unet

    engine = Ready(Runtime(keras.config.backend(), "cpu", 1))
    scan = np.random.default_rng(2).normal(size=(5, 16, 18, 1)).astype(np.float32)
    mean = mean_probability(scan, model(1, (16, 18)), engine, batch=batch)
    assert mean.std() > 1e-3
    for index in range(len(scan)):
        one = mean_probability(scan[index : index + 1], model(1, (16, 18)), engine)
        # Libraries sum in another order for another batch; a mixed-up slice is off by 0.1.
        np.testing.assert_allclose(mean[index], one[0], atol=1e-5)


def test_keras_fills_the_last_batch_up_with_zeros_and_leaves_them_out() -> None:
    """So that one compiled graph serves all batches of a member."""
    seen: list[np.ndarray] = []

    class Network:
        inputs = (type("Port", (), {"name": "scan"}),)

        def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
            seen.append(batch)
            return batch[..., :1]

    class Ready(keras_engine.KerasEngine):
        def load(self, model: Model, member: Member) -> None:
            self._network = Network()

    scan = stack(5)
    engine = Ready(Runtime("none", "cpu", 1))
    engine.scope = nullcontext  # type: ignore[method-assign, assignment]
    mean = mean_probability(scan, model(1), engine, batch=3)
    np.testing.assert_array_equal(mean, scan[..., 0])
    first, last = seen
    np.testing.assert_array_equal(first, scan[:3])
    np.testing.assert_array_equal(last[:2], scan[3:])
    assert (last[2] == 0).all()
    assert last.dtype == np.float32
