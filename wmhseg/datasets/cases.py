"""Which cases a folder holds, and which result belongs to which case. No image is read here.

Three layouts are known, and may stand in one folder:

* The challenge's: ``DATA/training|test/<site>/[<scanner>/]<id>/`` with ``wmh.nii.gz`` and ``pre/``.
* Flat: ``DATA/<id>/`` with the same content. ``DATA`` may be a case itself.
* BIDS-like: ``sub-<label>[_ses-<label>][_run-<index>]…_label-WMH_mask.nii.gz`` anywhere; other
  entities are allowed, the label may be WMH or lesion in any case, the suffix mask or dseg. The
  case is called ``sub-…[_ses-…][_run-…]``; ``participants.tsv`` may tell its site and scanner.

A result is looked for by the case's name, wherever it lies below the folder of results:
``<id>/result.nii.gz``, ``<id>.nii.gz``, or a name as of a BIDS-like reference. ".nii" will do.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

from wmhseg.errors import MissingFileError, NoCasesError, UnreadableFileError, UsageError

SPLITS = ("training", "test")
SELECTORS = {"case": "name", "split": "split", "site": "site", "scanner": "scanner"}
"""What cases can be selected by, and the field of ``Case`` that it is."""

_ENDINGS = (".nii.gz", ".nii")
_BIDS_MASK = re.compile(r"(sub-[0-9a-z+]+(?:_[0-9a-z]+-[0-9a-z+]+)*)_(?:mask|dseg)", re.IGNORECASE)
_BIDS_SCAN = re.compile(r"(sub-[0-9a-z+]+(?:_[0-9a-z]+-[0-9a-z+]+)*)_(FLAIR|T1w)", re.IGNORECASE)
_PLAIN_SCAN = re.compile(r"(?:(.+)[-_])?(FLAIR|T1w?)", re.IGNORECASE)
_BIDS_LABELS = ("wmh", "lesion")
_BIDS_NAMING = ("sub", "ses", "run")


class Kind(StrEnum):
    """What can be wrong with a case."""

    DUPLICATE = "duplicate id"
    NO_REFERENCE = "missing reference"
    NOT_SEGMENTED = "not segmented"
    NO_RESULT = "missing result"
    SEVERAL_RESULTS = "several results"
    SIZES = "sizes differ"
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


@dataclass(frozen=True)
class Subject:
    """Somebody to segment; no reference is needed.

    Attributes:
        name: What the subject is called.
        flair: FLAIR scan, None if the problem says why there is none.
        t1: T1 scan, None if there is none.
        problem: Why the subject cannot be segmented, "" if it can.
    """

    name: str
    flair: Path | None
    t1: Path | None = None
    problem: str = ""


@dataclass(frozen=True)
class Pair:
    """A case and its result.

    Attributes:
        case: The case.
        result: The result's mask, None if the problem says why there is none.
        problem: Why the pair cannot be scored, None if it can.
    """

    case: Case
    result: Path | None
    problem: Problem | None = None


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
    for path in _files(data):
        stem = _stem(path)
        if stem == "wmh":
            cases.append(_case_in_folder(data, path.parent, path))
        elif stem == "FLAIR" and path.parent.name == "pre":
            with_scans.append(path.parent.parent)
        elif match := _BIDS_SCAN.fullmatch(stem):
            scans[_bids_name(match[1]), match[2].lower()].append(path)
        elif name := _bids_mask_name(stem):
            cases.append(Case(name, reference=path))
        elif path.name == "participants.tsv":
            people.update(_participants(path))
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


def find_subjects(data: Path) -> list[Subject]:
    """Find everybody with a FLAIR or T1 scan in a folder.

    Args:
        data: ``<id>/pre/FLAIR.nii.gz`` and ``T1.nii.gz`` as in the challenge, the same without
            ``pre``, BIDS (``sub-…[_ses-…]…_FLAIR``, ``_T1w``; derivatives are left out), or
            ``<id>_FLAIR`` and ``<id>_T1`` beside each other.

    Returns:
        Subjects in natural order of their paths. Of several scans of one kind none is guessed:
        that subject carries a problem. Subjects of one name in different folders all appear.

    Raises:
        MissingFileError: There is no such folder.
        UnreadableFileError: A folder in it cannot be read.
        NoCasesError: It holds no FLAIR scan.
    """
    found: dict[tuple[str, Path], dict[str, list[Path]]] = {}
    for path in _files(data):
        place = _scan_of(data, path)
        if place is not None:
            name, home, kind = place
            found.setdefault((name, home), {"flair": [], "t1": []})[kind].append(path)
    if not any(scans["flair"] for scans in found.values()):
        raise NoCasesError(
            "FLAIR scans as in the challenge (<id>/pre/FLAIR.nii.gz), in BIDS (sub-01_FLAIR.nii.gz)"
            f" or flat (<id>_FLAIR.nii.gz) were expected below {data}",
            received="none",
            advice="Or name a table with the columns subject, flair and t1.",
        )
    return [_subject(name, scans["flair"], scans["t1"]) for (name, _), scans in found.items()]


def _scan_of(data: Path, path: Path) -> tuple[str, Path, str] | None:
    """Name of the subject, the folder that tells namesakes apart, and the kind of scan."""
    stem, folder = _stem(path), path.parent
    if "derivatives" in folder.relative_to(data).parts:
        return None
    if match := _BIDS_SCAN.fullmatch(stem):
        return _bids_name(match[1]), folder, _kind_of(match[2])
    if match := _PLAIN_SCAN.fullmatch(stem):
        if match[1]:
            return match[1], folder, _kind_of(match[2])
        if folder.name == "orig" and (folder.parent / "pre").is_dir():
            return None  # the challenge's scans before preparation
        home = folder.parent if folder.name == "pre" else folder
        return home.name if home != data else data.resolve().name, home, _kind_of(match[2])
    return None


def _kind_of(suffix: str) -> str:
    return "flair" if suffix.lower() == "flair" else "t1"


def _subject(name: str, flair: list[Path], t1: list[Path]) -> Subject:
    for kind, scans in (("FLAIR", flair), ("T1", t1)):
        if len(scans) > 1:
            names = " and ".join(str(path) for path in scans)
            return Subject(name, None, problem=f"several {kind} scans: {names}")
    if not flair:
        return Subject(name, None, problem=f"no FLAIR scan beside {t1[0]}")
    return Subject(name, flair[0], t1[0] if t1 else None)


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


def pair_results(cases: Sequence[Case], results: Path) -> tuple[list[Pair], list[Path]]:
    """Find the result of each case.

    Args:
        cases: The cases.
        results: Folder of results; see above.

    Returns:
        A pair for each case, in their order, and the results that belong to none of them.

    Raises:
        MissingFileError: There is no such folder.
        UnreadableFileError: A folder in it cannot be read.
    """
    references = {os.path.realpath(case.reference) for case in cases if case.reference is not None}
    known = {case.name for case in cases}
    found: dict[str, list[Path]] = defaultdict(list)
    unmatched = []
    for path in _files(results):
        stem = _stem(path)
        if not stem or os.path.realpath(path) in references:
            continue
        at_top = stem == "result" and path.parent == results
        named = path.parent.name if stem == "result" else _bids_mask_name(stem)
        if at_top and len(cases) == 1:  # the folder of one result for one case
            found[cases[0].name].append(path)
        elif named in known or stem in known:
            found[named if named in known else stem].append(path)
        elif named:
            unmatched.append(path)
    return [_pair(case, found[case.name], results) for case in cases], unmatched


def _pair(case: Case, candidates: list[Path], results: Path) -> Pair:
    if case.problem is not None:
        return Pair(case, None, case.problem)
    if not candidates:
        detail = f"no {case.name}/result.nii.gz or {case.name}.nii.gz below {results}"
        return Pair(case, None, Problem(Kind.NO_RESULT, detail))
    if len(candidates) > 1:
        detail = " and ".join(str(path) for path in candidates)
        return Pair(case, None, Problem(Kind.SEVERAL_RESULTS, detail))
    return Pair(case, candidates[0])


def _files(root: Path) -> Iterator[Path]:
    """Yields every file below a folder in natural order, hidden ones left out.

    Links to folders are followed, but no folder is entered twice.
    """
    if not root.is_dir():
        raise MissingFileError("An existing folder was expected", received=root)

    def failed(error: OSError) -> None:
        raise UnreadableFileError(
            "A readable folder was expected", received=f"{error.filename}: {error.strerror}"
        )

    entered = set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=failed):
        real = os.path.realpath(folder)
        if real in entered:
            subfolders.clear()
            continue
        entered.add(real)
        subfolders[:] = sorted((n for n in subfolders if not n.startswith(".")), key=natural)
        yield from (Path(folder, n) for n in sorted(names, key=natural) if not n.startswith("."))


def natural(text: str) -> list[tuple[int, str]]:
    """Key that sorts 2 before 10."""
    parts = re.split(r"([0-9]+)", text)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _stem(path: Path) -> str:
    """Name without the ending of NIfTI, "" for other files."""
    for ending in _ENDINGS:
        if path.name.endswith(ending):
            return path.name[: -len(ending)]
    return ""


def _case_in_folder(data: Path, folder: Path, reference: Path | None) -> Case:
    """A case of the challenge's or the flat layout."""
    *above, name = folder.relative_to(data).parts or (data.resolve().name,)
    if data.resolve().name in SPLITS:
        above.insert(0, data.resolve().name)
    # Archives may unpack into a folder of their own: what counts begins with the split.
    split = next((part for part in reversed(above) if part in SPLITS), "")
    if split:
        above = above[len(above) - above[::-1].index(split) :]
    scans = {scan: folder / "pre" / f"{scan}.nii.gz" for scan in ("FLAIR", "T1")}
    return Case(
        name,
        split=split,
        site=above[0] if above else "",
        scanner="/".join(above[1:]),
        reference=reference,
        flair=scans["FLAIR"] if scans["FLAIR"].is_file() else None,
        t1=scans["T1"] if scans["T1"].is_file() else None,
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
    flair, t1 = (scans.get((case.name, suffix), []) for suffix in ("flair", "t1w"))
    return replace(
        case,
        # Of several scans none is guessed.
        flair=flair[0] if len(flair) == 1 and case.flair is None else case.flair,
        t1=t1[0] if len(t1) == 1 and case.t1 is None else case.t1,
    )


def _bids_name(entities: str) -> str:
    """The entities that tell cases apart."""
    parts = dict(part.split("-", 1) for part in entities.split("_"))
    return "_".join(f"{key}-{parts[key]}" for key in _BIDS_NAMING if key in parts)


def _bids_mask_name(stem: str) -> str:
    """Name of the case that a BIDS-like mask belongs to, "" for other files."""
    match = _BIDS_MASK.fullmatch(stem)
    if match is None:
        return ""
    parts = dict(part.split("-", 1) for part in match[1].split("_"))
    return _bids_name(match[1]) if parts.get("label", "").lower() in _BIDS_LABELS else ""


def _participants(path: Path) -> dict[str, Mapping[str, str]]:
    """Rows of a participants.tsv by their participant_id."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", restval="")
    return {row["participant_id"]: row for row in rows if row.get("participant_id")}
