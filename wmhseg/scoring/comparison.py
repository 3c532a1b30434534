"""Tables of scores against each other, and against the teams published in 2017."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from wmhseg.errors import NoCasesError, TableError, UsageError
from wmhseg.scoring import ranking, statistics
from wmhseg.scoring.markdown import number, table
from wmhseg.scoring.ranking import HIGHER_IS_BETTER, Standing
from wmhseg.scoring.statistics import Bootstrap, Comparison, Summary
from wmhseg.scoring.summary import CHALLENGE, LABELS, challenge_summary
from wmhseg.scoring.table import COUNTS, VALUES, Score

TEST_SCANS = 110
"""Test scans of the challenge, over which the published means are."""

SIGNIFICANT = 0.05
"""Adjusted p below which a table says which of two models is better."""

COMPARABLE = tuple(name for name in VALUES if name not in COUNTS and name != "reference_ml")
"""Metrics that two models can be compared in."""

_BETTER_HIGH: Mapping[str, bool] = {
    **HIGHER_IS_BETTER,
    "precision": True,
    "panoptic_quality": True,
    "assd_mm": False,
    "small_recall": True,
    "medium_recall": True,
    "large_recall": True,
}


@dataclass(frozen=True)
class Placed:
    """A table of scores among the published teams.

    Attributes:
        name: What the result is called.
        metrics: Its five metrics.
        standing: Its position and score, and the whole table.
        remarks: What must be printed with it.
    """

    name: str
    metrics: Mapping[str, Summary]
    standing: Standing
    remarks: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain values."""
        return {
            "name": self.name,
            "position": self.standing.position,
            "of": len(self.standing.table),
            "score": self.standing.score,
            "metrics": {
                name: {"mean": s.mean, "n": s.n, "n_nan": s.n_nan, "score": score}
                for (name, s), score in zip(
                    self.metrics.items(), self.standing.metric_scores.values(), strict=True
                )
            },
            "remarks": list(self.remarks),
            "table": [{"name": name, "score": score} for name, score in self.standing.table],
        }

    def to_markdown(self) -> list[str]:
        """Returns lines of Markdown, remarks first."""
        scores = self.standing.metric_scores
        rows = [
            [LABELS[name], number(s.mean), str(s.n), str(s.n_nan), f"{scores[name]:.4f}"]
            for name, s in self.metrics.items()
        ]
        published = {team.name: team for team in ranking.published_teams()}
        teams = [
            [
                str(1 + sum(other < score for _, other in self.standing.table)),
                f"**{name}**" if name == self.name else name,
                f"{score:.4f}",
                f"{published[name].published_rank:.4f}" if name in published else "",
            ]
            for name, score in self.standing.table
        ]
        head = ["Position", "team", "score, ranked anew", "score printed in 2017"]
        return [
            f"{self.name} would stand at position {self.standing.position} of "
            f"{len(self.standing.table)}, with a score of {self.standing.score:.4f} "
            "(0 is best, 1 worst).",
            "",
            *self.remarks,
            "",
            *table(["Metric", "mean", "n", "NaN", "score"], rows),
            "The 20 teams are as published in 2017; only the line in bold was measured here.",
            "",
            *table(head, teams),
        ]


def place(scores: Sequence[Score], name: str) -> Placed:
    """Say where a table of scores would stand among the 20 teams published in 2017.

    Args:
        scores: The table.
        name: What to call the result; not the name of a team.

    Returns:
        Its place, with the remarks that belong to it.

    Raises:
        NoCasesError: No case is scored.
        UsageError: A metric is NaN in all cases, or the name is taken.
    """
    scored = [score for score in scores if score.scored]
    if not scored:
        raise NoCasesError("A table with at least one scored case was expected")
    metrics = challenge_summary(scored)
    undefined = [LABELS[metric] for metric, s in metrics.items() if s.n == 0]
    if undefined:
        raise UsageError(
            "At least one value of each metric was expected",
            received=f"none for {', '.join(undefined)}",
        )
    standing = ranking.standing({metric: s.mean for metric, s in metrics.items()}, name=name)
    return Placed(name, metrics, standing, (ranking.CAVEAT, *_reservations(scores, metrics)))


def _reservations(scores: Sequence[Score], metrics: Mapping[str, Summary]) -> list[str]:
    """What makes a place less than it seems."""
    scored = [score for score in scores if score.scored]
    remarks = []
    if len(scored) != TEST_SCANS or any(score.split != "test" for score in scored):
        remarks.append(
            f"The published means are over the challenge's {TEST_SCANS} test scans. These are "
            f"{len(scored)} scored cases that are not, or not all, of them: the position is an "
            "illustration and compares different scans."
        )
    if len(scored) < len(scores):
        remarks.append(f"{len(scores) - len(scored)} cases were not scored and do not count.")
    if any(s.n_nan for s in metrics.values()):
        remarks.append("Undefined values (NaN) are left out of the means.")
    return remarks


@dataclass(frozen=True)
class Compared:
    """Two tables of scores on their common cases.

    Attributes:
        names: Of the first and the second.
        cases: Names of the common cases.
        only: Cases scored in the first alone, and in the second alone.
        metrics: Figures for each metric; differences are second minus first.
        means: For each metric the means of the first and the second over the same pairs.
        other_references: Cases whose reference volume differs between the tables.
    """

    names: tuple[str, str]
    cases: tuple[str, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]
    metrics: Mapping[str, Comparison]
    means: Mapping[str, tuple[float, float]]
    other_references: tuple[str, ...]

    def better(self, metric: str) -> str:
        """Name of the model that is better beyond chance, "" if neither is."""
        tested = self.metrics[metric]
        if not tested.p_adjusted < SIGNIFICANT or metric not in _BETTER_HIGH:
            return ""
        return self.names[(tested.effect > 0) == _BETTER_HIGH[metric]]

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain values."""
        return {
            "first": self.names[0],
            "second": self.names[1],
            "cases": list(self.cases),
            "only_in_first": list(self.only[0]),
            "only_in_second": list(self.only[1]),
            "other_references": list(self.other_references),
            "metrics": {
                name: {
                    "mean_first": self.means[name][0],
                    "mean_second": self.means[name][1],
                    **asdict(tested),
                    "better": self.better(name) or None,
                }
                for name, tested in self.metrics.items()
            },
        }

    def to_markdown(self) -> list[str]:
        """Returns lines of Markdown."""
        first, second = self.names
        rows = [
            [
                LABELS[name],
                str(tested.n),
                str(tested.n_nan),
                *(number(mean) for mean in self.means[name]),
                f"{number(tested.mean_difference)} ({number(tested.low)} to {number(tested.high)})",
                *(f"{p:.2g}" for p in (tested.p, tested.p_adjusted)),
                number(tested.effect),
                self.better(name) or "neither",
            ]
            for name, tested in self.metrics.items()
        ]
        head = ["Metric", "n", "NaN", first, second, "difference (95 % interval)", "p"]
        head += ["adjusted p", "effect", "better"]
        return [
            f"{second} minus {first}, on {len(self.cases)} cases that both have.",
            "",
            *table(head, rows),
            "n: pairs with both values. Interval: paired bootstrap of the mean difference. p: "
            f"Wilcoxon signed rank; adjusted: Benjamini-Hochberg over these {len(rows)} metrics. "
            "Effect: matched rank-biserial correlation, -1 to 1. Better: adjusted p below "
            f"{SIGNIFICANT}.",
            "",
        ]


def compare(
    first: Sequence[Score],
    second: Sequence[Score],
    names: tuple[str, str],
    metrics: Sequence[str] = CHALLENGE,
    bootstrap: Bootstrap | None = None,
) -> Compared:
    """Compare two tables of scores, case by case.

    Args:
        first: One table.
        second: The other.
        names: What to call them.
        metrics: What is tested, of ``COMPARABLE``; p is adjusted over exactly these.
        bootstrap: How the intervals are drawn.

    Returns:
        The comparison on all cases that are scored in both.

    Raises:
        UsageError: A metric is unknown.
        TableError: A table does not have a metric.
        NoCasesError: The tables have no case in common.
    """
    unknown = [name for name in metrics if name not in COMPARABLE]
    if unknown or not metrics:
        raise UsageError(
            f"Metrics of {', '.join(COMPARABLE)} were expected", received=", ".join(unknown)
        )
    tables = [{score.case: score for score in scores if score.scored} for scores in (first, second)]
    common = [case for case in tables[0] if case in tables[1]]
    only = tuple(tuple(case for case in tables[i] if case not in tables[1 - i]) for i in range(2))
    if not common:
        raise NoCasesError(
            "Two tables with cases of the same names were expected",
            received=f"none in common of {len(tables[0])} and {len(tables[1])}",
        )
    columns = [_columns(scores, common, metrics) for scores in tables]
    return Compared(
        names=names,
        cases=tuple(common),
        only=(only[0], only[1]),
        metrics=statistics.compare(columns[0], columns[1], bootstrap),
        means={name: _paired_means(columns[0][name], columns[1][name]) for name in metrics},
        other_references=tuple(
            case for case in common if not _same_reference(tables[0][case], tables[1][case])
        ),
    )


def _columns(
    scores: Mapping[str, Score], cases: Sequence[str], metrics: Sequence[str]
) -> dict[str, list[float]]:
    try:
        return {name: [scores[case].values[name] for case in cases] for name in metrics}
    except KeyError as error:
        raise TableError(
            "Both tables were expected to have each metric", received=f"one without {error}"
        ) from None


def _paired_means(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Means over the pairs of which both are defined."""
    pairs = [
        (a, b) for a, b in zip(first, second, strict=True) if not math.isnan(a) | math.isnan(b)
    ]
    if not pairs:
        return math.nan, math.nan
    return sum(a for a, _ in pairs) / len(pairs), sum(b for _, b in pairs) / len(pairs)


def _same_reference(first: Score, second: Score) -> bool:
    """Whether two scores can be against one reference, as far as its volume tells."""
    volumes = [score.values.get("reference_ml") for score in (first, second)]
    if volumes[0] is None or volumes[1] is None:
        return True
    return math.isclose(volumes[0], volumes[1], rel_tol=1e-6)
