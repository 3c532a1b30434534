"""OpenVINO against Keras, and how an engine is chosen."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_preset, of_scan, random_tensors

from wmhseg.engines import backends, openvino_core, openvino_engine, runtime
from wmhseg.engines.interface import Batch, Engine
from wmhseg.engines.keras_engine import KerasEngine
from wmhseg.engines.runtime import Runtime
from wmhseg.engines.start import start_engine
from wmhseg.errors import ChecksumError, DeviceError, UsageError, WeightsError
from wmhseg.networks import catalogue
from wmhseg.segmentation import ensemble
from wmhseg.weights import store
from wmhseg.weights.inputs import inputs_of_channels
from wmhseg.weights.preset import Member
from wmhseg.weights.processing import Preprocessing
from wmhseg.weights.store import Model

pytest.importorskip("openvino", reason="the optional extra openvino is not installed")

ROOT = Path(__file__).resolve().parents[2]
CPU = Runtime("openvino", "cpu", 2)

# Every network of the table of one sigmoid, all its options, odd fields, one and two channels; the
# others are in tests/networks.
VARIANTS = {
    "unet": ("unet", {}, 2, (48, 64)),
    "unet-odd": ("unet", {}, 2, (57, 39)),
    "unet-smallest": ("unet", {"kernel": 3}, 2, (16, 17)),
    "unet-bn": ("unet", {"batch_norm": True}, 2, (33, 48)),
    "unet-flair": ("unet", {}, 1, (40, 48)),
    "stacknet": ("stacknet", {}, 2, (31, 49)),
    "stacknet-bn": ("stacknet", {"kernel": 5, "depth": 2, "batch_norm": True}, 2, (48, 32)),
    "stacknet-all": ("stacknet", {"depth": 3, "stacked_stages": 4}, 1, (64, 47)),
}


def made(folder: Path, variant: str, seeds: tuple[int, ...] = (0,)) -> Model:
    network, options, channels, field = VARIANTS[variant]
    described = catalogue.describe(network, of_scan(field, channels), options)
    count = described.parameter_count()
    members = tuple(
        Member(f"{s}.safetensors", "0" * 64, network, dict(options), count) for s in seeds
    )
    preset = make_preset(
        name=folder.name,
        members=members,
        inputs=inputs_of_channels(channels, "error"),
        preprocessing=Preprocessing(field=field),
    )
    values = [random_tensors(described, seed) for seed in seeds]
    return store.save_model(folder, preset, values, "", dtype="float32")


def scan(model: Model, slices: int = 3) -> np.ndarray:
    size = (slices, *model.preset.preprocessing.field, len(model.preset.inputs))
    return np.random.default_rng(5).normal(size=size).astype(np.float32)


def predict(engine: Engine, scan: np.ndarray) -> np.ndarray:
    """Of one port and one label: (slice, row, column, channel) -> (slice, row, column)."""
    found = engine.predict({"scan": scan})
    assert found.shape == (*scan.shape[:3], 1)
    return found[..., 0]


def mean_probability(scan: np.ndarray, *arguments: Any, **options: Any) -> np.ndarray:
    """Of one port and one label: (slice, row, column, channel) -> (slice, row, column)."""
    found = ensemble.mean_probability({"scan": scan}, *arguments, **options)
    assert found.shape == (*scan.shape[:3], 1)
    return found[..., 0]


def keras_engine() -> KerasEngine:
    import keras

    return KerasEngine(Runtime(keras.config.backend(), "cpu", 2))


@pytest.mark.parametrize("variant", VARIANTS)
def test_openvino_equals_keras(tmp_path: Path, variant: str) -> None:
    model = made(tmp_path / "some-model", variant)
    found = []
    for engine in (keras_engine(), openvino_engine.OpenVinoEngine(CPU)):
        engine.load(model, model.preset.members[0])
        found.append(predict(engine, scan(model)))
        assert found[-1].dtype == np.float32
    assert found[0].std() > 0.01
    # bfloat16 would be off by 1e-3 and more: see below.
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-5)


def computed(model: Model, engine: openvino_engine.OpenVinoEngine) -> tuple[np.ndarray, Any]:
    """A member's probabilities, and what OpenVINO compiled."""
    engine.load(model, model.preset.members[0])
    found = predict(engine, scan(model))
    return found, engine._current._queue[0].get_compiled_model()  # type: ignore[union-attr]


def test_float32_is_asked_for_and_threads_are_free_to_move(tmp_path: Path) -> None:
    model = made(tmp_path / "some-model", "unet")
    _, compiled = computed(model, openvino_engine.OpenVinoEngine(CPU))
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 2
    # Tied to cores, two processes side by side take the same ones.
    assert compiled.get_property("ENABLE_CPU_PINNING") is False
    # A slice a thread: threads on one slice wait for each other after every layer.
    assert compiled.get_property("NUM_STREAMS") == 2


@pytest.mark.parametrize(("threads", "streams"), [(1, 1), (2, 2), (4, 4), (64, 4)])
def test_slices_side_by_side_are_few_enough_for_the_memory(threads: int, streams: int) -> None:
    how = openvino_engine.side_by_side(replace(CPU, threads=threads))
    assert how["NUM_STREAMS"] == streams == openvino_engine.streams(threads)
    assert how["INFERENCE_NUM_THREADS"] == threads


def test_slices_side_by_side_come_out_in_their_order_to_the_bit(tmp_path: Path) -> None:
    model = made(tmp_path / "some-model", "unet-flair")
    engine = openvino_engine.OpenVinoEngine(replace(CPU, threads=3))
    engine.load(model, model.preset.members[0])
    assert engine.batch == 12
    stack = scan(model, 17)
    together = predict(engine, stack)
    alone = openvino_engine.OpenVinoEngine(replace(CPU, threads=1))
    alone.load(model, model.preset.members[0])
    for number in range(17):
        np.testing.assert_array_equal(together[number], predict(alone, stack[[number]])[0])


def test_openvino_is_held_to_what_the_variable_says(tmp_path: Path) -> None:
    """``make test-avx2`` computes as processors without AVX-512 do."""
    if os.environ.get("ONEDNN_MAX_CPU_ISA") != "AVX2":
        pytest.skip("ONEDNN_MAX_CPU_ISA is not AVX2: see make test-avx2")
    model = made(tmp_path / "some-model", "unet")
    _, compiled = computed(model, openvino_engine.OpenVinoEngine(CPU))
    kernels = [
        node.get_rt_info()["primitiveType"].astype(str)
        for node in compiled.get_runtime_model().get_ops()
        if node.get_rt_info()["layerType"].astype(str) == "Convolution"
    ]
    assert kernels
    assert all("avx2" in kernel and "avx512" not in kernel for kernel in kernels), kernels


@pytest.mark.asks_the_processor
def test_bfloat16_is_asked_for_and_is_not_float32(tmp_path: Path) -> None:
    try:
        machine = openvino_core.start_openvino(2, "bf16")
    except DeviceError:
        pytest.skip("this processor has no bfloat16")
    model = made(tmp_path / "some-model", "unet")
    full, _ = computed(model, openvino_engine.OpenVinoEngine(CPU))
    half, compiled = computed(model, openvino_engine.OpenVinoEngine(machine))
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "bf16"
    # 8 significant bits through two dozen layers; how far masks move is measured, not tested.
    assert 1e-4 < np.abs(full - half).max() < 0.1


def halved(model: Any) -> Any:
    """The same OpenVINO model, its probabilities divided by 2."""
    import openvino
    from openvino import opset13

    found = model.results[0].input_value(0)
    half = opset13.multiply(found, opset13.constant(np.float32(0.5)))
    return openvino.Model([opset13.result(half)], model.get_parameters(), "halved")


@pytest.mark.parametrize("variant", ["unet", "unet-bn", "stacknet-bn"])
def test_a_model_can_be_changed_before_it_is_compiled(tmp_path: Path, variant: str) -> None:
    model = made(tmp_path / "some-model", variant)
    full, _ = computed(model, openvino_engine.OpenVinoEngine(CPU))
    half, _ = computed(model, openvino_engine.OpenVinoEngine(CPU, change=halved))
    np.testing.assert_allclose(half, full / 2, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [
        ("gpu", "f32", [False, False]),
        ("gpu", "tf32", [True, True]),
        # Keras computes it on the CPU here, where there is no GPU.
        pytest.param("gpu", "bf16", [True, True], marks=pytest.mark.asks_the_processor),
        ("cpu", "f32", []),
    ],
)
def test_keras_says_outright_whether_a_gpu_may_round_float32(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    precision: runtime.Precision,
    expected: list[bool],
) -> None:
    import keras

    told: list[bool] = []

    def note(backend: str, allowed: bool) -> AbstractContextManager[None]:
        assert backend == keras.config.backend()
        told.append(allowed)
        return nullcontext()

    monkeypatch.setattr(backends, "tensor_float_32", note)
    monkeypatch.setattr(Runtime, "scope", lambda self: nullcontext())
    machine = Runtime(keras.config.backend(), device, 2, precision)
    model = made(tmp_path / "some-model", "unet-smallest")
    engine = KerasEngine(machine)
    engine.load(model, model.preset.members[0])
    predict(engine, scan(model, 1))
    assert told == expected


@pytest.mark.parametrize("engine", ["keras", "openvino", "auto"])
def test_tensor_float_32_needs_a_gpu(engine: runtime.EngineName) -> None:
    with pytest.raises(DeviceError, match=r"A GPU was expected for --precision tf32.*f32"):
        start_engine(engine, "cpu", 2, "tf32")


def test_members_stay_apart_and_stay_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(tmp_path / "some-model", "unet", (0, 1))
    engine = openvino_engine.OpenVinoEngine(CPU)
    together = mean_probability(scan(model), model, engine)
    np.testing.assert_allclose(
        together, mean_probability(scan(model), model, keras_engine()), rtol=0, atol=1e-5
    )
    alone = []
    for member in model.preset.members:
        one = Model(model.folder, replace(model.preset, members=(member,)))
        alone.append(mean_probability(scan(model), one, openvino_engine.OpenVinoEngine(CPU)))
    assert np.abs(alone[0] - alone[1]).max() > 0.01
    np.testing.assert_allclose(together, (alone[0] + alone[1]) / 2, rtol=0, atol=1e-7)

    def never(*_: Any) -> Any:
        raise AssertionError("read again")

    monkeypatch.setattr(store, "load", never)
    again = mean_probability(scan(model), model, engine)
    np.testing.assert_array_equal(again, together)


def test_results_are_not_overwritten_by_the_next_call(tmp_path: Path) -> None:
    model = made(tmp_path / "some-model", "unet")
    engine = openvino_engine.OpenVinoEngine(CPU)
    engine.load(model, model.preset.members[0])
    first = predict(engine, scan(model))
    kept = first.copy()
    predict(engine, np.zeros_like(scan(model)))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("batch", [2, 3, 5])
def test_the_batch_does_not_change_the_result(tmp_path: Path, batch: int) -> None:
    model = made(tmp_path / "some-model", "unet")
    engine = openvino_engine.OpenVinoEngine(CPU)
    alone = mean_probability(scan(model, 5), model, engine, batch=1)
    together = mean_probability(scan(model, 5), model, engine, batch=batch)
    np.testing.assert_array_equal(together, alone)


def test_empty_slices_are_computed_once_and_exactly(tmp_path: Path) -> None:
    """Constant slices of two kinds among others: the same numbers as one by one."""
    model = made(tmp_path / "some-model", "unet")
    stack = scan(model, 7)
    stack[[0, 3, 6]] = (-0.5, 0.25)
    stack[[1, 5]] = 0

    class Counting(openvino_engine.OpenVinoEngine):
        computed = 0

        def predict(self, batch: Batch) -> np.ndarray:
            self.computed += len(batch["scan"])
            return super().predict(batch)

    engine = Counting(CPU)
    found = mean_probability(stack, model, engine)
    assert engine.computed == 4  # two kinds, and the two others
    alone = [mean_probability(one[None], model, engine)[0] for one in stack]
    np.testing.assert_array_equal(found, alone)


def test_weights_are_checked(tmp_path: Path) -> None:
    model = made(tmp_path / "some-model", "unet")
    (member,) = model.preset.members
    with pytest.raises(WeightsError, match="5 parameters"):
        openvino_engine.OpenVinoEngine(CPU).load(model, replace(member, parameters=5))
    other = {"batch_norm": True}
    count = catalogue.describe("unet", model.preset.signature, other).parameter_count()
    with pytest.raises(WeightsError, match=r"0\.safetensors: bottom_conv1_bn/beta"):
        openvino_engine.OpenVinoEngine(CPU).load(
            model, replace(member, options=other, parameters=count)
        )
    (model.folder / member.file).write_bytes(b"damaged")
    with pytest.raises(ChecksumError):
        openvino_engine.OpenVinoEngine(CPU).load(model, member)


# The choice -------------------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is installed and there; "asked" says whether Keras was started."""
    facts: dict[str, Any] = {"openvino": True, "keras": True, "sign": False, "gpu": False}
    facts["asked"] = False

    def start(device: str, threads: int | None) -> Runtime:
        facts["asked"] = True
        if device == "gpu" and not facts["gpu"]:
            raise DeviceError("A GPU was expected")
        return Runtime("torch", "gpu" if facts["gpu"] and device != "cpu" else "cpu", 2)

    monkeypatch.setattr(openvino_core, "has_openvino", lambda: facts["openvino"])
    monkeypatch.setattr(backends, "has_keras", lambda: facts["keras"])
    monkeypatch.setattr(backends, "may_have_gpu", lambda: facts["sign"])
    monkeypatch.setattr(backends, "start_keras", start)
    return facts


@pytest.mark.parametrize(
    ("facts", "name", "device", "expected", "asked"),
    [
        ({}, "auto", "auto", "openvino", False),
        ({}, "auto", "cpu", "openvino", False),
        ({}, "keras", "cpu", "keras", True),
        ({"openvino": False}, "auto", "auto", "keras", True),
        ({"sign": True}, "auto", "auto", "openvino", True),  # a driver, but no GPU to be used
        ({"sign": True, "gpu": True}, "auto", "auto", "keras", True),
        ({"sign": True, "gpu": True}, "auto", "cpu", "openvino", False),
        ({"sign": True, "gpu": True}, "auto", "gpu", "keras", True),
        ({"sign": True, "gpu": True}, "openvino", "auto", "openvino", False),
        ({"sign": True, "keras": False}, "auto", "auto", "openvino", False),
    ],
)
def test_choice(
    machine: dict[str, Any],
    facts: dict[str, bool],
    name: Any,
    device: Any,
    expected: str,
    asked: bool,
) -> None:
    machine |= facts
    engine = start_engine(name, device, 2)
    assert engine.runtime.engine == expected
    assert engine.runtime.threads == 2
    assert machine["asked"] == asked


def test_gpu_is_not_replaced_by_openvino(machine: dict[str, Any]) -> None:
    with pytest.raises(DeviceError):
        start_engine("auto", "gpu")
    with pytest.raises(UsageError, match="--engine keras"):
        start_engine("openvino", "gpu")


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_faster_precisions_of_keras_need_a_gpu_that_has_them(
    machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch, precision: runtime.Precision
) -> None:
    with pytest.raises(DeviceError, match=rf"{precision}.*Received: Keras \(torch\) on the CPU"):
        start_engine("keras", "cpu", 2, precision)
    machine["gpu"] = True
    monkeypatch.setattr(backends, "_compute_capability", lambda backend: (8, 0))
    assert start_engine("keras", "gpu", 2, precision).runtime.precision == precision
    monkeypatch.setattr(backends, "_compute_capability", lambda backend: (7, 5))
    with pytest.raises(DeviceError, match=r"Received: 7\.5"):
        start_engine("keras", "gpu", 2, precision)
    assert start_engine("keras", "gpu", 2).runtime.precision == "f32"


def test_bf16_on_a_processor_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        def get_property(self, device: str, name: str) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setattr(openvino_core, "openvino_core", Old)
    with pytest.raises(DeviceError, match=r"bfloat16.*Received: one with FP32, INT8"):
        openvino_core.start_openvino(2, "bf16")
    assert openvino_core.start_openvino(2).precision == "f32"
    assert start_engine("openvino", "cpu", 2, "auto").runtime.precision == "f32"


def test_auto_takes_the_precision_that_the_processor_computes_fastest_in(
    machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class New:
        def get_property(self, device: str, name: str) -> list[str]:
            return ["FP32", "BF16", "INT8"]

    monkeypatch.setattr(openvino_core, "openvino_core", New)
    assert start_engine("auto", "cpu", 2, "auto").runtime.precision == "bf16"
    assert start_engine("auto", "cpu", 2).runtime.precision == "f32"
    # What bfloat16 gains with Keras was measured nowhere.
    machine["gpu"] = True
    monkeypatch.setattr(backends, "_compute_capability", lambda backend: (9, 0))
    assert start_engine("keras", "gpu", 2, "auto").runtime.precision == "f32"
    with pytest.raises(UsageError, match="f32, tf32, bf16, auto"):
        start_engine("auto", "cpu", 2, "int8")  # type: ignore[arg-type]


# In a process of its own ------------------------------------------------------------------------


def child(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


SEGMENT = """
import sys
from wmhseg.cli.main import main
code = main(["segment", "--model", "bright-flair", "--quiet", "--flair", {flair!r}, "--output",
             {output!r}, *{words!r}])
heavy = {{"keras", "tensorflow", "torch", "jax", "h5py", "matplotlib", "openvino_telemetry",
         "openvino.tools.ovc", "scipy.sparse"}}
print("LOADED", sorted(heavy & set(sys.modules)), "SOCKETS", sockets, "EXIT", code)
"""
# No engine may talk to anybody, neither from Python nor after the run is over.
WATCHED = """
import sys
sockets = []
sys.addaudithook(lambda event, args: sockets.append(event) if event.startswith("socket.") else None)
"""


@pytest.fixture
def flair(tmp_path: Path, phantom: Any) -> str:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(phantom.flair)
    image.SetSpacing(phantom.spacing_mm[::-1])
    sitk.WriteImage(image, str(tmp_path / "f.nii.gz"))
    return str(tmp_path / "f.nii.gz")


@pytest.mark.any_processor
def test_nothing_heavy_is_loaded_and_nobody_told(
    tmp_path: Path, flair: str, models_folder: Path
) -> None:
    code = WATCHED + SEGMENT.format(flair=flair, output=str(tmp_path / "r.nii.gz"), words=[])
    done = child(code, WMHSEG_MODELS=str(models_folder))
    assert "LOADED [] SOCKETS [] EXIT 0" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "r.nii.gz").is_file()


@pytest.mark.any_processor
def test_openvino_is_not_installed(tmp_path: Path, flair: str, models_folder: Path) -> None:
    hidden = "import sys; sys.modules['openvino'] = None; sockets = []\n"
    words = ["--engine", "openvino"]
    output = tmp_path / "out" / "r.nii.gz"
    code = hidden + SEGMENT.format(flair=flair, output=str(output), words=words)
    done = child(code, WMHSEG_MODELS=str(models_folder))
    assert f"EXIT {DeviceError.exit_code}" in done.stdout
    assert done.stderr.startswith("wmhseg: error: OpenVINO was expected to be installed")
    assert len(done.stderr.splitlines()) == 1
    assert not output.parent.exists()


@pytest.mark.any_processor
def test_a_program_that_uses_openvino_is_left_alone() -> None:
    code = """
import sys
{first}
from wmhseg.engines import openvino_core
found = openvino_core.import_openvino()
print(hasattr(found, "convert_model"), "openvino.tools.ovc" in sys.modules,
      "openvino_telemetry" in sys.modules, None in sys.modules.values())
"""
    assert child(code.format(first="import openvino")).stdout.startswith("True True")
    assert child(code.format(first="")).stdout == "False False False False\n"


@pytest.mark.any_processor
def test_several_processes_at_once(tmp_path: Path, flair: str, models_folder: Path) -> None:
    """Nothing is kept on disk that they could meet at; a read-only folder will do."""
    command = [sys.executable, "-m", "wmhseg", "segment", "--quiet", "--model", "bright-flair"]
    command += ["--threads", "1"]
    running = [
        subprocess.Popen(
            [*command, "--flair", flair, "--output", str(tmp_path / f"{n}" / "r.nii.gz")],
            env={**os.environ, "WMHSEG_MODELS": str(models_folder), "HOME": "/nonexistent"},
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        for n in range(3)
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    masks = {(tmp_path / f"{n}" / "r.nii.gz").read_bytes() for n in range(3)}
    assert len(masks) == 1


SIGNALLED = """
import os, signal, sys
sys.path[:0] = [{root!r}, *{tests!r}]
from pathlib import Path
import test_engines
from wmhseg.engines.start import start_engine
model = test_engines.made(Path({folder!r}), "unet-flair")
used = [start_engine("openvino", "cpu", 1) for _ in range(2)]
for engine in used:
    engine.load(model, model.preset.members[0])
    test_engines.predict(engine, test_engines.scan(model, 1))
del engine
used.pop(0)
used.pop(0)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.any_processor
def test_signals_after_engines_are_gone(tmp_path: Path) -> None:
    tests = [str(ROOT / "tests"), str(ROOT / "tests" / "engines")]
    program = SIGNALLED.format(root=str(ROOT), tests=tests, folder=str(tmp_path / "m"))
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 7
