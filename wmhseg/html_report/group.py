"""The page about many results: a row each, plots, and the ratings that were saved."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from wmhseg.html_report.markup import Page, Raw, element, stored, table, text
from wmhseg.html_report.results import SHOWN, Result
from wmhseg.io import files
from wmhseg.measures.places import RULES
from wmhseg.reporting.report import NOT_A_DEVICE
from wmhseg.version import __version__

_WIDE, _HIGH, _BARS = 640, 190, 20
_RATED = {"good": "good", "correct": "to correct", "exclude": "exclude"}
_BY_RULE = (
    "Periventricular and deep lesions are told apart by continuity with a lateral ventricle; "
    "juxtacortical ones are in neither column."
)
_BEFORE = "What networks mark by themselves is counted before any lesion is removed."
_FEWEST = 8  # results by which "unusual" means something


def flags(results: Sequence[Result]) -> list[list[str]]:
    """What is to be looked at in each result.

    A volume is called unusual where it lies more than 1.5 quartile ranges outside of the quartiles
    of all volumes (Tukey's rule); among fewer than eight none is.
    """
    volumes = [one.volume_ml for one in results if one.volume_ml is not None]
    low, high = 0.0, float("inf")
    if len(volumes) >= _FEWEST:
        first, _, third = statistics.quantiles(volumes, n=4)
        low, high = first - 1.5 * (third - first), third + 1.5 * (third - first)
    return [list(_flags(one, low, high)) for one in results]


def _flags(one: Result, low: float, high: float) -> list[str]:
    told = []
    if one.volume_ml is None:
        told.append("no result")
    elif one.volume_ml == 0:
        told.append("nothing marked")
    elif not low <= one.volume_ml <= high:
        told.append("unusual volume")
    if one.warnings not in ("", "0"):
        told.append("warnings")
    if one.rating is not None and one.rating["rating"] != "good":
        told.append(_RATED[one.rating["rating"]])
    if one.outdated:
        told.append("rating of an older mask")
    return told


def write(path: Path, results: Sequence[Result], title: str) -> None:
    """Writes the page, complete or not at all.

    Raises:
        OutputNotWritableError: If the place cannot be written to.
        DiskFullError: If there is no room.
    """
    files.write_bytes(path, made(results, title).encode("utf-8", "backslashreplace"))


def made(results: Sequence[Result], title: str) -> str:
    """The page as text."""
    flagged = flags(results)
    rows, kinds = [], []
    measured = [name for name in SHOWN if any(name in one.measures for one in results)]
    for one, told in zip(results, flagged, strict=True):
        rating = one.rating or {"rating": "", "comment": "", "by": ""}
        name = text(one.name)
        if one.report:
            name = element("a", name, href=quote(one.report))
        picture = ""
        if one.picture:
            picture = f'<img class="thumb" loading="lazy" width="72" alt="" src="{one.picture}">'
        rows.append(
            [
                Raw(name), Raw(picture), one.status, one.volume_ml, one.lesions,
                _or_empty(", ".join(told)), _long(one.error or one.warnings),
                *(one.measures.get(column) for column in measured),
                _or_empty(_RATED.get(rating["rating"], "")), _long(rating["comment"]),
            ]
        )  # fmt: skip
        kinds.append({"class_": "failed" if one.volume_ml is None else "flagged" if told else None})
    # What is to be looked at, and why, stands where no screen is too narrow for it.
    head = (
        "Subject", "Slice", "Status", "Volume, ml", "Lesions", "Look at", "Told",
        *map(headed, measured), "Rating", "Comment",
    )  # fmt: skip
    counts = Counter(flag for told in flagged for flag in told)
    done = sum(one.volume_ml is not None for one in results)
    rated = sum(one.rating is not None for one in results)
    body = (
        element("header", element("p", "White matter hyperintensities", class_="kind")
                + element("h1", text(title))
                + element("p", text(NOT_A_DEVICE), class_="notice"))
        + '<main id="main">'
        + element("p", text(f"{len(results)} scans, {done} with a result, {rated} rated."))
        + element("section", element("h2", "Volumes and flags")
                  + element("div", _volumes(results) + _counts(counts), class_="plots"))
        + element("section", element("h2", "Scans")
                  + element("p", text(_hints(measured)), class_="hint")
                  + element("label", 'Show names with <input type="search" id="filter">',
                            class_="filters")
                  + table(head, rows, caption="One row a scan", attributes=kinds, id="scans"))
        + "</main>"
        + element("footer", element("p", text(f"wmhseg {__version__}. {NOT_A_DEVICE}")))
    )  # fmt: skip
    return Page(f"WMH: {title}", body, scripts=(stored("group.js"),)).html()


def headed(column: str) -> str:
    """What stands above a measure: lesions that were placed are told with the rule that did."""
    name, rule = SHOWN[column], next((one for one in RULES if f"_{one}_" in column), None)
    if rule is None or rule in name:
        return name
    place, _, unit = name.partition(", ")
    return f"{place} ({rule}), {unit}"


def _hints(measured: Sequence[str]) -> str:
    told = ["A click on the name of a column sorts by it."]
    if "deep_continuity_ml" in measured:
        told.append(_BY_RULE)
    if "members_lowest_ml" in measured:
        told.append(_BEFORE)
    return " ".join(told)


def _or_empty(words: str, kind: str | None = None) -> Raw:
    """Words in a cell that is empty without them."""
    return Raw(text(words) if words else "", kind)


def _long(words: str) -> Raw:
    """Sentences, which need a wide cell; one without any may be narrow."""
    return _or_empty(words, "told" if words else None)


def _volumes(results: Sequence[Result]) -> str:
    """How many scans have which volume."""
    volumes = [one.volume_ml for one in results if one.volume_ml is not None]
    if not volumes:
        return element("p", "There is no volume to show.")
    most = max(volumes) or 1.0
    counts = Counter(min(_BARS - 1, int(volume / most * _BARS)) for volume in volumes)
    step, high = (_WIDE - 60) / _BARS, max(counts.values())
    bars = "".join(
        f'<rect class="bar" x="{40 + n * step:.1f}" width="{step - 2:.1f}" '
        f'y="{_HIGH - 35 - count / high * (_HIGH - 60):.1f}" '
        f'height="{count / high * (_HIGH - 60):.1f}"/>'
        for n, count in counts.items()
    )
    words = (
        f'<text class="name" x="0" y="12">Scans by volume (median '
        f"{statistics.median(volumes):.2f} ml)</text>"
        f'<text x="40" y="{_HIGH - 18}">0</text>'
        f'<text x="{_WIDE - 20}" y="{_HIGH - 18}" text-anchor="end">{most:.1f} ml</text>'
        f'<text x="34" y="36" text-anchor="end">{high}</text>'
    )
    return element(
        "svg", bars + words, viewBox=f"0 0 {_WIDE} {_HIGH}", role="img", class_="plot",
        aria_label=f"Scans by volume, from {min(volumes):.2f} to {max(volumes):.2f} ml",
    )  # fmt: skip


def _counts(counts: Counter[str]) -> str:
    """How many scans have which flag."""
    if not counts:
        return element("p", "Nothing is flagged.")
    most = max(counts.values())
    lines = "".join(
        f'<text x="140" y="{38 + 26 * n}" text-anchor="end">{text(name)}</text>'
        f'<rect class="bar" x="148" y="{25 + 26 * n}" height="18" '
        f'width="{count / most * 400:.1f}"/>'
        f'<text x="{154 + count / most * 400:.1f}" y="{38 + 26 * n}">{count}</text>'
        for n, (name, count) in enumerate(counts.most_common())
    )
    title = '<text class="name" x="0" y="12">Scans to look at</text>'
    return element(
        "svg", title + lines, viewBox=f"0 0 {_WIDE} {40 + 26 * len(counts)}", role="img",
        class_="plot", aria_label="; ".join(f"{name}: {n}" for name, n in counts.most_common()),
    )  # fmt: skip
