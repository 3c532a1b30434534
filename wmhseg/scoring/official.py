"""Runs the organisers' own evaluation script beside ours, and stops on any difference.

The script (evaluation.py of hjkuijf/wmhchallenge) is given by the user. It runs in a process of
its own with this interpreter; five printed lines are all that comes back.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wmhseg.errors import OfficialDifferenceError, OfficialScriptError

PRINTED: Mapping[str, str] = {
    "dsc": "Dice",
    "h95_mm": "HD",
    "avd_percent": "AVD",
    "recall": "Lesion detection",
    "f1": "Lesion F1",
}
"""What each line begins with; the metrics are named as in ``wmhseg.scoring.metrics.Metrics``."""

TOLERANCE = 1e-6
"""Largest difference, absolute or (for large values) relative."""

_LONGEST_S = 3600
_OLDER = (
    "Older versions are for Python 2 and an older SimpleITK: take the newest evaluation.py of "
    "hjkuijf/wmhchallenge, or put brackets around what its five print lines print and give "
    "TransformIndexToPhysicalPoint a list of Python numbers (index.tolist())."
)
_EXIT_NOT_LOADED, _EXIT_STOPPED = 3, 4

# The script takes two folders from variables of its own and reads wmh.nii.gz and result.nii.gz
# in them. Of integer references it counts the background as WMH, because its threshold of 0.5 is
# cut to 0; the challenge's own are not stored so. It therefore gets every reference as float32.
_LAUNCHER = f"""
import importlib.machinery, importlib.util, os, sys, traceback
script, reference, folder = sys.argv[1:]
try:
    loader = importlib.machinery.SourceFileLoader("official_evaluation", script)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    main = module.do
    module.testDir = os.path.join(folder, "reference")
    module.participantDir = os.path.join(folder, "result")
    import SimpleITK
    image = SimpleITK.Cast(SimpleITK.ReadImage(reference), SimpleITK.sitkFloat32)
    SimpleITK.WriteImage(image, os.path.join(module.testDir, "wmh.nii.gz"))
except BaseException:
    traceback.print_exc()
    sys.exit({_EXIT_NOT_LOADED})
try:
    main()
except BaseException:
    traceback.print_exc()
    sys.exit({_EXIT_STOPPED})
"""


@dataclass(frozen=True)
class Official:
    """What the organisers' script says about one case.

    Attributes:
        values: The five metrics, keyed as ``PRINTED``; empty if the script stopped.
        stopped: The last line of its error, "" if it did not stop.
    """

    values: Mapping[str, float]
    stopped: str = ""


def run(script: Path, reference: Path, result: Path) -> Official:
    """Run the organisers' script on one case.

    Args:
        script: Their evaluation.py.
        reference: Reference mask, NIfTI.
        result: The result's mask, NIfTI.

    Returns:
        The five numbers it prints, or why it stopped on this case.

    Raises:
        OfficialScriptError: It cannot be loaded, prints something else, or does not end.
    """
    with tempfile.TemporaryDirectory(prefix="wmhseg-official-") as name:
        folder = Path(name)
        for part in ("reference", "result"):
            (folder / part).mkdir()
        ending = "nii" if result.name.endswith(".nii") else "nii.gz"
        (folder / "result" / f"result.{ending}").symlink_to(result.resolve())
        # -B: no compiled copy appears beside the user's file.
        words = [sys.executable, "-B", "-c", _LAUNCHER]
        words += [os.fspath(path.resolve()) for path in (script, reference, folder)]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, check=False, timeout=_LONGEST_S
            )
        except subprocess.TimeoutExpired:
            raise OfficialScriptError(
                f"{script} was expected to end within {_LONGEST_S} s", received=f"none on {result}"
            ) from None
    reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    if done.returncode == _EXIT_STOPPED:
        return Official({}, reason)
    if done.returncode != 0:
        raise OfficialScriptError(
            f"The organisers' evaluation.py for Python 3 was expected at {script}",
            received=reason,
            advice=f"It needs numpy, scipy and SimpleITK. {_OLDER}",
        )
    return Official(parse(done.stdout))


def parse(printed: str) -> dict[str, float]:
    """Read the five lines that the script prints, such as "Dice 0.71 (higher is better, max=1)".

    Args:
        printed: All it printed.

    Returns:
        The metrics, keyed as ``PRINTED``.

    Raises:
        OfficialScriptError: A line is missing.
    """
    values = {}
    for metric, label in PRINTED.items():
        line = re.search(rf"^{label}\s+([-+.\w]+)", printed, re.MULTILINE)
        try:
            values[metric] = float(line[1]) if line else None
        except ValueError:
            values[metric] = None
        if values[metric] is None:
            raise OfficialScriptError(
                f'A line "{label} NUMBER" was expected from the organisers\' script',
                received=repr(printed[:300]),
            )
    return {metric: value for metric, value in values.items() if value is not None}


def check(case: str, ours: Mapping[str, float], official: Official, notes: str = "") -> None:
    """Stop if the two programs differ.

    Where the script stops, ours must be undefined (NaN) in at least one metric; where it prints
    NaN, ours must be NaN.

    Args:
        case: Name of the case, for the message.
        ours: Our metrics.
        official: What the script said.
        notes: What is known about unusual values of the case, for the message.

    Raises:
        OfficialDifferenceError: A metric differs by more than ``TOLERANCE``.
        OfficialScriptError: The script stopped where ours are all defined.
    """
    if official.stopped:
        if any(math.isnan(ours[metric]) for metric in PRINTED):
            return
        raise OfficialScriptError(
            f"The organisers' script was expected to score case {case}, as ours does",
            received=official.stopped,
            advice=_OLDER if "TransformIndexToPhysicalPoint" in official.stopped else notes,
        )
    for metric, value in official.values.items():
        both_nan = math.isnan(value) and math.isnan(ours[metric])
        close = math.isclose(value, ours[metric], rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        if not (both_nan or close):
            raise OfficialDifferenceError(
                f"Case {case}: {ours[metric]!r} was expected for {PRINTED[metric]}, as ours finds",
                received=f"{value!r} from the organisers' script",
                advice=notes or "Please report this case: ours should give the same numbers.",
            )
