"""Which result belongs to which case.

A result is looked for by the case's name, wherever it lies below the folder of results:
``<id>/result.nii.gz``, ``<id>.nii.gz``, or a name as of a BIDS-like reference. The result of a
single case may stand as ``result.nii.gz`` right in the folder. ".nii" will do. Masks of other
labels lie beside it: ``result_stroke.nii.gz`` or ``stroke.nii.gz``, ``<id>_stroke.nii.gz``.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wmhseg.datasets.bids import mask_owner
from wmhseg.datasets.cases import Case, Problem, ProblemKind
from wmhseg.datasets.contents import not_there
from wmhseg.datasets.folders import Warn, files_below, stem_of, warned

OTHERS: Mapping[str, int] = {"stroke": 2}
"""Labels besides WMH that results may have -> the reference's label that they are to find."""

_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Pair:
    """A case and its result.

    Attributes:
        case: The case.
        result: The result's mask, None if the problem says why there is none.
        problem: Why the pair cannot be scored, None if it can.
        others: Label besides WMH -> the result's mask of it, where there is one.
    """

    case: Case
    result: Path | None
    problem: Problem | None = None
    others: Mapping[str, Path] = field(default_factory=dict)


def pair_results(
    cases: Sequence[Case], results: Path, warn: Warn = warned
) -> tuple[list[Pair], list[Path]]:
    """Find the result of each case.

    Args:
        cases: The cases.
        results: Folder of results.
        warn: Is given a sentence about each folder in it that cannot be read.

    Returns:
        A pair for each case, in their order, and the results that belong to none of them.

    Raises:
        MissingFileError: There is no such folder.
        UnreadableFileError: It cannot be read.
    """
    references = {os.path.realpath(case.reference) for case in cases if case.reference is not None}
    known = {case.name for case in cases}
    candidates: dict[str, list[Path]] = defaultdict(list)
    unmatched = []
    for path in files_below(results, warn):
        stem = stem_of(path)
        if not stem or os.path.realpath(path) in references:
            continue
        at_top = stem == "result" and path.parent == results
        named = path.parent.name if stem == "result" else mask_owner(stem)
        if at_top and len(cases) == 1:  # the folder of one result for one case
            candidates[cases[0].name].append(path)
        elif named in known or stem in known:
            candidates[named if named in known else stem].append(path)
        elif named:
            unmatched.append(path)
    pairs = [_pair(case, candidates[case.name], results) for case in cases]
    used = {path for pair in pairs for path in pair.others.values()}
    return pairs, [path for path in unmatched if path not in used]


def others_beside(result: Path) -> dict[str, Path]:
    """The masks of other labels that belong to a result, by their names.

    Args:
        result: Its mask of WMH.

    Returns:
        Label -> file. Of two names that would do, the longer one counts.
    """
    stem, found = stem_of(result), {}
    for label in OTHERS:
        names = [f"{stem}_{label}", *([label] if stem == "result" else [])]
        paths = (result.with_name(name + ending) for name in names for ending in _ENDINGS)
        there = next((path for path in paths if path.is_file()), None)
        if there is not None:
            found[label] = there
    return found


def why_not(pair: Pair) -> str:
    """Why a pair cannot be scored, as far as names and the beginnings of files tell; or ""."""
    if pair.problem is not None:
        return str(pair.problem)
    return not_there({"mask": pair.case.reference, "result": pair.result})


def _pair(case: Case, candidates: list[Path], results: Path) -> Pair:
    if case.problem is not None:
        return Pair(case, None, case.problem)
    if not candidates:
        detail = f"no {case.name}/result.nii.gz or {case.name}.nii.gz below {results}"
        return Pair(case, None, Problem(ProblemKind.NO_RESULT, detail))
    if len(candidates) > 1:
        detail = " and ".join(str(path) for path in candidates)
        return Pair(case, None, Problem(ProblemKind.SEVERAL_RESULTS, detail))
    return Pair(case, candidates[0], others=others_beside(candidates[0]))
