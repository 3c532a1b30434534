"""What a task of an array asks a scheduler for, where nobody says it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

from wmhseg import errors
from wmhseg.batch.needs import needs
from wmhseg.datasets.subjects import Subject
from wmhseg.io import images
from wmhseg.segmentation.options import Options
from wmhseg.weights.preset import NetworkOption, Preset

_LOOKS = 8
_LEAST_MIN, _LEAST_GB = 30, 3
# What networks take, in U-Nets (docs/speed.md): Stack-Nets by their kernels, and the one that names
# structures.
_STACKNETS: dict[NetworkOption, float] = {3: 1.5, 5: 2.5}
_STRUCTURES = 2
_DEFAULT = 5  # the default model
_UNKNOWN = (200, 11.5)  # a scan of 1 mm, where none can be read


def limits(
    subjects: Sequence[Subject], tasks: int, preset: Preset | None, options: Options
) -> tuple[str, str]:
    """Time limit and memory of a task, as SLURM writes them.

    Args:
        subjects: All of them; a few scans are looked at, and the largest counts.
        tasks: Among which they are dealt out.
        preset: Of the model, None if it is not known here.
        options: Of the segmentation, with the threads of a task.
    """
    slices, megavoxels = _largest(subjects)
    members = _in_unets(preset) + _STRUCTURES * options.anatomy
    each = needs(slices, members, options.threads or 1, options.precision, megavoxels)
    twice = 2 if options.flips == "on" else 1
    seconds, memory_gb = each.limits(twice * math.ceil(len(subjects) / tasks))
    minutes = max(_LEAST_MIN, math.ceil(seconds / 60))
    return str(minutes), f"{max(_LEAST_GB, math.ceil(memory_gb))}G"


def _in_unets(preset: Preset | None) -> int:
    """How many U-Nets take as long as a model, at most."""
    if preset is None:
        return _DEFAULT
    stacks = [one.options.get("kernel") for one in preset.members if one.network == "stacknet"]
    others = len(preset.members) - len(stacks)
    return others + math.ceil(sum(_STACKNETS.get(kernel or 3, 2.5) for kernel in stacks))


def _largest(subjects: Sequence[Subject]) -> tuple[int, float]:
    """Most axial slices, and most millions of voxels, of some of the scans."""
    found = []
    for subject in subjects[:: max(1, len(subjects) // _LOOKS)][:_LOOKS]:
        # A broken one is its own task's matter.
        with contextlib.suppress(errors.WmhsegError):
            if subject.flair is not None:
                grid = images.read_grid(subject.flair)
                sizes = dict(zip(grid.orientation, reversed(grid.shape), strict=True))
                slices = sizes.get("S") or sizes["I"]
                found.append((slices, math.prod(grid.shape) / 1e6))
    return tuple(map(max, zip(*found, strict=True))) if found else _UNKNOWN
