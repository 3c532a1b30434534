"""What a job needs: seconds and gigabytes, from what was measured (docs/scale.md).

Meant for time limits and memory of a scheduler, where too little costs a job and too much only a
place further back in the queue: the slower of the two processors measured counts, all slices do,
and scans are taken for such that need registration and correction.
"""

from __future__ import annotations

from dataclasses import dataclass

# Of benchmarks/RESULTS.md: networks alone, per slice and member, on one core of the slower machine.
_NETWORK_S = {"f32": 0.36, "bf16": 0.36}  # that machine has no bfloat16: no time is saved there
# Reading, checking, writing; then registration and bias correction of scans as scanners gave them.
_AROUND_S, _RAW_S = 1.4, 60.0
# Engine and libraries, each member up to the third (they are computed in turn), images per voxel.
_BASE_GB, _MEMBER_GB, _MOST_MEMBERS = 0.3, 0.15, 3
_GB_PER_SLICE, _GB_PER_MEGAVOXEL = 0.0006, 0.06
_SLICE_MEGAVOXELS = 0.0576  # 240 x 240
START_S = 60.0
"""From the start of a job to its first slice; 2 s on a local disk, more where Python's files come
over a network."""

MARGIN = 1.5
"""Times what is expected, for a limit."""


@dataclass(frozen=True)
class Needs:
    """What is expected, without a margin.

    Attributes:
        seconds: Of a scan.
        gigabytes: Of memory, of a process.
    """

    seconds: float
    gigabytes: float

    def limits(self, scans: int, jobs: int = 1) -> tuple[int, float]:
        """Time limit and memory to ask a scheduler for, with a margin.

        Args:
            scans: How many the whole task has.
            jobs: Processes at once, each with as many threads as were asked for.

        Returns:
            Seconds, and gigabytes.
        """
        turns = -(-scans // jobs)
        return round(MARGIN * (START_S + turns * self.seconds)), MARGIN * jobs * self.gigabytes


def needs(
    slices: int,
    members: int = 5,
    threads: int = 1,
    precision: str = "f32",
    megavoxels: float | None = None,
) -> Needs:
    """Seconds and gigabytes of a scan.

    Args:
        slices: Of the FLAIR scan, as the model takes them (axial).
        members: Networks of the model, in U-Nets; the default model takes as long as 5 at most.
        threads: Of a process. Two are 1.97 times as fast as one, measured; of more only half of
            each counts, as nobody measured.
        precision: As of ``--precision``.
        megavoxels: Of the FLAIR scan; None for slices of 240 x 240 voxels.

    Returns:
        What is expected on the slower of the processors measured.
    """
    size = slices * _SLICE_MEGAVOXELS if megavoxels is None else megavoxels
    speed = min(threads, 2) + 0.5 * max(0, threads - 2)
    network_s = _NETWORK_S.get(precision, _NETWORK_S["f32"]) * slices * members / speed
    memory_gb = _BASE_GB + _MEMBER_GB * min(members, _MOST_MEMBERS)
    memory_gb += _GB_PER_SLICE * slices + _GB_PER_MEGAVOXEL * size
    return Needs(network_s + _AROUND_S + _RAW_S / speed, memory_gb)
