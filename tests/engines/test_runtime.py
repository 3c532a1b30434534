"""Processors, backend and device."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wmhseg import processors
from wmhseg.engines import backends, runtime
from wmhseg.errors import DeviceError, UsageError

pytestmark = pytest.mark.any_processor


def counted(monkeypatch: pytest.MonkeyPatch, folder: Path, allowed: int) -> int:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(allowed)), raising=False)
    return processors.available_processors(folder)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),  # a part of a processor is rounded up
        ("50000 100000\n", 1),
        ("1000 100000\n", 1),
        ("1600000 100000\n", 8),  # more than the 8 of the affinity
        ("max 100000\n", 8),
        ("0 100000\n", 8),
        ("", 8),
        ("200000\n", 8),
        ("many 100000\n", 8),
        ("200000 0\n", 8),
    ],
)
def test_quota_of_version_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, expected: int
) -> None:
    (tmp_path / "cpu.max").write_text(content)
    assert counted(monkeypatch, tmp_path, 8) == expected


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [("300000", "100000", 3), ("-1", "100000", 8), ("250000", "100000", 3), ("100000", "0", 8)],
)
def test_quota_of_version_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, period: str, expected: int
) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text(f"{period}\n")
    assert counted(monkeypatch, tmp_path, 8) == expected


def test_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert counted(monkeypatch, tmp_path, 3) == 3
    (tmp_path / "cpu.max").write_text("600000 100000\n")
    assert counted(monkeypatch, tmp_path, 3) == 3
    assert counted(monkeypatch, tmp_path, 16) == 6


def test_without_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS and Windows have none."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert processors.available_processors(tmp_path) == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processors.available_processors(tmp_path) == 1


def test_this_machine() -> None:
    assert 1 <= processors.available_processors() <= (os.cpu_count() or 1)


# Starting ---------------------------------------------------------------------------------------


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replaces the backend: the last item says whether it sees a GPU, the rest what it was told."""
    told: list[Any] = [False]

    def prepare(backend: str, threads: int) -> bool:
        told.insert(0, (backend, threads))
        return bool(told[-1])

    monkeypatch.setattr(backends, "_prepare", prepare)
    monkeypatch.setattr(backends, "_choose_backend", lambda: "torch")
    return told


def test_gpu_is_asked_for_and_there_is_none(prepared: list[Any]) -> None:
    with pytest.raises(DeviceError, match=r"torch.*--device gpu.*Received: none.*--gpus all"):
        backends.start_keras("gpu")


@pytest.mark.parametrize(
    ("device", "gpu", "expected"),
    [
        ("auto", False, "cpu"),
        ("auto", True, "gpu"),
        ("cpu", False, "cpu"),
        ("cpu", True, "cpu"),
        ("gpu", True, "gpu"),
    ],
)
def test_device(prepared: list[Any], device: runtime.Device, gpu: bool, expected: str) -> None:
    prepared[-1] = gpu
    assert backends.start_keras(device, 3) == runtime.Runtime("torch", expected, 3)
    assert prepared[0] == ("torch", 3)


def test_all_processors_unless_told(prepared: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "available_processors", lambda: 7)
    assert backends.start_keras().threads == 7
    assert prepared[0] == ("torch", 7)


@pytest.mark.parametrize("device", ["cuda", "GPU", "gpu:1", ""])
def test_another_device_is_not_taken_for_the_cpu(prepared: list[Any], device: Any) -> None:
    with pytest.raises(UsageError, match="auto, cpu, gpu"):
        backends.start_keras(device)


@pytest.mark.parametrize("threads", [0, -2])
def test_threads_are_positive(prepared: list[Any], threads: int) -> None:
    with pytest.raises(UsageError, match="thread"):
        backends.start_keras("cpu", threads)


def test_keras_on_the_cpu() -> None:
    import keras

    machine = backends.start_keras("cpu", 2)
    assert machine.backend == keras.config.backend()
    with machine.scope():
        assert float(keras.ops.sum(keras.ops.ones(3))) == 3
    found = runtime.versions(machine.backend)
    assert set(found) >= {"python", "keras", machine.backend, "numpy", "scipy", "SimpleITK"}
    assert found["keras"] == keras.__version__
    assert found["python"] == "{}.{}.{}".format(*sys.version_info)


def test_unknown_backend() -> None:
    with pytest.raises(DeviceError, match=r"tensorflow, torch, jax.*KERAS_BACKEND.*openvino"):
        backends._prepare("openvino", 1)


def choice(code: str, **environment: str) -> str:
    """What the code prints in a process of its own, where nothing has been imported."""
    variables = {k: v for k, v in os.environ.items() if k not in ("KERAS_BACKEND",)}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**variables, **environment},
        cwd=Path(runtime.__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout + run.stderr


# Hides packages, as if they were not installed.
HIDE = """
import sys, importlib.abc
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name in {names} else real(name, *a)
sys.meta_path.insert(0, Hidden())
from wmhseg import errors
from wmhseg.engines import backends
try:
    print({call})
except errors.DeviceError as error:
    print("DeviceError", error)
"""


def test_the_first_installed_backend_is_chosen() -> None:
    call = "backends._choose_backend(), 'keras' in sys.modules"
    assert choice(HIDE.format(names=(), call=call)).strip() == "tensorflow False"
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch, the second backend, is not installed")
    assert choice(HIDE.format(names=("tensorflow",), call=call)).strip() == "torch False"
    assert choice(HIDE.format(names=("tensorflow",), call=call), KERAS_BACKEND="jax") == (
        "jax False\n"
    )


def test_nothing_is_installed() -> None:
    hidden = HIDE.format(names=backends.BACKENDS, call="backends.start_keras()")
    assert "DeviceError Keras and one of" in choice(hidden)
    hidden = HIDE.format(names=("keras", ""), call="backends.start_keras()")
    assert "DeviceError Keras and one of" in choice(hidden)


def test_the_backend_asked_for_is_not_installed() -> None:
    hidden = HIDE.format(names=("jax", ""), call="backends.start_keras()")
    told = choice(hidden, KERAS_BACKEND="jax")
    assert "DeviceError The Keras backend jax was expected to be installed" in told


def test_importing_the_module_loads_nothing_heavy() -> None:
    code = "import sys; from wmhseg.engines import runtime; print("
    code += "{'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules))"
    assert choice(code).strip() == "set()"


def test_start_up_lines_are_silenced_and_no_others(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """TensorFlow writes them from C++, past Python's sys.stderr."""
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with backends._quiet_start():
        os.write(2, b"chatter\n")
    os.write(2, b"after\n")
    with suppress(ImportError), backends._quiet_start():
        os.write(2, b"chatter\n")
        raise ImportError
    os.write(2, b"after an error\n")
    assert capfd.readouterr().err == "after\nafter an error\n"
    # A user who asks for TensorFlow's messages gets them.
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with backends._quiet_start():
        os.write(2, b"asked for\n")
    assert capfd.readouterr().err == "asked for\n"


# Training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "threads", "expected"),
    [("cpu", 2, 1), ("cpu", 16, 2), ("gpu", 2, 14), ("gpu", 1, 14)],
)
def test_helpers(device: str, threads: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "available_processors", lambda: 16)
    assert runtime.helpers(runtime.Runtime("torch", device, threads)) == expected


@pytest.mark.parametrize(
    ("line", "able"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16 amx_tile", True),
        ("flags\t\t: fpu amx_bf16", True),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("flags\t\t: fpu avx2 avx512f bmi1", False),
        ("model name\t: Of bf16 and avx512_bf16", False),
    ],
)
def test_bfloat16_of_processors(line: str, able: bool, tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text(f"processor\t: 0\nmodel name\t: One: of many\n{line}\n\nprocessor\t: 1\n")
    assert processors.has_bfloat16(told) is able
    assert processors.processor_name(told) == "One: of many"
    assert not processors.has_bfloat16(tmp_path / "nowhere")


@pytest.mark.parametrize(("capability", "able"), [((7, 5), False), ((8, 0), True), (None, False)])
def test_bfloat16_of_gpus(
    capability: tuple[int, int] | None, able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "_compute_capability", lambda _: capability)
    assert backends.has_bfloat16(runtime.Runtime("torch", "gpu", 1)) is able


def test_hardware_names_the_processor() -> None:
    text = backends.hardware(runtime.Runtime("tensorflow", "cpu", 3))
    assert text.startswith("3 threads of ")
    assert len(text) > len("3 threads of ")


@pytest.mark.parametrize(("seeing", "chosen"), [("torch", "torch"), ("jax", "jax"), ("", None)])
def test_training_takes_the_backend_that_sees_a_gpu(
    seeing: str, chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Set first, so that what the function sets is taken back even where nothing was set before.
    monkeypatch.setenv("KERAS_BACKEND", "")
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setattr(backends.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(backends, "_prepare", lambda name, threads: name == seeing)
    backends.choose_gpu_backend()
    assert os.environ.get("KERAS_BACKEND") == chosen


def test_a_backend_that_the_user_named_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(backends, "_prepare", lambda name, threads: True)
    backends.choose_gpu_backend()
    assert os.environ["KERAS_BACKEND"] == "jax"


# TensorFloat-32 ---------------------------------------------------------------------------------


def rounds(backend: str) -> Any:
    """What a backend is set to."""
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.config.experimental.tensor_float_32_execution_enabled()
    if backend == "torch":
        import torch

        return torch.backends.cudnn.conv.fp32_precision
    import jax

    return jax.config.jax_default_matmul_precision


BACKENDS = [
    ("tensorflow", True, False), ("torch", "tf32", "ieee"), ("jax", "tensorfloat32", "float32"),
]  # fmt: skip


@pytest.mark.parametrize(("backend", "rounded", "exact"), BACKENDS)
def test_float32_on_a_gpu_is_not_rounded_unless_allowed(
    backend: str, rounded: Any, exact: Any
) -> None:
    pytest.importorskip(backend)
    before = rounds(backend)
    with backends.tensor_float_32(backend, True):
        assert rounds(backend) == rounded
        with backends.tensor_float_32(backend, False):
            assert rounds(backend) == exact
        assert rounds(backend) == rounded
    assert rounds(backend) == before
    with suppress(KeyError), backends.tensor_float_32(backend, before != rounded):
        raise KeyError
    assert rounds(backend) == before


@pytest.mark.parametrize(("backend", "rounded", "exact"), BACKENDS)
def test_two_threads_do_not_change_each_others_precision(
    backend: str, rounded: Any, exact: Any
) -> None:
    pytest.importorskip(backend)
    before = rounds(backend)
    entered, leave = threading.Event(), threading.Event()

    def other() -> Any:
        with backends.tensor_float_32(backend, True):
            entered.set()
            leave.wait(10)
            return rounds(backend)

    with ThreadPoolExecutor(1) as pool:
        with backends.tensor_float_32(backend, False):
            theirs = pool.submit(other)
            entered.wait(0.2)
            assert rounds(backend) == exact
        leave.set()
        assert theirs.result(10) == rounded
    assert rounds(backend) == before


def test_pytorch_that_cannot_be_told_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.delattr(type(torch.backends.cudnn), "conv")
    with (
        pytest.raises(DeviceError, match=r"PyTorch 2\.9.*Received: 2"),
        backends.tensor_float_32("torch", False),
    ):
        pass


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
@pytest.mark.parametrize(
    ("capability", "told"), [((7, 5), "7.5"), (None, "unknown"), ((8, 0), ""), ((9, 0), "")]
)
def test_a_gpu_must_have_the_precision(
    monkeypatch: pytest.MonkeyPatch,
    precision: runtime.Precision,
    capability: tuple[int, int] | None,
    told: str,
) -> None:
    monkeypatch.setattr(backends, "_compute_capability", lambda backend: capability)
    backends.check_gpu_precision("torch", "f32")
    if not told:
        backends.check_gpu_precision("torch", precision)
        return
    with pytest.raises(DeviceError, match=rf"capability 8\.0.*{precision}.*Received: {told}"):
        backends.check_gpu_precision("torch", precision)


@pytest.mark.parametrize(
    ("details", "expected"), [({"compute_capability": (8, 6)}, (8, 6)), ({}, None)]
)
def test_compute_capability_of_tensorflow(
    monkeypatch: pytest.MonkeyPatch, details: dict[str, Any], expected: Any
) -> None:
    tf = pytest.importorskip("tensorflow")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["first"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
    assert backends._compute_capability("tensorflow") == expected


def test_compute_capability_of_torch_and_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (9, 0))
    assert backends._compute_capability("torch") == (9, 0)
    assert backends._compute_capability("jax") is None  # the CPU
    monkeypatch.setattr(jax, "devices", lambda: [SimpleNamespace(compute_capability="8.9")])
    assert backends._compute_capability("jax") == (8, 9)
