"""The organisers' ranking of the WMH segmentation challenge, and its published table of 2017.

For each metric the best team gets 0, the worst 1, and all others lie linearly between; a team's
score is the mean of its five. Lower is better. The table is Table 4 of the paper below: the means
of 20 teams over 110 test scans, printed to two decimals, so that the scores printed beside them
are met to about 0.005 only.

Reference:
    Xu Y, Geraud T, Puybareau E, Bloch I, Chazalon J. White matter hyperintensities segmentation in
    a few seconds using fully convolutional network and transfer learning. BrainLes 2017, LNCS
    10670, 2018. doi:10.1007/978-3-319-75238-9_42
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from wmhseg.errors import UsageError

Floats = npt.NDArray[np.float64]

HIGHER_IS_BETTER: Mapping[str, bool] = {
    "dsc": True,
    "h95_mm": False,
    "avd_percent": False,
    "recall": True,
    "f1": True,
}
"""The five metrics of the challenge, named as in ``wmhseg.scoring.metrics.Metrics``."""

CAVEAT = (
    "Computed from the published means, which are rounded to two decimals. The test set is public "
    "now: a result obtained today is not blind, and this is no entry in the challenge."
)


@dataclass(frozen=True)
class Team:
    """One line of the published table.

    Attributes:
        name: Team, as printed.
        means: Mean of each metric over the test scans, keyed as ``HIGHER_IS_BETTER``.
        published_rank: Score printed by the paper, 0 (best) to 1 (worst).
    """

    name: str
    means: Mapping[str, float]
    published_rank: float


@dataclass(frozen=True)
class Standing:
    """Where a result stands among the published teams.

    Attributes:
        position: 1 for the best; teams with the same score share the better position.
        score: The result's score, 0 (best) to 1 (worst).
        metric_scores: Its score in each metric.
        table: Name and score of the result and of all teams, ranked anew together, best first.
    """

    position: int
    score: float
    metric_scores: Mapping[str, float]
    table: tuple[tuple[str, float], ...]


def published_teams() -> tuple[Team, ...]:
    """Read the published table of 2017.

    Returns:
        The 20 teams, in the order of the paper (by AVD).
    """
    table = files("wmhseg").joinpath("data", "challenge2017.csv")
    rows = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    return tuple(
        Team(
            name=row["team"],
            means={metric: float(row[metric]) for metric in HIGHER_IS_BETTER},
            published_rank=float(row["published_rank"]),
        )
        for row in rows
    )


def metric_scores(values: npt.ArrayLike, *, higher_is_better: bool) -> Floats:
    """Score one metric: best 0, worst 1, linear between.

    Args:
        values: Mean of each team, shape (teams,).
        higher_is_better: Whether the largest value is the best.

    Returns:
        Scores, shape (teams,); all 0 if all values are equal.

    Raises:
        UsageError: There is no value, or one is NaN or infinite.
    """
    means = np.asarray(values, dtype=np.float64)
    if means.ndim != 1 or means.size == 0 or not np.isfinite(means).all():
        raise UsageError(
            "A ranking needs one finite mean for each team",
            received=means.tolist(),
            advice="Leave NaN cases out of the means and report their number.",
        )
    best = means.max() if higher_is_better else means.min()
    distance: Floats = np.abs(means - best)
    if distance.any():
        distance /= distance.max()
    return distance


def rank(means: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Score every team in every metric.

    Args:
        means: For each team the mean of each metric, keyed as ``HIGHER_IS_BETTER``. Other keys
            are left aside.

    Returns:
        For each team, in the same order, the score of each metric and, under ``"score"``, their
        mean: 0 (best) to 1 (worst).

    Raises:
        UsageError: A metric is missing or not finite, or there is no team.
    """
    for team, values in means.items():
        missing = [metric for metric in HIGHER_IS_BETTER if metric not in values]
        if missing:
            raise UsageError(
                f"The ranking needs the mean of {', '.join(HIGHER_IS_BETTER)}",
                received=f"{team} without {', '.join(missing)}",
            )
    columns = {
        metric: metric_scores(
            [values[metric] for values in means.values()], higher_is_better=higher_is_better
        )
        for metric, higher_is_better in HIGHER_IS_BETTER.items()
    }
    scores = {}
    for index, team in enumerate(means):
        row = {metric: float(column[index]) for metric, column in columns.items()}
        scores[team] = {**row, "score": sum(row.values()) / len(row)}
    return scores


def standing(means: Mapping[str, float], *, name: str = "this result") -> Standing:
    """Say where a result would stand among the 20 published teams.

    All are ranked anew with the result among them, as the organisers do with a new entry: a
    result beyond the published best or worst moves the other scores. Show ``CAVEAT`` with it.

    Args:
        means: Mean of each metric over the result's scans, keyed as ``HIGHER_IS_BETTER``.
        name: What to call the result; not the name of a published team.

    Returns:
        Position, scores, and the whole table.

    Raises:
        UsageError: A metric is missing or not finite, or the name is taken.
    """
    field: dict[str, Mapping[str, float]] = {team.name: team.means for team in published_teams()}
    if name in field:
        raise UsageError(
            "The name of a result must differ from those of the published teams", received=name
        )
    scores = rank({**field, name: means})
    table = sorted(((team, row["score"]) for team, row in scores.items()), key=lambda row: row[1])
    own = scores.pop(name)
    score = own.pop("score")
    position = 1 + sum(row["score"] < score for row in scores.values())
    return Standing(position=position, score=score, metric_scores=own, table=tuple(table))
