"""How many processors may be used, what they are called, and what they compute in."""

from __future__ import annotations

import math
import os
import platform
from contextlib import suppress
from pathlib import Path


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


_CPUINFO = Path("/proc/cpuinfo")


def processor_name(told: Path = _CPUINFO) -> str:
    """Model of the processor, as Linux tells it; elsewhere its architecture."""
    return _told(told, "model name") or platform.machine() or "an unknown processor"


def has_bfloat16(told: Path = _CPUINFO) -> bool:
    """Whether the processor has instructions for bfloat16, as Linux tells it; elsewhere no.

    Args:
        told: What Linux says: "flags" of x86, "Features" of ARM.
    """
    able = f"{_told(told, 'flags')} {_told(told, 'Features')}".split()
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & {*able})


def _told(path: Path, name: str) -> str:
    """The first line of a name; "" if there is none."""
    with suppress(OSError):
        for line in path.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return ""
