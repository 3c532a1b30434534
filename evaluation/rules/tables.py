"""Tables of rules, as lines of Markdown."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import mean, median

from evaluation.rules import choosing
from evaluation.rules.choosing import Applied, Judged
from wmhseg.scoring.markdown import SIZE_HEADS, number, table
from wmhseg.scoring.rules import Found, Rules


def kinds(rules: Sequence[Rules]) -> dict[str, list[Rules]]:
    """Kind of rule -> the rules of the kind, thresholds alone first."""
    return {
        "threshold alone": [one for one in rules if one.plain],
        "with smallest lesion": [one for one in rules if not one.lesion_peak],
        "with peak": [one for one in rules if not one.min_lesion_mm3],
        "with both": list(rules),
    }


def of_sources(
    scans: Sequence[Judged], rules: Sequence[Rules], own: Rules, small: Collection[str]
) -> list[str]:
    """Rules of the preset, rules chosen on the other sources, and none: each on the scans.

    Args:
        scans: Of real cases.
        rules: To choose from.
        own: The preset's.
        small: Names of the cases with small loads, which have columns of their own.
    """
    ways = {
        f"the preset's: {own}": choosing.fixed(scans, own),
        f"its threshold alone: {own.threshold:g}": choosing.fixed(scans, Rules(own.threshold)),
    }
    chosen = {name: choosing.left_out(scans, some) for name, some in kinds(rules).items()}
    ways |= {f"chosen on the other sources, {name}": one for name, one in chosen.items()}
    names = [one.name for one in scans]
    few = f"small loads (n = {sum(name in small for name in names)})"
    sources = list(chosen["with both"].by_source)
    head = ["Rules", "DSC", "lesion F1", *SIZE_HEADS, "DSC of scans", "lesion F1 of scans"]
    head += [f"DSC, {few}", "lesion F1 of these"]
    lines = [
        f"{len(names)} scans of {len({one.patient for one in scans})} patients, "
        f"{len(sources)} sources ({', '.join(sources)}). Validation, not test. Means over "
        "sources that weigh alike (of scans and of small loads: over scans); recall over all "
        "lesions together (n lesions).",
        "",
        *table(
            head,
            [
                [name, *_both(one), *_recall(one), *_plain(one), *_plain(one.of(small))]
                for name, one in ways.items()
            ],
        ),
    ]
    rows = []
    for source in sources:
        for name, one in (("the preset's", choosing.fixed(scans, own)), *chosen.items()):
            figures = [number(one.mean(what, [source])) for what in ("dsc", "f1")]
            rows.append([source, name, str(one.by_source[source]), *figures])
    return [*lines, *table(["Left out", "rules", "chosen elsewhere", "DSC", "lesion F1"], rows)]


def _both(applied: Applied) -> list[str]:
    """Cells below DSC and F1."""
    return [number(applied.mean(what)) for what in ("dsc", "f1")]


def _recall(applied: Applied) -> list[str]:
    """Cells below recall by size."""
    sizes = applied.sizes().values()
    return [f"{number(a / b if b else float('nan'))} ({b})" for a, b in sizes]


def _plain(applied: Applied) -> list[str]:
    """Cells below DSC and F1 of scans."""
    return [number(applied.plain_mean(what)) for what in ("dsc", "f1")]


def of_readers(
    scans: Mapping[str, Sequence[Judged]], rules: Sequence[Rules], own: Rules
) -> list[str]:
    """Which threshold suits which synthetic reader.

    Args:
        scans: Reader -> the same synthetic scans, judged by what the reader marked.
        rules: To choose from; thresholds alone are shown.
        own: The preset's.
    """
    count = len(next(iter(scans.values())))
    lines = [
        f"{count} synthetic scans, each marked by every reader. Mean DSC / lesion F1 "
        "of thresholds alone.",
        "",
    ]
    plain = kinds(rules)["threshold alone"]
    rows = [
        [str(rule), *(_pair(one, rule) for one in scans.values())]
        for rule in [*plain, *([] if own.plain else [own])]
    ]
    lines += table(["Rule", *scans], rows)
    rows = []
    for reader, judged in scans.items():
        for name, some in kinds(rules).items():
            rule = choosing.best(judged, some)
            recall = _recall(choosing.fixed(judged, rule))
            rows.append([reader, name, str(rule), _pair(judged, rule), *recall])
    return [*lines, *table(["Reader", "rules", "best", "DSC / F1", *SIZE_HEADS], rows)]


def _pair(scans: Sequence[Judged], rule: Rules) -> str:
    return " / ".join(_both(choosing.fixed(scans, rule)))


def of_lesion_rules(places: Mapping[str, Sequence[Judged]], rules: Sequence[Rules]) -> list[str]:
    """Whether a smallest lesion and a peak help: chosen on some scans, judged on the others.

    Args:
        places: What the scans are -> scans of two sources or more.
        rules: To choose from.
    """
    by_kind = kinds(rules)
    plain, *others = by_kind
    rows = []
    for name in others:
        helps, cells = True, []
        for scans in places.values():
            without, given = (choosing.left_out(scans, by_kind[one]) for one in (plain, name))
            gain = _worth(given) - _worth(without)
            helps &= gain > 0
            (a, n), (b, _) = (one.sizes()["small"] for one in (without, given))
            recall = f"{a / n:.2f} to {b / n:.2f}" if n else "no such lesion"
            cells += [f"{gain:+.3f}", f"{recall} ({n})"]
        rows.append([name, *cells, "yes" if helps else "no"])
    head = ["Rules"]
    for place in places:
        head += [f"{place}: mean of DSC and F1, gain", "recall, < 10 voxels"]
    return [
        "Against a threshold alone; each chosen on the other sources (of synthetic scans: on the "
        "other quarters).",
        "",
        *table([*head, "helps in all"], rows),
    ]


def _worth(applied: Applied) -> float:
    return (applied.mean("dsc") + applied.mean("f1")) / 2


def of_price(
    rules: Mapping[str, Rules], free: Sequence[Mapping[Rules, Found]], healthy: Mapping[str, Judged]
) -> list[str]:
    """What rules mark where nothing is.

    Args:
        rules: Why a rule is listed -> the rule.
        free: The figures of each synthetic scan without lesions.
        healthy: Name -> a healthy person's scan.
    """
    rows = []
    for why, rule in rules.items():
        volumes = [one[rule].marked_ml for one in free]
        cells = ["", "", ""]
        if volumes:
            cells = [number(mean(volumes)), number(median(volumes)), number(max(volumes))]
        cells += [number(one.scores[rule].marked_ml) for one in healthy.values()]
        rows.append([why, str(rule), *cells])
    head = ["", "rule", f"{len(free)} lesion-free scans, mean ml", "median", "largest"]
    return table([*head, *(f"{name}, ml" for name in healthy)], rows)
