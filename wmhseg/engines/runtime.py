"""The machine: how many processors may be used, which engine and backend, which device.

Keras and OpenVINO are imported through here: Keras' backend is chosen once and before it is
loaded, and OpenVINO comes without what reports its use to its makers.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import os
import platform
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from wmhseg.errors import DeviceError, UsageError

Device = Literal["auto", "cpu", "gpu"]
EngineName = Literal["auto", "keras", "openvino"]
Precision = Literal["f32", "tf32", "bf16"]
PRECISIONS: dict[Precision, str] = {
    "f32": "float32", "tf32": "TensorFloat-32", "bf16": "bfloat16",
}  # fmt: skip
BACKENDS = ("tensorflow", "torch", "jax")


@dataclass(frozen=True)
class Runtime:
    """A chosen backend and device.

    Attributes:
        backend: Keras' backend: tensorflow, torch or jax; or openvino, which needs no Keras.
        device: "cpu" or "gpu", never "auto".
        threads: Threads for computing on the CPU.
        precision: "f32", "tf32" or "bf16".
    """

    backend: str
    device: str
    threads: int
    precision: Precision = "f32"

    @property
    def engine(self) -> str:
        """Name of the engine: keras or openvino."""
        return "openvino" if self.backend == "openvino" else "keras"

    def scope(self) -> AbstractContextManager[Any]:
        """Places what is built and run inside on the device."""
        import keras

        scope: AbstractContextManager[Any] = keras.device(f"{self.device}:0")
        return scope


def available_processors(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Counts the processors this process may use: affinity and container limits.

    Args:
        cgroup: Where the control group's files lie (version 2, or 1).
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:  # macOS, Windows
        count = os.cpu_count() or 1
    return max(1, min(count, _quota(cgroup) or count))


def _quota(cgroup: Path) -> int | None:
    """Whole processors that the control group's quota amounts to, rounded up."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        if quota in ("max", "-1"):
            return None
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None


def check_choice(
    engine: EngineName, device: Device, threads: int | None, precision: Precision
) -> None:
    """Checks what a user chose.

    Raises:
        UsageError: If a word is not one of the documented ones, or there is no thread.
    """
    for what, chosen, known in (
        ("An engine", engine, get_args(EngineName)),
        ("A device", device, get_args(Device)),
        ("A precision", precision, get_args(Precision)),
    ):
        if chosen not in known:
            raise UsageError(f"{what} out of {', '.join(known)} was expected", received=chosen)
    if threads is not None and threads < 1:
        raise UsageError("At least 1 thread was expected", received=threads)


def with_precision(machine: Runtime, precision: Precision) -> Runtime:
    """The same machine, computing in another precision."""
    return replace(machine, precision=precision)


def has_keras() -> bool:
    """Whether Keras and one of its backends are installed; nothing is loaded."""
    return importlib.util.find_spec("keras") is not None and any(
        importlib.util.find_spec(name) for name in BACKENDS
    )


def has_openvino() -> bool:
    """Whether OpenVINO is installed; nothing is loaded."""
    return importlib.util.find_spec("openvino") is not None


def may_have_gpu() -> bool:
    """Whether it is worth asking Keras for a GPU: the driver's device files are there.

    NVIDIA's, Windows' one within Linux, AMD's. Other systems than Linux have no such sign.
    """
    signs = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    return sys.platform != "linux" or any(os.path.exists(sign) for sign in signs)


def start_openvino(threads: int | None = None, precision: Precision = "f32") -> Runtime:
    """Loads OpenVINO, for the CPU.

    Args:
        threads: Threads for computing; None for all that may be used.
        precision: "f32", or "bf16" where the processor has it.

    Raises:
        DeviceError: If OpenVINO is not installed, or the processor cannot do the precision.
    """
    if precision == "tf32":
        raise gpu_expected(precision, "OpenVINO on the CPU")
    able = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in able:
        raise DeviceError(
            "A processor with bfloat16 instructions was expected for --precision bf16",
            received=f"one with {', '.join(able)}",
            advice="Use --precision f32.",
        )
    return Runtime("openvino", "cpu", threads or available_processors(), precision)


def gpu_expected(precision: Precision, received: str) -> DeviceError:
    """The error of a precision that only GPUs have here."""
    return DeviceError(
        f"A GPU was expected for --precision {precision}",
        received=received,
        advice="Use --precision f32.",
    )


def import_openvino() -> Any:
    """Imports OpenVINO without its converter, whose import sends a message to its makers.

    A program that has loaded the whole of it already is left alone, and one that wants the
    converter later can import it.

    Raises:
        DeviceError: If it is not installed.
    """
    left_out = [
        name
        for name in ("openvino.tools.ovc", "openvino_telemetry")
        if "openvino" not in sys.modules and name not in sys.modules
    ]
    sys.modules.update(dict.fromkeys(left_out))  # type: ignore[arg-type]  # None: not importable
    try:
        import openvino
    except ImportError as error:
        raise DeviceError(
            "OpenVINO was expected to be installed (--engine openvino)",
            received=error,
            advice='Install it with "pip install wmhseg[openvino]", or use --engine auto.',
        ) from None
    finally:
        for name in left_out:
            del sys.modules[name]
    return openvino


@functools.cache
def openvino_core() -> Any:
    """The one core of this process; it is never freed.

    While a core lives, OpenVINO has signals handled on a stack of its own, and puts back what was
    there before when the core goes. Of two cores that go in the order they came the second puts
    back the freed stack of the first, and the next signal (Ctrl-C, SIGTERM) is a segmentation
    fault.
    """
    return import_openvino().Core()


def start(device: Device = "auto", threads: int | None = None) -> Runtime:
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
        raise DeviceError(
            "Keras and one of TensorFlow, PyTorch and JAX were expected to be installed",
            received="none of them",
            advice='Install "wmhseg[tensorflow]" with pip; on a CPU "wmhseg[openvino]" will do.',
        )
    if "keras" in sys.modules:
        import keras

        return str(keras.config.backend())
    return os.environ["KERAS_BACKEND"]


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Silences TensorFlow's start-up lines, which come from C++ before any level is looked at.

    What is raised still says what went wrong. A program that has TensorFlow loaded already, or
    asks for its messages, is left alone.
    """
    if "tensorflow" in sys.modules or os.environ["TF_CPP_MIN_LOG_LEVEL"] < "3":
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # closed: nothing can be printed anyway
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _prepare(backend: str, threads: int) -> bool:
    """Sets the number of threads and says whether the backend sees a GPU."""
    if backend == "tensorflow":
        with _without_chatter():
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

        return any(found.platform == "gpu" for found in jax.devices())
    raise DeviceError(
        f"A Keras backend out of {', '.join(BACKENDS)} was expected in KERAS_BACKEND",
        received=backend,
    )


# Whether TensorFlow and PyTorch round belongs to the whole process.
_ROUNDING = threading.RLock()


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
        DeviceError: If PyTorch is too old to be told.
    """
    if backend == "jax":
        import jax

        with jax.default_matmul_precision("tensorfloat32" if allowed else "float32"):
            yield
        return
    before: Any
    after: Any
    with _ROUNDING:
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
    found = _compute_capability(backend)
    if found is None or found < (8, 0):
        known = "unknown" if found is None else ".".join(map(str, found))
        raise DeviceError(
            f"A GPU of compute capability 8.0 or more was expected for --precision {precision}",
            received=known,
            advice="Use --precision f32.",
        )


def _compute_capability(backend: str) -> tuple[int, int] | None:
    """Of the first GPU; None if it has none."""
    found: Any = None
    if backend == "tensorflow":
        import tensorflow as tf

        first = tf.config.list_physical_devices("GPU")[0]
        found = tf.config.experimental.get_device_details(first).get("compute_capability")
    elif backend == "torch":
        import torch

        found = None if torch.version.hip else torch.cuda.get_device_capability(0)
    else:
        import jax

        told = str(getattr(jax.devices()[0], "compute_capability", ""))
        with suppress(ValueError):
            found = tuple(map(int, told.split(".")))
    return None if not found else (int(found[0]), int(found[1]))


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


def helpers(machine: Runtime) -> int:
    """Number of processes that can work beside the one that computes on a machine."""
    if machine.device == "gpu":
        return max(1, available_processors() - 2)
    return max(1, machine.threads // 8)


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

    return [str(found.device_kind) for found in jax.devices() if found.platform == "gpu"]


def processor_name() -> str:
    """Model of the processor, as Linux tells it; elsewhere its architecture."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine() or "an unknown processor"


def versions(backend: str) -> dict[str, str]:
    """Versions of the packages that a result depends on."""
    from importlib import metadata

    engine = ["openvino"] if backend == "openvino" else ["keras", backend]
    names = [*engine, "numpy", "scipy", "SimpleITK"]
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in names:
        for candidate in (name, f"{name}-cpu"):
            try:
                found[name] = metadata.version(candidate)
                break
            except metadata.PackageNotFoundError:
                continue
    return found
