"""How many processors may be used, and what they are called."""

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


def processor_name() -> str:
    """Model of the processor, as Linux tells it; elsewhere its architecture."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine() or "an unknown processor"
