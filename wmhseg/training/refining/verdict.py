"""Whether a refined model is better, and what is told about it: a table, JSON, and the card."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from wmhseg import records
from wmhseg.scoring.statistics import bootstrap_interval
from wmhseg.training.plan import Plan
from wmhseg.training.refining import adapting
from wmhseg.training.refining.measuring import Measured, Row
from wmhseg.training.refining.rules import Choice, Score

_FIGURES = ("dsc", "f1", "recall")
_NAMES = {"dsc": "DSC", "f1": "lesion F1", "recall": "lesion recall"}


def by_patient(rows: Sequence[Row], score: Callable[[Row], Score], figure: str) -> list[float]:
    """A figure of every patient, the mean of the visits; DSC of two empty masks is left out."""
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row.patient, []).append(float(getattr(score(row), figure)))
    known = [[value for value in own if not math.isnan(value)] for own in values.values()]
    return [float(np.mean(own)) if own else math.nan for own in known]


@dataclass(frozen=True)
class Paired:
    """A figure before and after, over patients.

    Attributes:
        before: Mean of the model as it was.
        before_sd: Standard deviation over patients; NaN of one.
        alone: Mean of the same weights with rules chosen anew.
        after: Mean of the refined model.
        after_sd: Standard deviation over patients; NaN of one.
        gain: Mean of the paired differences.
        low: End of the 95 % bootstrap interval of that mean, over patients.
        high: Its other end.
        rose: Patients in whom it rose.
    """

    before: float
    before_sd: float
    alone: float
    after: float
    after_sd: float
    gain: float
    low: float
    high: float
    rose: int


def paired(rows: Sequence[Row], figure: str) -> Paired:
    """Compares a figure of all patients."""
    before, alone, after = (
        np.array(by_patient(rows, score, figure))
        for score in (_before, lambda row: row.rules_alone, lambda row: row.after)
    )
    gains = (after - before)[~np.isnan(after - before)]
    low, high = bootstrap_interval(gains)
    return Paired(
        _mean(before), _sd(before), _mean(alone), _mean(after), _sd(after),
        _mean(gains), low, high, int(np.count_nonzero(gains > 0)),
    )  # fmt: skip


def _before(row: Row) -> Score:
    return row.before


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _sd(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1)) if known.size > 1 else math.nan


def is_better(rows: Sequence[Row], gain: float) -> bool:
    """Whether mean DSC and lesion F1 over patients left out are not lower, and one is clearly more.

    Args:
        rows: One a scan.
        gain: What one of the two has to rise by at least.
    """
    gains = [paired(rows, figure).gain for figure in ("dsc", "f1")]
    known = [one for one in gains if not math.isnan(one)]
    return bool(known) and min(known) >= 0 and max(known) >= gain


def to_json(measured: Measured, plan: Plan, *, better: bool) -> str:
    """Everything that was measured, for programs."""
    content = {
        "better": better,
        "chosen": asdict(measured.choice),
        "figures": {figure: asdict(paired(measured.rows, figure)) for figure in _FIGURES},
        "rows": [asdict(row) for row in measured.rows],
        "groups": [list(group) for group in measured.groups],
        "runs": [list(runs) for runs in measured.runs],
        "seconds": measured.seconds,
        "refinement": asdict(plan.refinement) if plan.refinement is not None else None,
    }
    return records.json_text(_without_nan(content))


def _without_nan(value: object) -> object:
    """NaN as null: strict JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def words(choice: Choice) -> str:
    """Steps and rules in a line."""
    rules = choice.rules
    return (
        f"{choice.step} steps, threshold {rules.threshold:g}, lesions from "
        f"{rules.min_lesion_mm3:g} mm3 on"
        + (f" with a peak above {rules.lesion_peak:g}" if rules.lesion_peak else "")
    )


def table(measured: Measured, model: str, plan: Plan, *, better: bool) -> str:
    """What was measured, in Markdown, for the model card and the report."""
    rows = measured.rows
    patients = len({row.patient for row in rows})
    means = "\n".join(_mean_line(figure, paired(rows, figure), patients) for figure in _FIGURES)
    lines = "\n".join(_line(row) for row in rows)
    return f"""{len(rows)} scans of {patients} patients, in {len(measured.groups)} groups: each group
was left out once, visits of a patient always together. {model} as it is, with its own rules, against
the same model with {_refined(plan)} refined on the other groups; the number of
steps and the rules of a group were chosen on the others too.

Chosen on all for the final weights: {words(measured.choice)}.

The final weights saw **all** these patients: no figure here is one of them. They are **validation
data, not test data**, of these scanners alone.

Called better, as mean DSC and mean lesion F1 over patients are not lower and one of them is higher by
{_gain(plan):g} or more: **{"yes" if better else "no"}**.

| mean over patients (standard deviation) | n | {model} | same weights, rules chosen anew | refined | difference (95 % interval) | higher in |
|---|---|---|---|---|---|---|
{means}

| scan | patient | group | reference ml | ml before | ml refined | DSC before | DSC refined | F1 before | F1 refined | recall before | recall refined | chosen without it |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
{lines}"""  # noqa: E501


def _refined(plan: Plan) -> str:
    count, members = len(adapting.refined(plan)), len(plan.runs)
    if count == members:
        return "all its members" if members > 1 else "its network"
    return f"{count} of its {members} members"


def _gain(plan: Plan) -> float:
    assert plan.refinement is not None
    return plan.refinement.gain


def _mean_line(figure: str, one: Paired, patients: int) -> str:
    return (
        f"| {_NAMES[figure]} | {patients} | {one.before:.3f} ({_spread(one.before_sd)}) "
        f"| {one.alone:.3f} | {one.after:.3f} ({_spread(one.after_sd)}) "
        f"| {one.gain:+.3f} ({one.low:+.3f} to {one.high:+.3f}) | {one.rose} |"
    )


def _spread(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _line(row: Row) -> str:
    before, after = row.before, row.after
    return (
        f"| {row.case} | {row.patient} | {row.group} | {before.reference_ml:.1f} "
        f"| {before.result_ml:.1f} | {after.result_ml:.1f} | {_figure(before.dsc)} "
        f"| {_figure(after.dsc)} | {before.f1:.3f} | {after.f1:.3f} | {before.recall:.3f} "
        f"| {after.recall:.3f} | {words(row.choice)} |"
    )


def _figure(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.3f}"
