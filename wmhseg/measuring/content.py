"""Measures as plain values: for JSON, for tables with one row a scan or a lesion, for a terminal.

Volumes are rounded to 0.1 microlitres, lengths to 0.01 mm, probabilities to 0.0001. What is not
known is None: null in JSON, n/a in tables. Columns do not depend on what is known, so that the
tables of many scans can be put one below the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wmhseg.measures import fazekas
from wmhseg.measures.anatomy import VENTRICLES, intracranial_vox
from wmhseg.measures.places import PLACES, RULES, Amount, as_ml
from wmhseg.measures.uncertainty import Point
from wmhseg.measuring.measure import Measures
from wmhseg.reporting.caption import lesion_count, millilitres
from wmhseg.weights.structures import LATERAL, STRUCTURES

Row = dict[str, Any]
_BY_RULE = PLACES[:3]  # the others do not depend on the rule


def _ml(measures: Measures, vox: int) -> float:
    return round(vox * measures.grid.voxel_ml, 4)


def _each(values: Any, digits: int) -> list[float | None]:
    return [round(float(value), digits) for value in values]


# Of the whole ------------------------------------------------------------------------------------


def to_dict(measures: Measures) -> dict[str, Any]:
    """Returns all measures as plain values."""
    return {
        "total": {
            "volume_ml": round(measures.total.volume_ml, 4),
            "lesion_count": measures.total.count,
            "largest_lesion_ml": round(measures.total.largest_ml, 4),
        },
        "places": _places(measures),
        "strive": _strive(measures),
        "by_anatomy_ml": _by_anatomy(measures),
        "head": _head(measures),
        "fazekas_estimate": _fazekas(measures),
        "uncertainty": _uncertainty(measures),
        "excluded": _excluded(measures),
        "regions": region_rows(measures) or None,
        "mni": _mni(measures),
        "lesions": lesion_rows(measures),
        "left_out": list(measures.left_out),
        "warnings": list(measures.warnings),
    }


def _places(measures: Measures) -> dict[str, Any] | None:
    """Rule -> place -> volume and count."""
    if measures.placed is None:
        return None
    return {rule: as_ml(measures.placed.amounts(rule), measures.grid.voxel_ml) for rule in RULES}


def _strive(measures: Measures) -> dict[str, Any] | None:
    """Both totals of STRIVE."""
    if measures.placed is None:
        return None
    both = {
        "wmh": measures.placed.strive(),
        "with_deep_grey_and_brainstem": Amount(
            len(measures.lesions.voxels), measures.lesions.count
        ),
    }
    return as_ml(both, measures.grid.voxel_ml)


def _by_anatomy(measures: Measures) -> dict[str, float] | None:
    """How much of the lesions lies in each anatomical class."""
    if measures.placed is None:
        return None
    votes = measures.placed.votes_vox.sum(0).tolist()
    return {name: _ml(measures, vox) for name, vox in zip(STRUCTURES, votes, strict=True)}


def _head(measures: Measures) -> dict[str, Any] | None:
    """What the head holds, and the share that is marked."""
    counts = measures.counts_vox
    if counts is None:
        return None
    tiv, white = intracranial_vox(counts), counts["white-matter"]
    marked = len(measures.lesions.voxels)
    return {
        "tiv_ml": _ml(measures, tiv),
        "white_matter_ml": _ml(measures, white),
        "ventricles_ml": _ml(measures, sum(counts[name] for name in VENTRICLES)),
        **{f"{name.replace('-', '_')}_ml": _ml(measures, counts[name]) for name in LATERAL},
        "wmh_percent_of_tiv": round(100 * marked / tiv, 4) if tiv else None,
        "wmh_percent_of_white_matter": round(100 * marked / white, 4) if white else None,
    }


def _fazekas(measures: Measures) -> dict[str, Any]:
    """Estimates by size, where places are known, and by volume."""
    volume_ml, by_size = measures.total.volume_ml, measures.estimate
    return {
        "by_size": None
        if by_size is None
        else {
            "rule": fazekas.RULE,
            "periventricular": by_size.periventricular,
            "deep": by_size.deep,
            "periventricular_thickness_mm": round(by_size.thickness_mm, 2),
            "deep_diameter_mm": round(by_size.diameter_mm, 2),
        },
        "by_volume": {
            "rule": fazekas.VOLUME_RULE,
            "cut_offs_ml": list(fazekas.VOLUME_ML),
            "grade": fazekas.by_volume(volume_ml),
        },
        "by_volume_ranges": {
            "rule": fazekas.RANGES_RULE,
            "ranges_ml": {str(grade): list(span) for grade, span in fazekas.RANGES_ML.items()},
            "grades": fazekas.of_volume(volume_ml),
        },
    }


def _uncertainty(measures: Measures) -> dict[str, Any]:
    """Ranges over thresholds and members, and the curve."""
    between, curve = _points(measures, measures.between), curve_rows(measures)
    agreed = measures.disagreement
    members = [] if agreed is None else list(zip(agreed.vox, agreed.lesions, strict=True))
    return {
        "threshold": measures.scene.threshold,
        "thresholds": {
            "from": between[0]["threshold"],
            "to": between[1]["threshold"],
            "volume_ml": sorted(one["volume_ml"] for one in between),
            "lesion_count": sorted(one["lesion_count"] for one in between),
        }
        if between
        else None,
        "members": {
            "volume_ml": [_ml(measures, min(agreed.vox)), _ml(measures, max(agreed.vox))],
            "lesion_count": [min(agreed.lesions), max(agreed.lesions)],
            "each": {
                name: {"volume_ml": _ml(measures, vox), "lesion_count": count}
                for name, (vox, count) in zip(measures.scene.members, members, strict=True)
            },
            "mean_structural_disagreement": round(float(agreed.structural.mean()), 4)
            if measures.lesions.count
            else None,
        }
        if agreed is not None
        else None,
        "curve": curve or None,
    }


def _excluded(measures: Measures) -> dict[str, Any] | None:
    if measures.excluded is None:
        return None
    return {
        "volume_ml": _ml(measures, measures.excluded.vox),
        "marked_ml": _ml(measures, measures.excluded.marked_vox),
        "lesions_removed": measures.excluded.removed,
        "lesions_cut": measures.excluded.cut,
    }


def _mni(measures: Measures) -> dict[str, Any] | None:
    """How the scan was registered to the average brain."""
    if measures.brain is None:
        return None
    height, depth, width = (round(float(size), 4) for size in measures.brain.placement.sizes)
    return {
        "likeness": round(measures.brain.placement.quality, 4),
        "size_of_head": {"height": height, "depth": depth, "width": width},
    }


# Tables ------------------------------------------------------------------------------------------


def lesion_rows(measures: Measures) -> list[Row]:
    """A row a lesion, the largest first."""
    found, agreed, placed = measures.lesions, measures.disagreement, measures.placed
    nothing: list[Any] = [None] * found.count
    mni = measures.centres_mni_mm
    columns: dict[str, Sequence[Any]] = {
        "lesion": list(range(1, found.count + 1)),
        "volume_ml": _each(found.sizes_vox * measures.grid.voxel_ml, 4),
        "voxels": found.sizes_vox.tolist(),
        **dict(zip(("x_mm", "y_mm", "z_mm"), _columns(measures.centres_mm), strict=True)),
        **{
            f"mni_{axis}_mm": nothing if mni is None else values
            for axis, values in zip("xyz", _columns(measures.centres_mm if mni is None else mni),
                                    strict=True)
        },
        "diameter_mm": _each(measures.diameters_mm, 2),
        **{f"place_{rule}": placed.places(rule) if placed else nothing for rule in RULES},
        "touches_cortex": placed.at_cortex.tolist() if placed else nothing,
        "distance_to_ventricle_mm": _each(placed.nearest_mm, 2) if placed else nothing,
        "mean_probability": nothing
        if measures.mean_probability is None
        else _each(measures.mean_probability, 4),
        "peak_probability": nothing
        if measures.peak_probability is None
        else _each(measures.peak_probability, 4),
        "agreement_of_members": nothing if agreed is None else _each(agreed.agreement, 4),
        "structural_disagreement": nothing if agreed is None else _each(agreed.structural, 4),
    }  # fmt: skip
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


LESION_COLUMNS = (
    "lesion", "volume_ml", "voxels", "x_mm", "y_mm", "z_mm", "mni_x_mm", "mni_y_mm", "mni_z_mm",
    "diameter_mm", "place_continuity", "place_10mm", "place_2mm", "touches_cortex",
    "distance_to_ventricle_mm", "mean_probability", "peak_probability", "agreement_of_members",
    "structural_disagreement",
)  # fmt: skip
"""Of ``lesion_rows``, which may be empty."""


def _columns(points: np.ndarray[Any, Any]) -> list[list[float | None]]:
    return [_each(column, 2) for column in points.T]


def region_rows(measures: Measures) -> list[Row]:
    """A row a region of the atlas; first what lies outside of all."""
    return [
        {
            "index": one.index,
            "name": one.name,
            "region_ml": _ml(measures, one.vox) if one.index else None,
            "wmh_ml": _ml(measures, one.marked_vox),
            "wmh_percent": round(100 * one.marked_vox / one.vox, 4) if one.vox else None,
            "lesion_count": one.lesions,
        }
        for one in measures.regions
    ]


def scan_row(measures: Measures) -> Row:
    """One row for the whole scan, always of the same columns."""
    content = to_dict(measures)
    nothing: dict[str, Any] = {}
    found, strive = content["places"] or {}, content["strive"] or {}
    head, sizes = content["head"] or {}, content["fazekas_estimate"]["by_size"] or {}
    unsure, excluded = content["uncertainty"], content["excluded"] or {}
    row: Row = dict(content["total"])
    for rule in RULES:
        for place in _BY_RULE:
            amount = found.get(rule, nothing).get(place, nothing)
            row[f"{place}_{rule}_ml"] = amount.get("volume_ml")
            row[f"{place}_{rule}_count"] = amount.get("lesion_count")
    for place in PLACES[3:]:
        amount = found.get(RULES[0], nothing).get(place, nothing)
        row[f"{place}_ml"], row[f"{place}_count"] = (
            amount.get("volume_ml"), amount.get("lesion_count"),
        )  # fmt: skip
    for name in ("wmh", "with_deep_grey_and_brainstem"):
        amount = strive.get(name, nothing)
        row[f"strive_{name}_ml"] = amount.get("volume_ml")
        row[f"strive_{name}_count"] = amount.get("lesion_count")
    for name in (
        "tiv_ml", "white_matter_ml", "ventricles_ml", "left_lateral_ventricle_ml",
        "right_lateral_ventricle_ml", "wmh_percent_of_tiv", "wmh_percent_of_white_matter",
    ):  # fmt: skip
        row[name] = head.get(name)
    row["fazekas_periventricular_estimate"] = sizes.get("periventricular")
    row["fazekas_deep_estimate"] = sizes.get("deep")
    row["fazekas_by_volume_estimate"] = content["fazekas_estimate"]["by_volume"]["grade"]
    for what in ("thresholds", "members"):
        for figure, short in (("volume_ml", "ml"), ("lesion_count", "count")):
            low, high = (unsure[what] or nothing).get(figure, (None, None))
            row[f"{what}_lowest_{short}"], row[f"{what}_highest_{short}"] = low, high
    row["excluded_ml"] = excluded.get("volume_ml")
    row["excluded_marked_ml"] = excluded.get("marked_ml")
    return row


def curve_rows(measures: Measures) -> list[Row]:
    """A row a threshold."""
    return _points(measures, measures.curve)


def _points(measures: Measures, points: Sequence[Point]) -> list[Row]:
    return [
        {
            "threshold": point.threshold,
            "volume_ml": _ml(measures, point.vox),
            "lesion_count": point.lesions,
        }
        for point in points
    ]


def to_tsv(rows: Sequence[Row], columns: Sequence[str] = ()) -> str:
    """A table as BIDS has them: tabs between cells, n/a for what is not known.

    Args:
        rows: All of the same columns.
        columns: Their names, needed where there may be no row.
    """
    lines = ["\t".join(rows[0] if rows else columns)]
    lines += ["\t".join(map(_cell, row.values())) for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(str(value).split())


# For a terminal ----------------------------------------------------------------------------------


def to_lines(measures: Measures) -> list[str]:
    """Returns the main figures as lines for a terminal."""
    content = to_dict(measures)
    total = measures.total
    lines = [
        f"WMH volume   {millilitres(total.volume_ml)}",
        f"lesions      {total.count}, largest {millilitres(total.largest_ml)}",
    ]
    for rule, found in (content["places"] or {}).items():
        shown = ", ".join(
            f"{place.replace('_', ' ')} {millilitres(one['volume_ml'])} ({one['lesion_count']})"
            for place, one in found.items()
        )
        lines.append(f"{rule:<13}{shown}")
    if measures.placed is not None:
        strive = content["strive"]
        lines.append(
            f"STRIVE       WMH {millilitres(strive['wmh']['volume_ml'])}; with deep grey matter "
            f"and brainstem {millilitres(total.volume_ml)}"
        )
    if content["head"] is not None:
        head = content["head"]
        lines.append(
            f"head         TIV {head['tiv_ml']:.0f} ml, white matter "
            f"{head['white_matter_ml']:.0f} ml, ventricles {head['ventricles_ml']:.1f} ml; WMH "
            f"are {_percent(head['wmh_percent_of_tiv'])} of TIV, "
            f"{_percent(head['wmh_percent_of_white_matter'])} of white matter"
        )
    return lines + _fazekas_lines(measures) + _unsure_lines(content) + _more_lines(content)


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f} %"


def _fazekas_lines(measures: Measures) -> list[str]:
    by_size, volume_ml = measures.estimate, measures.total.volume_ml
    grades = " or ".join(map(str, fazekas.of_volume(volume_ml)))
    seen = "no graded patient had such a volume"
    if grades:
        seen = f"patients with such a volume had grade {grades}"
    shown = (
        f"by volume alone {fazekas.by_volume(volume_ml)} ({fazekas.VOLUME_RULE}); {seen} "
        f"({fazekas.RANGES_RULE})"
    )
    if by_size is not None:
        shown = (
            f"periventricular {by_size.periventricular}, deep {by_size.deep} ({fazekas.RULE}); "
            f"{shown}"
        )
    return [f"Fazekas      estimate: {shown}"]


def _unsure_lines(content: dict[str, Any]) -> list[str]:
    unsure, lines = content["uncertainty"], []
    for what, one in (("thresholds", unsure["thresholds"]), ("members", unsure["members"])):
        if one is not None:
            (low, high), (few, many) = one["volume_ml"], one["lesion_count"]
            span = f" {one['from']:g} to {one['to']:g}" if what == "thresholds" else ""
            lines.append(
                f"uncertainty  {what}{span}: {millilitres(low)} to {millilitres(high)}, "
                f"{few} to {many} lesions (before rules on lesions)"
            )
    return lines


def _more_lines(content: dict[str, Any]) -> list[str]:
    lines = []
    if content["excluded"] is not None:
        one = content["excluded"]
        lines.append(
            f"excluded     {millilitres(one['volume_ml'])}, with {millilitres(one['marked_ml'])} "
            f"that was marked; {lesion_count(one['lesions_removed'])} removed, "
            f"{one['lesions_cut']} cut"
        )
    for region in content["regions"] or []:
        lines.append(
            f"region       {region['name']}: {millilitres(region['wmh_ml'])}, "
            f"{lesion_count(region['lesion_count'])}"
        )
    return lines + [f"left out     {sentence}" for sentence in content["left_out"]]
