"""OpenVINO, loaded without what reports its use to its makers, and its one core."""

from __future__ import annotations

import functools
import importlib.util
import sys
from typing import Any

from wmhseg.engines.runtime import Precision, Runtime, gpu_expected
from wmhseg.errors import DeviceError
from wmhseg.processors import available_processors


def has_openvino() -> bool:
    """Whether OpenVINO is installed; nothing is loaded."""
    return importlib.util.find_spec("openvino") is not None


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
    able = _capabilities()
    if precision == "bf16" and "BF16" not in able:
        raise DeviceError(
            "A processor with bfloat16 instructions was expected for --precision bf16",
            received=f"one with {', '.join(able)}",
            advice="Use --precision f32.",
        )
    return Runtime("openvino", "cpu", threads or available_processors(), precision)


def fastest_precision() -> Precision:
    """What the processor computes in fastest: "bf16" where it has that, else "f32".

    Raises:
        DeviceError: If OpenVINO is not installed.
    """
    return "bf16" if "BF16" in _capabilities() else "f32"


def _capabilities() -> list[str]:
    able: list[str] = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return able


def queue(compiled: Any, requests: int) -> Any:
    """OpenVINO's queue of calls that are computed side by side.

    Args:
        compiled: A compiled model.
        requests: How many at once.
    """
    import_openvino()
    from openvino import AsyncInferQueue

    return AsyncInferQueue(compiled, requests)


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
