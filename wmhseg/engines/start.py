"""How an engine is chosen and started: the one place that knows all engines."""

from __future__ import annotations

from dataclasses import replace

from wmhseg.engines import backends, openvino_core, runtime, sharing
from wmhseg.engines.interface import Engine
from wmhseg.engines.keras_engine import KerasEngine
from wmhseg.engines.openvino_engine import OpenVinoEngine
from wmhseg.engines.runtime import Device, EngineName, Precision, PrecisionWord, Runtime
from wmhseg.errors import DeviceError, UsageError


def start_engine(
    name: EngineName = "auto",
    device: Device = "auto",
    threads: int | None = None,
    precision: PrecisionWord = "f32",
) -> Engine:
    """Starts an engine.

    Args:
        name: "auto" takes OpenVINO where it is installed and no GPU is used, else Keras.
        device: "auto" takes a GPU when the engine sees one.
        threads: Threads for computing on the CPU; None for all that may be used.
        precision: "f32"; "bf16" where the device has it, "tf32" on a GPU; "auto" takes bf16 where
            OpenVINO computes on a processor that has it, else f32.

    Returns:
        The engine; its ``runtime`` says what was chosen.

    Raises:
        DeviceError: If the engine is not installed, the device or precision is not there, or this
            process was forked from one in which an engine had started.
        UsageError: If a value is not one of the documented ones.
    """
    runtime.check_choice(name, device, threads, precision)
    sharing.check_not_forked()
    # Already now: a process that is forked while this one loads a library finds it half loaded.
    sharing.note_started()
    if name == "openvino" and device == "gpu":
        raise UsageError(
            "OpenVINO computes on the CPU here: --engine keras was expected with --device gpu",
            received="--engine openvino --device gpu",
        )
    if name == "openvino" or (name == "auto" and device != "gpu" and _suits_openvino(device)):
        return OpenVinoEngine(_openvino(threads, precision))
    machine = backends.start_keras(device, threads)
    if name == "auto" and machine.device == "cpu" and openvino_core.has_openvino():
        return OpenVinoEngine(_openvino(threads, precision))
    # What bfloat16 gains and changes with Keras was measured nowhere.
    return KerasEngine(_with_precision(machine, "f32" if precision == "auto" else precision))


def _openvino(threads: int | None, precision: PrecisionWord) -> Runtime:
    chosen = openvino_core.fastest_precision() if precision == "auto" else precision
    return openvino_core.start_openvino(threads, chosen)


def _suits_openvino(device: Device) -> bool:
    """Whether OpenVINO is the choice without Keras being asked for a GPU, which takes seconds."""
    return openvino_core.has_openvino() and (
        device == "cpu" or not backends.has_keras() or not backends.may_have_gpu()
    )


def _with_precision(machine: Runtime, precision: Precision) -> Runtime:
    received = f"Keras ({machine.backend}) on the CPU"
    if precision == "bf16" and machine.device != "gpu":
        raise DeviceError(
            "OpenVINO or a GPU was expected for --precision bf16",
            received=received,
            advice='Install it with "pip install wmhseg[openvino]", or use --precision f32.',
        )
    if precision == "tf32" and machine.device != "gpu":
        raise runtime.gpu_expected(precision, received)
    if machine.device == "gpu":
        backends.check_gpu_precision(machine.backend, precision)
    return replace(machine, precision=precision)
