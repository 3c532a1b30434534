"""Which cases, scans with a reference, a folder holds.

Scans are found as for ``wmhseg batch``: see ``scans`` for the layouts. Their masks:

* Challenge and flat: ``wmh.nii.gz`` in ``<id>/``, whether the scans lie there or in ``pre``.
  ``DATA/training|test/<site>/[<scanner>/]<id>/`` tells split, site and scanner.
* Pairs: ``<id>_wmh.nii.gz`` beside ``<id>_FLAIR.nii.gz``.
* BIDS-like: ``sub-<label>[_ses-<label>][_run-<index>]…_label-WMH_mask.nii.gz`` anywhere; other
  entities are allowed, the label may be WMH or lesion in any case, the suffix mask or dseg. The
  case is called ``sub-…[_ses-…][_run-…]``; its FLAIR scan is matched to it as T1 is to FLAIR, in
  ``derivatives`` only if there is none elsewhere. ``participants.tsv`` may tell site and scanner.

".nii" will do.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

from wmhseg.datasets.bids import mask_owner, parse, read_participants
from wmhseg.datasets.folders import Warn, files_below, left_out, stem_of, warned
from wmhseg.datasets.scan_names import ORIGINAL, scan_name
from wmhseg.datasets.scans import (
    FLAIR,
    T1,
    Chosen,
    Group,
    Layout,
    choose,
    choose_in_bids,
    closest,
    groups,
    is_data,
    is_derived,
    sought_in,
)
from wmhseg.errors import NoCasesError, UsageError

MASK = "wmh"
_PAIRED_MASK = re.compile(rf"(.+)[-_]{MASK}", re.IGNORECASE)
SPLITS = ("training", "test")
SELECTORS = {"case": "name", "split": "split", "site": "site", "scanner": "scanner"}
"""What cases can be selected by, and the field of ``Case`` that it is."""


class ProblemKind(StrEnum):
    """What can be wrong with a case."""

    DUPLICATE = "duplicate id"
    NO_REFERENCE = "missing reference"
    NOT_SEGMENTED = "not segmented"
    NO_RESULT = "missing result"
    SEVERAL_RESULTS = "several results"
    SIZES = "sizes differ"
    PLACES = "places differ"
    UNREADABLE = "unreadable image"
    EMPTY_REFERENCE = "empty reference"


@dataclass(frozen=True)
class Problem:
    """What is wrong with one case, and a sentence on it."""

    kind: ProblemKind
    detail: str

    def __str__(self) -> str:
        """Both in one line."""
        return f"{self.kind}: {self.detail}"


@dataclass(frozen=True)
class Case:
    """One case of a data set.

    Attributes:
        name: What it is called: the name of its folder, or its BIDS entities.
        split: "training" or "test" in the challenge's layout, otherwise "".
        site: Where it was scanned, "" if unknown.
        scanner: Which of the site's scanners, "" if there is one.
        reference: The reference mask.
        flair: FLAIR scan to segment, None if there is none.
        t1: T1 scan on the FLAIR scan's grid, None if there is none.
        problem: Why the case cannot be scored, None if it can.
        scan_problem: Why there are no scans, "" if there are. It can be scored all the same.
    """

    name: str
    split: str = ""
    site: str = ""
    scanner: str = ""
    reference: Path | None = None
    flair: Path | None = None
    t1: Path | None = None
    problem: Problem | None = None
    scan_problem: str = ""

    @property
    def in_challenge_layout(self) -> bool:
        """Whether it lies in a data set like the challenge's."""
        return bool(self.split and self.site)


def find_cases(data: Path, warn: Warn = warned) -> list[Case]:
    """Find every case of a data set.

    Args:
        data: Its folder; see the layouts above.
        warn: Is given a sentence about what was found and is not used: folders that cannot be
            read, and FLAIR scans of pairs and in BIDS that have no mask.

    Returns:
        The cases in natural order of their paths. Those that cannot be scored (no reference, or a
        name that another case has too) carry a problem, and so do those whose scans are missing
        or not the only ones.

    Raises:
        MissingFileError: There is no such folder.
        UnreadableFileError: It cannot be read.
        NoCasesError: It holds no case.
    """
    paths = [path for path in files_below(data, warn) if is_data(data, path)]
    found = groups(data, paths)
    cases, people = _with_references(data, paths, found)
    homes = {case.reference.parent for case in cases if case.reference is not None}
    for group in found:
        if group.layout is Layout.FOLDER and group.scans[FLAIR] and _home(group) not in homes:
            chosen = choose(group.scans[FLAIR], group.scans[T1])
            cases.append(_case_in_folder(data, group.home, None, chosen))
    alone = _without_masks(data, found, [c.reference for c in cases if c.reference is not None])
    if not cases:
        raise NoCasesError(
            f"A folder with cases was expected: wmh.nii.gz in a folder for each case, or BIDS "
            f"names such as sub-01_label-WMH_mask.nii.gz, below {data}",
            received=f"{len(alone)} FLAIR scans without a mask" if alone else "none",
        )
    if alone:
        warn(left_out("FLAIR scans without a mask", alone))
    counts = Counter(case.name for case in cases)
    return [_completed(case, counts[case.name], people) for case in cases]


def _home(group: Group) -> Path:
    """The folder of a case; orig is not what is segmented, nor a case of its own."""
    return group.home.parent if group.home.name == ORIGINAL else group.home


def _without_masks(data: Path, found: Sequence[Group], masks: Sequence[Path]) -> list[Path]:
    """FLAIR scans of pairs and in BIDS that no mask belongs to, nor the folder that they lie in."""
    folders = {path.parent for path in masks if stem_of(path).lower() == MASK}
    pairs, sessions = set(), set()
    for path in masks:
        name, pair = parse(stem_of(path)), _PAIRED_MASK.fullmatch(stem_of(path))
        if pair is not None:
            pairs.add((path.parent, pair[1]))
        if name is not None:
            sessions.add(name.session)
    alone: list[Path] = []
    for group in found:
        known = (group.home, group.name) in pairs or group.name in sessions
        if group.layout is not Layout.FOLDER and not known:
            scans = [path for path in group.scans[FLAIR] if not is_derived(data, path)]
            alone += [p for p in scans if not folders & {p.parent, p.parent.parent}]
    return alone


def _with_references(
    data: Path, paths: Sequence[Path], found: Sequence[Group]
) -> tuple[list[Case], dict[str, Mapping[str, str]]]:
    """Every case that has a mask, with its scans; and what is known about people."""
    beside = {(g.layout, g.home, g.name): g for g in found if g.layout is Layout.PAIR}
    folders = {g.home: g for g in found if g.layout is Layout.FOLDER}
    sessions: dict[str, list[Path]] = defaultdict(list)
    for group in found:
        if group.layout is Layout.BIDS:
            sessions[group.name] += [*group.scans[FLAIR], *group.scans[T1]]
    cases: list[Case] = []
    people: dict[str, Mapping[str, str]] = {}
    for path in paths:
        stem, folder = stem_of(path), path.parent
        pair = _PAIRED_MASK.fullmatch(stem)
        scans = beside.get((Layout.PAIR, folder, pair[1])) if pair else None
        if stem.lower() == MASK:
            scans = folders.get(folder, Group(folder.name, folder, Layout.FOLDER))
            sought = sought_in(folder)
            chosen = choose(scans.scans[FLAIR], scans.scans[T1], sought)
            cases.append(_case_in_folder(data, folder, path, chosen))
        elif scans is not None:
            chosen = choose(scans.scans[FLAIR], scans.scans[T1], f"none beside {path}")
            cases.append(_case(scans.name, path, chosen))
        elif name := mask_owner(stem):
            chosen = _of_bids(data, stem, sessions)
            cases.append(_case(name, path, chosen))
        elif path.name == "participants.tsv":
            people.update(read_participants(path))
    return cases, people


def _of_bids(data: Path, stem: str, sessions: Mapping[str, Sequence[Path]]) -> Chosen:
    """The scans of a mask's subject and session."""
    name = parse(stem)
    session = name.session if name is not None else ""
    known = sessions.get(session, ())
    raw = [path for path in known if not is_derived(data, path)]
    scans: dict[str, list[Path]] = {FLAIR: [], T1: []}
    for path in raw if any(_contrast(path) == FLAIR for path in raw) else known:
        scans[_contrast(path)].append(path)
    sought = f"no {session}…_FLAIR.nii.gz or .nii below {data}"
    return choose_in_bids(closest(scans[FLAIR], stem), scans[T1], sought)


def _contrast(path: Path) -> str:
    scan = scan_name(stem_of(path))
    return scan.contrast if scan is not None else ""


def _case(name: str, reference: Path | None, chosen: Chosen) -> Case:
    return Case(
        name,
        reference=reference,
        flair=chosen.flair,
        t1=chosen.t1,
        scan_problem=chosen.problem,
    )


def select(cases: Sequence[Case], only: Iterable[str]) -> list[Case]:
    """Keep some of the cases.

    Args:
        cases: All cases.
        only: Texts such as "site=Utrecht" or "scanner=Philips*"; keys are those of ``SELECTORS``.
            Different keys must all match; of one key, any.

    Returns:
        The cases that match, in their order.

    Raises:
        UsageError: A text is not of this form.
        NoCasesError: No case matches.
    """
    patterns: dict[str, list[str]] = defaultdict(list)
    for text in only:
        key, equals, pattern = text.partition("=")
        if not equals or key not in SELECTORS:
            raise UsageError(
                f"A selection such as site=Utrecht was expected, by {', '.join(SELECTORS)}",
                received=f'"{text}"',
            )
        patterns[key].append(pattern)
    kept = [
        case
        for case in cases
        if all(
            any(fnmatchcase(getattr(case, SELECTORS[key]), pattern) for pattern in choices)
            for key, choices in patterns.items()
        )
    ]
    if not kept:
        raise NoCasesError(
            f"At least one of {len(cases)} cases was expected to match", received=" ".join(only)
        )
    return kept


def _case_in_folder(data: Path, folder: Path, reference: Path | None, chosen: Chosen) -> Case:
    """A case of the challenge's or the flat layout."""
    *above, name = folder.relative_to(data).parts or (data.resolve().name,)
    if data.resolve().name in SPLITS:
        above.insert(0, data.resolve().name)
    # Archives may unpack into a folder of their own: what counts begins with the split.
    split = next((part for part in reversed(above) if part in SPLITS), "")
    if split:
        above = above[len(above) - above[::-1].index(split) :]
    missing = f"no {MASK}.nii.gz or {MASK}.nii in {folder}"
    return replace(
        _case(name, reference, chosen),
        split=split,
        site=above[0] if above else "",
        scanner="/".join(above[1:]),
        problem=None if reference else Problem(ProblemKind.NO_REFERENCE, missing),
    )


def _completed(case: Case, namesakes: int, people: Mapping[str, Mapping[str, str]]) -> Case:
    """Adds what is known only after all files have been seen."""
    if namesakes > 1:
        detail = f"one of {namesakes} cases of that name: {case.reference or case.flair}"
        case = replace(case, problem=Problem(ProblemKind.DUPLICATE, detail))
    person = people.get(case.name.split("_")[0])
    if person is not None:
        case = replace(case, site=person.get("site", ""), scanner=person.get("scanner", ""))
    return case
