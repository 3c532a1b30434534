"""Which cases, scans with a reference, a folder holds.

Three layouts are known, and may stand in one folder; hidden files and folders are left out:

* The challenge's: ``DATA/training|test/<site>/[<scanner>/]<id>/`` with ``wmh.nii.gz``,
  ``pre/FLAIR.nii.gz`` and ``pre/T1.nii.gz``.
* Flat: ``DATA/<id>/`` with the same content. ``DATA`` may be a case itself.
* BIDS-like: ``sub-<label>[_ses-<label>][_run-<index>]…_label-WMH_mask.nii.gz`` anywhere; other
  entities are allowed, the label may be WMH or lesion in any case, the suffix mask or dseg. The
  case is called ``sub-…[_ses-…][_run-…]``; its scans are those of the same subject, session and
  run, and ``participants.tsv`` may tell its site and scanner.

".nii" will do for references and for scans of BIDS.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

from wmhseg.datasets.bids import mask_owner, read_participants
from wmhseg.datasets.folders import files_below, stem_of
from wmhseg.datasets.scan_names import PREPARED, challenge_scans, scan_name
from wmhseg.errors import NoCasesError, UsageError

SPLITS = ("training", "test")
SELECTORS = {"case": "name", "split": "split", "site": "site", "scanner": "scanner"}
"""What cases can be selected by, and the field of ``Case`` that it is."""


class Kind(StrEnum):
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

    kind: Kind
    detail: str


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
    """

    name: str
    split: str = ""
    site: str = ""
    scanner: str = ""
    reference: Path | None = None
    flair: Path | None = None
    t1: Path | None = None
    problem: Problem | None = None

    @property
    def in_challenge_layout(self) -> bool:
        """Whether it lies in a data set like the challenge's."""
        return bool(self.split and self.site)


def find_cases(data: Path) -> list[Case]:
    """Find every case of a data set.

    Args:
        data: Its folder; see the layouts above.

    Returns:
        The cases in natural order of their paths. Those that cannot be scored (no reference, or a
        name that another case has too) carry a problem.

    Raises:
        MissingFileError: There is no such folder.
        UnreadableFileError: A folder in it cannot be read.
        NoCasesError: It holds no case.
    """
    cases: list[Case] = []
    scans: dict[tuple[str, str], list[Path]] = defaultdict(list)
    with_scans: list[Path] = []
    people: dict[str, Mapping[str, str]] = {}
    for path in files_below(data):
        stem = stem_of(path)
        if stem == "wmh":
            cases.append(_case_in_folder(data, path.parent, path))
        elif stem == "FLAIR" and path.parent.name == PREPARED:
            with_scans.append(path.parent.parent)
        elif (scan := scan_name(stem)) is not None and scan.bids:
            scans[scan.owner, scan.contrast].append(path)
        elif name := mask_owner(stem):
            cases.append(Case(name, reference=path))
        elif path.name == "participants.tsv":
            people.update(read_participants(path))
    complete = {case.reference.parent for case in cases if case.reference is not None}
    cases += [
        _case_in_folder(data, folder, None) for folder in with_scans if folder not in complete
    ]
    if not cases:
        raise NoCasesError(
            f"A folder with cases was expected: wmh.nii.gz in a folder for each case, or BIDS "
            f"names such as sub-01_label-WMH_mask.nii.gz, below {data}",
            received="none",
        )
    counts = Counter(case.name for case in cases)
    return [_completed(case, counts[case.name], scans, people) for case in cases]


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


def _case_in_folder(data: Path, folder: Path, reference: Path | None) -> Case:
    """A case of the challenge's or the flat layout."""
    *above, name = folder.relative_to(data).parts or (data.resolve().name,)
    if data.resolve().name in SPLITS:
        above.insert(0, data.resolve().name)
    # Archives may unpack into a folder of their own: what counts begins with the split.
    split = next((part for part in reversed(above) if part in SPLITS), "")
    if split:
        above = above[len(above) - above[::-1].index(split) :]
    flair, t1 = (path if path.is_file() else None for path in challenge_scans(folder).values())
    return Case(
        name,
        split=split,
        site=above[0] if above else "",
        scanner="/".join(above[1:]),
        reference=reference,
        flair=flair,
        t1=t1,
        problem=None if reference else Problem(Kind.NO_REFERENCE, f"no wmh.nii.gz in {folder}"),
    )


def _completed(
    case: Case,
    namesakes: int,
    scans: Mapping[tuple[str, str], list[Path]],
    people: Mapping[str, Mapping[str, str]],
) -> Case:
    """Adds what is known only after all files have been seen."""
    if namesakes > 1:
        detail = f"one of {namesakes} cases of that name: {case.reference or case.flair}"
        case = replace(case, problem=Problem(Kind.DUPLICATE, detail))
    person = people.get(case.name.split("_")[0])
    if person is not None:
        case = replace(case, site=person.get("site", ""), scanner=person.get("scanner", ""))
    flair, t1 = (scans.get((case.name, contrast), []) for contrast in ("FLAIR", "T1"))
    return replace(
        case,
        # Of several scans none is guessed.
        flair=flair[0] if len(flair) == 1 and case.flair is None else case.flair,
        t1=t1[0] if len(t1) == 1 and case.t1 is None else case.t1,
    )
