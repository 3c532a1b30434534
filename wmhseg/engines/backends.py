"""Keras' backends: which one is used, on which device, and how it rounds.

A program starts Keras here before it imports it anywhere else: the backend cannot be changed once
Keras is loaded.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from wmhseg import processors
from wmhseg.engines.runtime import Device, Precision, Runtime, check_choice
from wmhseg.errors import DeviceError
from wmhseg.io.locks import ProcessLock
from wmhseg.io.quiet import without_chatter
from wmhseg.processors import available_processors, processor_name

BACKENDS = ("tensorflow", "torch", "jax")


def has_keras() -> bool:
    """Whether Keras and one of its backends are installed; nothing is loaded."""
    return importlib.util.find_spec("keras") is not None and any(
        importlib.util.find_spec(name) for name in BACKENDS
    )


def check_keras() -> None:
    """Finds out before hours of other work whether Keras can be started; nothing is loaded.

    Raises:
        DeviceError: If Keras or all of its backends are not installed.
    """
    if not has_keras():
        raise _keras_expected()


def _keras_expected() -> DeviceError:
    return DeviceError(
        "Keras and one of TensorFlow, PyTorch and JAX were expected to be installed",
        received="none",
        advice="They come with pip install 'wmhseg[tensorflow]' (in a clone: pip install "
        "'.[tensorflow]'). Only training and GPUs need them: on a CPU, OpenVINO segments.",
    )


def may_have_gpu() -> bool:
    """Whether it is worth asking Keras for a GPU: the driver's device files are there.

    NVIDIA's, Windows' one within Linux, AMD's. Other systems than Linux have no such sign.
    """
    signs = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    return sys.platform != "linux" or any(os.path.exists(sign) for sign in signs)


def start_keras(device: Device = "auto", threads: int | None = None) -> Runtime:
    """Chooses a backend, loads Keras and finds the device.

    Args:
        device: "auto" takes a GPU when the backend sees one.
        threads: Threads for computing on the CPU; None for all that may be used. Ignored by JAX,
            and by TensorFlow once it has computed something in this process.

    Returns:
        What was chosen.

    Raises:
        DeviceError: If no backend is installed, or a GPU was asked for and there is none.
        UsageError: If the device is another word, or the number of threads is below 1.
    """
    check_choice("keras", device, threads, "f32")
    threads = threads or available_processors()
    backend = _choose_backend()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        has_gpu = _prepare(backend, threads)
    except ImportError as error:
        raise DeviceError(
            f"The Keras backend {backend} was expected to be installed",
            received=error,
            advice="Install it, or set KERAS_BACKEND to one that is.",
        ) from None
    if device == "gpu" and not has_gpu:
        raise DeviceError(
            f"A GPU that {backend} can use was expected (--device gpu)",
            received="none",
            advice="Run the container with --gpus all and the GPU image, or use --device auto.",
        )
    return Runtime(backend, "gpu" if has_gpu and device != "cpu" else "cpu", threads)


def _choose_backend() -> str:
    """Settles KERAS_BACKEND before Keras is imported: the first installed, unless it is set."""
    if "keras" not in sys.modules and not os.environ.get("KERAS_BACKEND"):
        for name in BACKENDS:
            if importlib.util.find_spec(name):
                os.environ["KERAS_BACKEND"] = name
                break
    if importlib.util.find_spec("keras") is None or (
        "keras" not in sys.modules and not os.environ.get("KERAS_BACKEND")
    ):
        raise _keras_expected()
    if "keras" in sys.modules:
        import keras

        return str(keras.config.backend())
    return os.environ["KERAS_BACKEND"]


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Drops TensorFlow's start-up lines, which come from C++ before any level is looked at.

    A program that has TensorFlow loaded already, or asks for its messages, is left alone.
    """
    if "tensorflow" in sys.modules or os.environ["TF_CPP_MIN_LOG_LEVEL"] < "3":
        yield
        return
    with without_chatter():
        yield


def _prepare(backend: str, threads: int) -> bool:
    """Sets the number of threads and says whether the backend sees a GPU."""
    if backend == "tensorflow":
        with _quiet_start():
            import tensorflow as tf

        # Once TensorFlow has computed in this process, the host program's settings stay.
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            with suppress(RuntimeError):
                tf.config.experimental.set_memory_growth(gpu, True)
        return bool(gpus)
    if backend == "torch":
        import torch

        torch.set_num_threads(threads)
        return bool(torch.cuda.is_available())
    if backend == "jax":
        import jax

        return any(device.platform == "gpu" for device in jax.devices())
    raise DeviceError(
        f"A Keras backend out of {', '.join(BACKENDS)} was expected in KERAS_BACKEND",
        received=backend,
    )


# Whether TensorFlow and PyTorch round belongs to the whole process.
_ROUNDING = ProcessLock()


@contextmanager
def tensor_float_32(backend: str, allowed: bool) -> Iterator[None]:
    """Lets a GPU round the factors of float32 products to TensorFloat-32, or not.

    Left alone, TensorFlow, PyTorch (convolutions) and JAX do so on GPUs that can (NVIDIA's since
    Ampere), and keep 11 of 24 significant bits. On a CPU it changes nothing. With TensorFlow and
    PyTorch, one thread at a time is let in.

    Args:
        backend: Keras' backend, which is loaded already.
        allowed: False computes in float32 as the processor does.

    Raises:
        DeviceError: If PyTorch is too old to have such a setting.
    """
    if backend == "jax":
        import jax

        with jax.default_matmul_precision("tensorfloat32" if allowed else "float32"):
            yield
        return
    before: Any
    after: Any
    with _ROUNDING.held():
        if backend == "tensorflow":
            import tensorflow as tf

            change = tf.config.experimental.enable_tensor_float_32_execution
            before = tf.config.experimental.tensor_float_32_execution_enabled()
            after = allowed
        else:
            convolutions = _torch_convolutions()
            change = functools.partial(setattr, convolutions, "fp32_precision")
            before = convolutions.fp32_precision
            after = "tf32" if allowed else "ieee"
        change(after)
        try:
            yield
        finally:
            change(before)


def _torch_convolutions() -> Any:
    """PyTorch's settings for convolutions on a GPU; the networks have nothing else to round."""
    import torch

    cudnn: Any = torch.backends.cudnn
    if not hasattr(cudnn, "conv"):
        raise DeviceError(
            "PyTorch 2.9 or later was expected on a GPU",
            received=torch.__version__,
            advice='Install it with "pip install --upgrade torch", or use another backend.',
        )
    return cudnn.conv


def check_gpu_precision(backend: str, precision: Precision) -> None:
    """Checks that the GPU has bfloat16 and TensorFloat-32: NVIDIA's compute capability 8.0.

    Raises:
        DeviceError: If it has not, or does not say so.
    """
    if precision == "f32":
        return
    capability = _compute_capability(backend)
    if capability is None or capability < (8, 0):
        known = "unknown" if capability is None else ".".join(map(str, capability))
        raise DeviceError(
            f"A GPU of compute capability 8.0 or more was expected for --precision {precision}",
            received=known,
            advice="Use --precision f32.",
        )


def has_bfloat16(machine: Runtime) -> bool:
    """Whether what Keras computes on has instructions for bfloat16."""
    if machine.device != "gpu":
        return processors.has_bfloat16()
    try:
        check_gpu_precision(machine.backend, "bf16")
    except DeviceError:
        return False
    return True


def _compute_capability(backend: str) -> tuple[int, int] | None:
    """Of the first GPU; None if it has none."""
    capability: Any = None
    if backend == "tensorflow":
        import tensorflow as tf

        first = tf.config.list_physical_devices("GPU")[0]
        capability = tf.config.experimental.get_device_details(first).get("compute_capability")
    elif backend == "torch":
        import torch

        capability = None if torch.version.hip else torch.cuda.get_device_capability(0)
    else:
        import jax

        text = str(getattr(jax.devices()[0], "compute_capability", ""))
        with suppress(ValueError):
            capability = tuple(map(int, text.split(".")))
    return None if not capability else (int(capability[0]), int(capability[1]))


def choose_gpu_backend() -> None:
    """Settles KERAS_BACKEND on the first installed backend that sees a GPU, if one does.

    For work that a CPU is too slow for. What the user or a loaded Keras has settled stays.
    """
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND"):
        return
    if not (Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi")):
        return  # asking every backend takes seconds
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in BACKENDS:
        if importlib.util.find_spec(name):
            with suppress(ImportError):
                if _prepare(name, available_processors()):
                    os.environ["KERAS_BACKEND"] = name
                    return


def hardware(machine: Runtime) -> str:
    """What a machine computes on, for a record of it."""
    count = len(_gpu_names(machine.backend)) if machine.device == "gpu" else 0
    names = ", ".join(sorted(set(_gpu_names(machine.backend)))) if count else ""
    processor = f"{machine.threads} threads of {processor_name()}"
    return f"{count} GPU ({names}), {processor}" if count else processor


def _gpu_names(backend: str) -> list[str]:
    if backend == "tensorflow":
        import tensorflow as tf

        details = tf.config.experimental.get_device_details
        gpus = tf.config.list_physical_devices("GPU")
        return [str(details(gpu).get("device_name", "unknown")) for gpu in gpus]
    if backend == "torch":
        import torch

        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    import jax

    return [str(gpu.device_kind) for gpu in jax.devices() if gpu.platform == "gpu"]
