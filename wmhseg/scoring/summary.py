"""What the scores of a study mean together: groups of cases, and means with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from wmhseg.datasets.folders import natural
from wmhseg.scoring import statistics
from wmhseg.scoring.statistics import BlandAltman, Bootstrap, Summary, bland_altman
from wmhseg.scoring.table import COUNTS, VALUES, Score

Role = Literal["unstated", "validation", "test", "demo"]
ROLES: Mapping[Role, str] = {
    "unstated": "What these data were used for has not been said (--role). Call them test data "
    "only if nothing was trained on them, and nothing chosen by looking at them.",
    "validation": "Validation data: something may have been chosen by looking at them, so these "
    "are not test figures.",
    "test": "Test data: not used to train or to choose anything that is scored here.",
    "demo": "Demonstration on synthetic data: it shows that everything runs, not how good it is.",
}
"""What a study's data were used for, and what its tables say about it."""

LABELS: Mapping[str, str] = {
    "dsc": "DSC",
    "h95_mm": "H95 (mm)",
    "avd_percent": "AVD (%)",
    "recall": "Lesion recall",
    "f1": "Lesion F1",
    "precision": "Lesion precision",
    "panoptic_quality": "Panoptic quality",
    "assd_mm": "Surface distance (mm)",
    "reference_ml": "Volume, reference (ml)",
    "result_ml": "Volume, result (ml)",
    "volume_bias_ml": "Volume bias (ml)",
    "small_recall": "Recall, < 10 voxels",
    "medium_recall": "Recall, 10-20 voxels",
    "large_recall": "Recall, > 20 voxels",
}
"""How a metric is called in tables and plots."""

CHALLENGE: tuple[str, ...] = ("dsc", "h95_mm", "avd_percent", "recall", "f1")
SIZE_CLASSES: Mapping[str, str] = {"small": "< 10", "medium": "10-20", "large": "> 20"}
"""Size classes of lesions, and their limits in voxels."""


def heading(title: str, role: Role) -> str:
    """Title with the role of the data, which no table is without."""
    kinds = {"demo": "demo", "unstated": "data of unstated use"}
    return f"{title}: {kinds.get(role, f'{role} data')}"


@dataclass(frozen=True)
class Study:
    """Scores of one model on one set of cases.

    Attributes:
        title: What was scored.
        role: What the data were used for.
        scores: One for each case, those that could not be scored too.
        remarks: Sentences to print with the figures.
    """

    title: str
    role: Role
    scores: tuple[Score, ...]
    remarks: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """Printed above its tables and plots."""
        return heading(self.title, self.role)

    @property
    def scored(self) -> tuple[Score, ...]:
        """The scores that have values."""
        return tuple(score for score in self.scores if score.scored)


@dataclass(frozen=True)
class SizeClass:
    """Recall of lesions of one size over all cases together.

    Attributes:
        name: A key of ``SIZE_CLASSES``.
        lesions: Their number.
        recall: Detected / all, NaN if there are none.
    """

    name: str
    lesions: int
    recall: float


Sizes = tuple[SizeClass, ...]
"""One record for each of ``SIZE_CLASSES``."""


@dataclass(frozen=True)
class Overview:
    """All figures of a study, beside its table of scores.

    Attributes:
        study: The study.
        groups: Kind ("all", "site", "scanner") -> name -> metric -> figures.
        volumes: Agreement of the volumes, None with fewer than two cases.
        sizes: Recall by size of lesion.
        others: Label besides WMH -> metric -> figures of the cases that have it.
        group_sizes: Kind -> name -> recall by size of lesion, of the same groups.
        other_sizes: Label besides WMH -> recall by size of its parts.
    """

    study: Study
    groups: Mapping[str, Mapping[str, Mapping[str, Summary]]]
    volumes: BlandAltman | None
    sizes: Sizes = field(default=())
    others: Mapping[str, Mapping[str, Summary]] = field(default_factory=dict)
    group_sizes: Mapping[str, Mapping[str, Sizes]] = field(default_factory=dict)
    other_sizes: Mapping[str, Sizes] = field(default_factory=dict)


def challenge_summary(scores: Iterable[Score]) -> dict[str, Summary]:
    """Summarise the five challenge metrics over all scored cases.

    Args:
        scores: All scores.

    Returns:
        Figures of each metric.
    """
    return _summaries(list(scores), CHALLENGE, None)


def overview(study: Study, bootstrap: Bootstrap | None = None) -> Overview:
    """Summarise a study: all cases, each site, each scanner.

    Args:
        study: The study.
        bootstrap: How the intervals are drawn.

    Returns:
        All figures.
    """
    scored = study.scored
    names = [name for name in VALUES if name not in COUNTS]
    groups: dict[str, dict[str, dict[str, Summary]]] = {
        "all": {"all": _summaries(scored, names, bootstrap)}
    }
    group_sizes = {"all": {"all": size_classes(scored)}}
    for kind, members in (("site", _by(scored, "site")), ("scanner", _by(scored, "place"))):
        if any(members):  # a group without a name means that nothing is known
            groups[kind] = {
                name or "unknown": _summaries(group, names, bootstrap)
                for name, group in members.items()
            }
            group_sizes[kind] = {name or "unknown": size_classes(g) for name, g in members.items()}
    if groups.get("site", {}).keys() == groups.get("scanner", {}).keys():
        groups.pop("scanner", None)
        group_sizes.pop("scanner", None)
    volumes = [
        (s.values["reference_ml"], s.values["result_ml"])
        for s in scored
        if {"reference_ml", "result_ml"} <= s.values.keys()
    ]
    agreement = bland_altman(*zip(*volumes, strict=True)) if len(volumes) > 1 else None
    labels = list(dict.fromkeys(label for score in scored for label in score.others))
    by_label = {label: [s.others[label] for s in scored if label in s.others] for label in labels}
    return Overview(
        study,
        groups,
        agreement,
        group_sizes["all"]["all"],
        others={label: _figures(cases, names, bootstrap) for label, cases in by_label.items()},
        group_sizes=group_sizes,
        other_sizes={label: recall_by_size(cases) for label, cases in by_label.items()},
    )


def size_classes(scores: Sequence[Score]) -> Sizes:
    """Recall by size of lesion, over the lesions of all cases together.

    Args:
        scores: Scored cases.
    """
    return recall_by_size([score.values for score in scores])


def recall_by_size(values: Sequence[Mapping[str, float]]) -> Sizes:
    """As ``size_classes``, of metrics by name; cases of older tables, without sizes, are left out.

    Args:
        values: The metrics of each case.
    """
    classes = []
    for name in SIZE_CLASSES:
        cases = [
            (one[f"{name}_recall"], int(one[f"{name}_lesions"]))
            for one in values
            if {f"{name}_recall", f"{name}_lesions"} <= one.keys()
        ]
        lesions = sum(count for _, count in cases)
        detected = sum(recall * count for recall, count in cases if count)
        classes.append(SizeClass(name, lesions, detected / lesions if lesions else math.nan))
    return tuple(classes)


def by_place(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """Scored cases by site and scanner; the name is "" where nothing is known.

    Args:
        scores: All scores.

    Returns:
        Name -> scores, in natural order of the names.
    """
    return _by([score for score in scores if score.scored], "place")


def _by(scores: Sequence[Score], key: str) -> dict[str, list[Score]]:
    groups: dict[str, list[Score]] = {}
    for score in sorted(scores, key=lambda s: natural(getattr(s, key))):
        groups.setdefault(getattr(score, key), []).append(score)
    return groups


def _summaries(
    scores: Sequence[Score], names: Sequence[str], bootstrap: Bootstrap | None
) -> dict[str, Summary]:
    return _figures([s.values for s in scores if s.scored], names, bootstrap)


def _figures(
    cases: Sequence[Mapping[str, float]], names: Sequence[str], bootstrap: Bootstrap | None
) -> dict[str, Summary]:
    return {
        name: statistics.summarise([values.get(name, math.nan) for values in cases], bootstrap)
        for name in names
    }
