"""What the machine is that something is measured on, and what is measured there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from wmhseg import errors, processors
from wmhseg.engines import backends, interface, openvino_core, runtime
from wmhseg.errors import DeviceError
from wmhseg.networks import rewriting
from wmhseg.weights import store

ROOT = Path(__file__).resolve().parents[1]
_FEATURES = {
    "avx512f": "AVX-512",
    "avx512_bf16": "bfloat16",
    "avx512_fp16": "float16",
    "amx_bf16": "AMX",
}


def has_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 here."""
    try:
        openvino_core.start_openvino(1, "bf16")
    except DeviceError:
        return False
    return True


def precisions() -> list[runtime.Precision]:
    """What this processor computes in with OpenVINO."""
    return ["f32", "bf16"] if has_bfloat16() else ["f32"]


def expect_packages(*names: str) -> None:
    """Finds out before anything is measured what is not installed.

    Raises:
        MissingPackageError: For the first that is not.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise errors.missing_package(name)


def has_gpu() -> bool:
    """Whether Keras sees a GPU."""
    return (
        backends.has_keras() and backends.may_have_gpu() and backends.start_keras().device == "gpu"
    )


def features() -> str:
    """What the processor has of that which sets its speed."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return "instructions unknown"
    return ", ".join(name for flag, name in _FEATURES.items() if flag in flags) or "no AVX-512"


def kind() -> str:
    """One line that names the kind of processor: the heading of its results."""
    name = processors.processor_name().replace("(R)", "").replace("(TM)", "")
    return f"{processors.available_processors()} cores of {name} ({features()})"


def first_member() -> tuple[Any, Any]:
    """Network and weights of the default model's first member, as OpenVINO takes them."""
    model = store.find(store.DEFAULT_MODEL)
    member = model.preset.members[0]
    return rewriting.merge_doublings(interface.describe(model, member), store.load(model, member))
