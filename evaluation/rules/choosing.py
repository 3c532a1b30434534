"""Rules chosen on some sources of scans and applied to another: nothing is tuned on one source.

A source is what stands before the hyphen of a case's name, such as ``openms``; the visits of a
patient (``mslesseg-14a``, ``-14b``) are kept together. Every source weighs alike, in a source every
patient, of a patient every visit.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wmhseg.errors import UsageError
from wmhseg.scoring.metrics import SIZE_LIMITS_VOX
from wmhseg.scoring.rules import Found, Rules

TWO_SOURCES = "Cases of two sources or more were expected (what stands before the hyphen of a name)"

LOW_LOAD = ("openms-07", "tabriz-1", "tabriz-2", "tabriz-3")
"""Validation cases with small loads."""


@dataclass(frozen=True)
class Judged:
    """A scan with what each rule scores on it.

    Attributes:
        name: Of the case.
        source: What its rules must not be chosen on, if it is to judge them.
        patient: Whose scan.
        scores: Rule -> figures.
    """

    name: str
    source: str
    patient: str
    scores: Mapping[Rules, Found]


def source_of(name: str) -> str:
    """What stands before the first hyphen of a case's name."""
    return name.partition("-")[0]


def patient_of(name: str) -> str:
    """The name without the letter of a visit."""
    return re.sub(r"(?<=\d)[a-z]$", "", name)


def balanced_mean(scans: Sequence[Judged], value: Callable[[Judged], float]) -> float:
    """The mean over sources of the mean over patients of the mean over visits.

    Args:
        scans: Of any sources.
        value: Of a scan; NaN counts as none.
    """
    visits: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for scan in scans:
        number = value(scan)
        if not np.isnan(number):
            visits[scan.source][scan.patient].append(number)
    means = [np.mean([np.mean(v) for v in patients.values()]) for patients in visits.values()]
    return float(np.mean(means)) if means else float("nan")


def worth(scans: Sequence[Judged], rule: Rules) -> float:
    """What rules are chosen by: the mean of DSC and lesion F1."""
    return balanced_mean(scans, lambda one: (one.scores[rule].dsc + one.scores[rule].f1) / 2)


def best(scans: Sequence[Judged], rules: Sequence[Rules]) -> Rules:
    """The rule of the highest worth; of equal ones the first, so put simple ones there."""
    return max(rules, key=lambda rule: worth(scans, rule))


@dataclass(frozen=True)
class Applied:
    """Rules as they were applied to the scans that were left out.

    Attributes:
        by_source: Source -> its rule.
        scans: All scans.
    """

    by_source: Mapping[str, Rules]
    scans: tuple[Judged, ...]

    def found(self, scan: Judged) -> Found:
        """What its rule scores on a scan."""
        return scan.scores[self.by_source[scan.source]]

    def mean(self, what: str, sources: Sequence[str] | None = None) -> float:
        """The balanced mean of "dsc" or "f1".

        Args:
            what: The field of ``Found``.
            sources: Of these sources; None for all.
        """
        chosen = [one for one in self.scans if sources is None or one.source in sources]
        return balanced_mean(chosen, lambda one: float(getattr(self.found(one), what)))

    def plain_mean(self, what: str) -> float:
        """The mean over scans, whatever their source."""
        values = np.array([float(getattr(self.found(one), what)) for one in self.scans])
        known = values[~np.isnan(values)]
        return float(known.mean()) if known.size else float("nan")

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Size class -> lesions found, and lesions, of all scans together."""
        totals = {}
        for name in SIZE_LIMITS_VOX:
            pairs = [self.found(one).sizes[name] for one in self.scans]
            totals[name] = (sum(a for a, _ in pairs), sum(b for _, b in pairs))
        return totals

    def of(self, names: Collection[str]) -> Applied:
        """The same of some scans."""
        return Applied(self.by_source, tuple(one for one in self.scans if one.name in names))


def fixed(scans: Sequence[Judged], rule: Rules) -> Applied:
    """One rule for all scans."""
    return Applied({one.source: rule for one in scans}, tuple(scans))


def left_out(scans: Sequence[Judged], rules: Sequence[Rules]) -> Applied:
    """For each source the best rule of all other sources.

    Args:
        scans: Of two sources or more.
        rules: To choose from.

    Raises:
        UsageError: If all scans are of one source.
    """
    sources = sorted({one.source for one in scans})
    if len(sources) < 2:
        raise UsageError(TWO_SOURCES, received=", ".join(sources) or "none")
    chosen = {
        source: best([one for one in scans if one.source != source], rules) for source in sources
    }
    return Applied(chosen, tuple(scans))
