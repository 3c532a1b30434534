"""What is computed with: the words a user may choose from, and the record of what was chosen.

Loading the module loads nothing heavy: Keras is started in ``backends``, OpenVINO in
``openvino_core``.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from wmhseg.errors import DeviceError, UsageError
from wmhseg.processors import available_processors

Device = Literal["auto", "cpu", "gpu"]
EngineName = Literal["auto", "keras", "openvino"]
Precision = Literal["f32", "tf32", "bf16"]
PrecisionWord = Literal["f32", "tf32", "bf16", "auto"]
"""What may be asked for; "auto" is one of the others in the end."""
PRECISIONS: dict[Precision, str] = {
    "f32": "float32", "tf32": "TensorFloat-32", "bf16": "bfloat16",
}  # fmt: skip


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


def check_choice(
    engine: EngineName, device: Device, threads: int | None, precision: PrecisionWord
) -> None:
    """Checks what a user chose.

    Raises:
        UsageError: If a word is not one of the documented ones, or there is no thread.
    """
    for what, chosen, known in (
        ("An engine", engine, get_args(EngineName)),
        ("A device", device, get_args(Device)),
        ("A precision", precision, get_args(PrecisionWord)),
    ):
        if chosen not in known:
            raise UsageError(f"{what} out of {', '.join(known)} was expected", received=chosen)
    if threads is not None and threads < 1:
        raise UsageError("At least 1 thread was expected", received=threads)


def gpu_expected(precision: PrecisionWord, received: str) -> DeviceError:
    """The error of a precision that only GPUs have here."""
    return DeviceError(
        f"A GPU was expected for --precision {precision}",
        received=received,
        advice="Use --precision f32.",
    )


def helpers(machine: Runtime) -> int:
    """Number of processes that can work beside the one that computes on a machine."""
    if machine.device == "gpu":
        return max(1, available_processors() - 2)
    return max(1, machine.threads // 8)


def versions(backend: str) -> dict[str, str]:
    """Versions of the packages that a result depends on."""
    from importlib import metadata

    engine = ["openvino"] if backend == "openvino" else ["keras", backend]
    names = [*engine, "numpy", "scipy", "SimpleITK"]
    installed = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in names:
        for candidate in (name, f"{name}-cpu"):
            try:
                installed[name] = metadata.version(candidate)
                break
            except metadata.PackageNotFoundError:
                continue
    return installed
