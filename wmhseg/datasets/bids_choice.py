"""Which scans of a BIDS data set are segmented, and which T1w scan goes with each FLAIR scan.

The rules, which docs/bids.md tells users:

* **FLAIR.** Every scan is segmented for itself: each session, run and acquisition. Of files that
  differ only in what was made of them (``desc``, ``space``, ``res``, ``den``, ``label``) the one
  with none of these is taken, else the ``desc-preproc`` one; of others none is guessed.
* **T1w.** One of the same session. Of several: as above; then those of FLAIR's run, if any; those
  whose other entities are FLAIR's, if any; those without a contrast agent, if FLAIR has none; of
  scans that differ in their run alone the last, as scans are repeated that went wrong. Of others
  none is guessed.
* **T1w of another session**, only if asked for: of the nearest one in the order of their labels
  that has any, the earlier of two.

A choice among several is said in a sentence of the subject's ``notes``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wmhseg.datasets.bids_dataset import BidsScan, Person
from wmhseg.datasets.bids_filters import Filters
from wmhseg.datasets.folders import natural
from wmhseg.datasets.subjects import Subject
from wmhseg.errors import NoCasesError, NothingSelectedError

FLAIR, T1W = "flair", "t1w"
# Entities that say what was made of a scan, not which scan it is.
_MADE = ("space", "desc", "res", "den", "label")
_CHOOSE = "choose with --bids-filter-file"
_MOST_NAMED = 10


@dataclass(frozen=True)
class Selection:
    """What is segmented of a data set.

    Attributes:
        subjects: One a FLAIR scan, called by its entities.
        without: People and sessions that have no FLAIR scan.
        elsewhere: Scans whose session has no T1w scan while another session of the person has.
    """

    subjects: tuple[Subject, ...]
    without: tuple[str, ...]
    elsewhere: tuple[str, ...]


def select(people: Sequence[Person], filters: Filters, *, any_session: bool = False) -> Selection:
    """Chooses the scans.

    Args:
        people: Everybody in the data set.
        filters: Who and what is asked for.
        any_session: Take the T1w scan of another session where one's own has none.

    Raises:
        NothingSelectedError: Labels or filters choose nothing, or one label stands nowhere.
        NoCasesError: No filter is given, and there is no FLAIR scan.
    """
    _check_labels(people, filters)
    wanted = [p for p in people if not filters.subjects or p.label in filters.subjects]
    subjects: list[Subject] = []
    without: list[str] = []
    elsewhere: list[str] = []
    for person in wanted:
        found = {session: _flair(person, session, filters) for session in person.sessions}
        if not any(found.values()):
            others = any(person.of(session, FLAIR) for session in person.sessions)
            if filters.subjects or not others:
                without.append(f"sub-{person.label}")
            continue
        for session, groups in found.items():
            if not groups and session and not (filters.sessions or filters.queries):
                without.append(f"sub-{person.label}_ses-{session}")
            for name, scans in groups.items():
                chosen = _Chooser(person, session, filters, any_session).subject(name, scans)
                subjects.append(chosen)
                lacks = chosen.t1 is None and not chosen.problem and not any_session
                if lacks and any(person.of(other, T1W) for other in person.sessions):
                    elsewhere.append(name)
    if not subjects:
        raise _nothing(people, filters)
    if filters.subjects:  # asked for by name: not to be overlooked
        subjects += [_lacking(name) for name in without if "_" not in name]
        without = [name for name in without if "_" in name]
    return Selection(tuple(subjects), tuple(without), tuple(elsewhere))


def _lacking(name: str) -> Subject:
    return Subject(name, None, problem=f"no FLAIR scan in {name}/[ses-…/]anat that is asked for")


def _check_labels(people: Sequence[Person], filters: Filters) -> None:
    known = {
        "participant": ({person.label for person in people}, filters.subjects),
        "session": ({s for person in people for s in person.sessions if s}, filters.sessions),
    }
    for what, (there, asked) in known.items():
        missing = [label for label in asked if label not in there]
        if missing:
            few = sorted(there, key=natural)[:10]
            raise NothingSelectedError(
                f"Labels of the data set were expected for --{what}-label: "
                f"{', '.join(few) or 'it has none'}{', …' * (len(there) > len(few))}",
                received=", ".join(missing),
            )


def _nothing(people: Sequence[Person], filters: Filters) -> NoCasesError | NothingSelectedError:
    flair = _count(people, FLAIR)
    lacking = [f"sub-{p.label}" for p in people
               if p.label in filters.subjects and not _count([p], FLAIR)]  # fmt: skip
    expected = "FLAIR scans, sub-<label>/[ses-<label>/]anat/sub-…_FLAIR.nii.gz, were expected"
    names = ", ".join(lacking[:_MOST_NAMED]) + ", …" * (len(lacking) > _MOST_NAMED)
    if flair and lacking and len(lacking) == len(filters.subjects):
        return NothingSelectedError(
            f"{expected} of those asked for",
            received=f"{names} {'has' if len(lacking) == 1 else 'have'} no FLAIR scan",
            advice="Ask for other participants; --dry-run without labels shows who has one.",
        )
    if filters.any and flair:
        return NothingSelectedError(
            f"{expected} among those asked for",
            received=f"none; the data set has {_many(flair, 'FLAIR scan')}"
            + f", but none of {names}" * bool(lacking),
            advice="Look at the labels and at the file of filters.",
        )
    who, t1w = _many(len(people), "participant"), _many(_count(people, T1W), "T1w scan")
    return NoCasesError(
        expected,
        received=f"none for {who}, and {t1w}",
        advice="A FLAIR scan is needed; derivatives and sourcedata are not looked into.",
    )


def _count(people: Sequence[Person], suffix: str) -> int:
    """How many scans of a kind some people have."""
    return sum(len(p.of(session, suffix)) for p in people for session in p.sessions)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _flair(person: Person, session: str, filters: Filters) -> dict[str, list[BidsScan]]:
    """The FLAIR scans of a session that are asked for: name -> the files that may be the one."""
    groups: dict[str, list[BidsScan]] = {}
    for scan in person.of(session, FLAIR):
        if filters.wants(scan):
            groups.setdefault(_identity(scan), []).append(scan)
    return groups


def _identity(scan: BidsScan) -> str:
    """The entities that say which scan it is, as names have them."""
    return "_".join(f"{k}-{v}" for k, v in scan.name.entities.items() if k not in _MADE)


def _others(scan: BidsScan) -> dict[str, str]:
    """The entities that tell scans of one session and run apart."""
    return {k: v for k, v in scan.name.entities.items() if k not in ("ses", "run", *_MADE)}


def _names(scans: Sequence[BidsScan]) -> str:
    return ", ".join(scan.path.name for scan in scans)


def _of_kind(scans: Sequence[BidsScan]) -> list[BidsScan]:
    """Of what was made of one scan: the scan itself, else what is called preprocessed."""
    plain = [scan for scan in scans if not any(scan.entity(key) for key in _MADE)]
    made = [s for s in scans if s.entity("desc") == "preproc" and not s.entity("space")]
    return plain or made or list(scans)


class _Chooser:
    """Chooses the scans of one FLAIR scan, and keeps what is to be said about it."""

    def __init__(self, person: Person, session: str, filters: Filters, any_session: bool) -> None:
        self._person, self._session = person, session
        self._filters, self._any_session = filters, any_session
        self._notes: list[str] = []

    def subject(self, name: str, scans: Sequence[BidsScan]) -> Subject:
        """The subject of some files that may be its FLAIR scan."""
        kept = _of_kind(scans)
        if len(kept) > 1:
            problem = f"several FLAIR scans ({_names(kept)}): {_CHOOSE}"
            return Subject(name, None, problem=problem)
        (flair,) = kept
        if len(scans) > 1:
            self._notes.append(f"{flair.path.name} is used, of {_names(scans)}.")
        t1w = self._t1w(flair)
        if len(t1w) > 1:
            problem = f"several T1w scans ({_names(t1w)}): {_CHOOSE}"
            return Subject(name, None, problem=problem)
        t1 = t1w[0].path if t1w else None
        return Subject(name, flair.path, t1, notes=tuple(self._notes))

    def _t1w(self, flair: BidsScan) -> list[BidsScan]:
        session = self._session_of_t1w()
        every = self._person.of(session, T1W)
        wanted = [scan for scan in every if self._suits(scan)]
        if every and not wanted:
            self._notes.append(f"No T1w scan is used: of {_names(every)} none is asked for.")
        kept = self._narrowed(wanted, flair)
        if len(kept) == 1 and (session != self._session or len(wanted) > 1):
            of = f", of {_names(wanted)}" if len(wanted) > 1 else ""
            why = (
                f": session {self._session or '(none)'} has none"
                if session != self._session
                else ""
            )
            self._notes.append(f"T1w scan {kept[0].path.name} is used{of}{why}.")
        return kept

    def _suits(self, scan: BidsScan) -> bool:
        """Whether it is asked for; a session is named for FLAIR where another's T1w may be used."""
        if not self._any_session:
            return self._filters.wants(scan)
        return Filters(queries=self._filters.queries).wants(scan)

    def _session_of_t1w(self) -> str:
        """FLAIR's own, or the nearest one that has a T1w scan."""
        own, every = self._session, self._person.sessions
        if not self._any_session or any(map(self._suits, self._person.of(own, T1W))):
            return own
        place = every.index(own)
        having = [s for s in every if any(map(self._suits, self._person.of(s, T1W)))]
        return min(having, key=lambda s: abs(every.index(s) - place), default=own)

    def _narrowed(self, scans: Sequence[BidsScan], flair: BidsScan) -> list[BidsScan]:
        """Those that go with a FLAIR scan: none, one, or several that nobody should guess from."""
        kept = list(scans)
        groups: dict[str, list[BidsScan]] = {}
        for scan in kept:
            groups.setdefault(_identity(scan), []).append(scan)
        kept = [scan for group in groups.values() for scan in _of_kind(group)]
        kept = [s for s in kept if s.entity("run") == flair.entity("run")] or kept
        kept = [s for s in kept if _others(s) == _others(flair)] or kept
        if not flair.entity("ce"):
            kept = [s for s in kept if not s.entity("ce")] or kept
        if len(kept) > 1 and all(_others(s) == _others(kept[0]) for s in kept[1:]):
            runs = {int(s.entity("run") or 0) for s in kept if s.entity("run").isdecimal()}
            last = str(max(runs, default=""))
            kept = [s for s in kept if s.entity("run") == last] or kept
        return kept
