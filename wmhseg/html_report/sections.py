"""The parts of a page about one result, each as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wmhseg.html_report import plots, words
from wmhseg.html_report.facts import Facts
from wmhseg.html_report.markup import Raw, described, element, listed, table, text
from wmhseg.measures import head_size
from wmhseg.measuring import content
from wmhseg.reporting.caption import millilitres
from wmhseg.reporting.report import NOT_A_DEVICE
from wmhseg.version import __version__

_RULES = {
    "continuity": "Continuity with the ventricle",
    "10mm": "Within 10 mm of it",
    "2mm": "Comes within 2 mm of it",
}
_BEFORE = (
    "Ranges, and all that networks and thresholds mark by themselves, are counted before the rules "
    "that remove small or doubtful lesions: they may lie above the volume and the lesions of the "
    "result."
)
_FEW = 60  # rows of lesions that are shown at once


def part(name: str, title: str, inside: str) -> str:
    """A section with a heading that links can lead to."""
    head = element("h2", text(title), id=f"{name}-title")
    return element("section", head + inside, id=name, aria_labelledby=f"{name}-title")


def summary(facts: Facts) -> str:
    """The main figures, the warnings, and what is missing."""
    measured = content.to_dict(facts.measures)
    total, unsure, head = measured["total"], measured["uncertainty"], measured["head"] or {}
    cards = [
        ("WMH volume", millilitres(total["volume_ml"])),
        ("Lesions", str(total["lesion_count"])),
        ("Largest lesion", millilitres(total["largest_lesion_ml"])),
    ]
    for what, short in (("thresholds", "of thresholds"), ("members", "of networks")):
        if unsure[what] is not None:
            low, high = unsure[what]["volume_ml"]
            cards.append((f"Range {short}", f"{millilitres(low)} to {millilitres(high)}"))
    if head.get("wmh_percent_of_tiv") is not None:
        cards.append(("Of intracranial volume", f"{head['wmh_percent_of_tiv']:.2f} %"))
    shown = "".join(
        element("div", element("dt", text(name)) + element("dd", text(value)))
        for name, value in cards
    )
    inside = element("dl", shown, class_="cards")
    if unsure["thresholds"] is not None or unsure["members"] is not None:
        inside += element("p", text(_BEFORE), class_="hint")
    told = _sentences(facts)
    if told:
        inside += element("h3", f"Warnings ({len(told)})") + listed(told, class_="warnings")
    else:
        inside += element("p", "No warnings.", class_="fine")
    return part("summary", "At a glance", inside)


def _sentences(facts: Facts) -> list[str]:
    """Warnings of the page, of the report beside the mask, and of the scans' look, once each."""
    warned = (facts.told or {}).get("warnings")
    own = [one for one in warned if isinstance(one, str)] if isinstance(warned, list) else []
    # The page measured by itself, and perhaps by another anatomy.
    own = [one for one in own if not one.startswith(head_size.BEGINNING)]
    looks = [f.text for f in facts.findings if str(f.level) in ("warning", "error")]
    return list(dict.fromkeys([*facts.warnings, *own, *looks]))


def lesions(facts: Facts) -> str:
    """The table of lesions; a button in each row goes there."""
    rows = content.lesion_rows(facts.measures)
    if not rows:
        return part("lesions", "Lesions", element("p", "Nothing is marked."))
    columns = {
        "volume_ml": "Volume, ml", "diameter_mm": "Diameter, mm",
        "place_continuity": "Place (continuity)",
        "distance_to_ventricle_mm": "To ventricle, mm", "mean_probability": "Mean probability",
        "peak_probability": "Peak probability", "agreement_of_members": "Agreement",
        "structural_disagreement": "Disagreement",
    }  # fmt: skip
    # Columns of which nothing is known say nothing.
    known = [name for name in columns if any(row[name] is not None for row in rows)]
    places = facts.measures.centres_mni_mm is not None
    head = ["Lesion", *(columns[name] for name in known), "Centre in scanner, mm"]
    head += ["Centre in MNI, mm"] * places
    cells = []
    for row in rows:
        number = row["lesion"]
        go = element(
            "button", text(number), type="button", class_="go", data_lesion=number,
            aria_label=f"Go to lesion {number}",
        )  # fmt: skip
        centre = [_at(row, "")] + [_at(row, "mni_")] * places
        cells.append([Raw(go), *(_spaced(row[name]) for name in known), *centre])
    made = table(
        head, cells, caption=f"All {len(rows)} lesions, the largest first", id="lesion-table",
        class_="lesions",
    )  # fmt: skip
    note = (
        "The number of a lesion leads to it in the viewer. Diameter: the largest within one slice."
        + " Probabilities are not calibrated: 0.7 does not mean 70 %."
        * ("mean_probability" in known)
    )
    inside = element("p", text(note)) + made
    if len(rows) > _FEW:
        inside = element("p", text(note)) + element(
            "div", made, class_="tall", tabindex=0, role="region", aria_label="List of lesions"
        )
    return part("lesions", "Lesions", inside)


def _spaced(value: Any) -> Any:
    return value.replace("_", " ") if isinstance(value, str) else value


def _at(row: Mapping[str, Any], space: str) -> str:
    values = [row[f"{space}{axis}_mm"] for axis in "xyz"]
    return ", ".join("n/a" if one is None else f"{one:.1f}" for one in values)


def measures(facts: Facts) -> str:
    """Volumes by place, head, Fazekas, what was excluded."""
    measured = content.to_dict(facts.measures)
    inside = ""
    if measured["places"] is not None:
        names = [*measured["places"]["continuity"]]
        rows = [
            [
                _RULES.get(rule, rule),
                *(f"{one['volume_ml']:.2f} ml ({one['lesion_count']})" for one in found.values()),
            ]
            for rule, found in measured["places"].items()
        ]
        inside += table(
            ["Periventricular by", *(name.replace("_", " ") for name in names)], rows,
            caption="Volume and number of lesions by place, by three published rules",
        )  # fmt: skip
    pairs: dict[str, object] = {}
    if measured["strive"] is not None:
        both = measured["strive"]
        pairs["WMH as STRIVE counts"] = _amount(both["wmh"])
        pairs["With deep grey matter and brainstem"] = _amount(both["with_deep_grey_and_brainstem"])
    head = measured["head"]
    if head is not None:
        pairs["Intracranial volume"] = f"{head['tiv_ml']:.0f} ml"
        pairs["White matter, lesions included"] = f"{head['white_matter_ml']:.0f} ml"
        pairs["All ventricles"] = f"{head['ventricles_ml']:.1f} ml"
        share = head["wmh_percent_of_white_matter"]
        pairs["WMH, of white matter"] = None if share is None else f"{share:.2f} %"
    pairs |= _fazekas(measured["fazekas_estimate"])
    if measured["excluded"] is not None:
        one = measured["excluded"]
        pairs["Excluded"] = (
            f"{one['volume_ml']:.2f} ml, with {one['marked_ml']:.2f} ml that was marked; "
            f"{one['lesions_removed']} lesions removed, {one['lesions_cut']} cut"
        )
    inside += described(pairs)
    if measured["regions"]:
        rows = [
            [one["name"], one["region_ml"], one["wmh_ml"], one["wmh_percent"], one["lesion_count"]]
            for one in measured["regions"]
        ]
        inside += table(
            ["Region", "Region, ml", "WMH, ml", "WMH, %", "Lesions"], rows,
            caption="Volume and number of lesions by region of the atlas",
        )  # fmt: skip
    return part("measures", "Where and how much", inside)


def _amount(one: Mapping[str, Any]) -> str:
    return f"{one['volume_ml']:.2f} ml ({one['lesion_count']} lesions)"


def _fazekas(estimates: Mapping[str, Any]) -> dict[str, object]:
    """Estimates, never ratings."""
    by_size, by_volume = estimates["by_size"], estimates["by_volume"]
    seen = " or ".join(map(str, estimates["by_volume_ranges"]["grades"])) or "none"
    told: dict[str, object] = {}
    if by_size is not None:
        told["Fazekas, estimate by size"] = (
            f"periventricular {by_size['periventricular']}, deep {by_size['deep']} "
            f"({by_size['rule']})"
        )
    told["Fazekas, estimate by volume alone"] = f"{by_volume['grade']} ({by_volume['rule']})"
    told["Grades of patients with such a volume"] = (
        f"{seen} ({estimates['by_volume_ranges']['rule']})"
    )
    return told


def uncertainty(facts: Facts) -> str:
    """Curve, ranges, members."""
    measured = content.to_dict(facts.measures)
    unsure = measured["uncertainty"]
    inside = ""
    if unsure["curve"]:
        total, threshold = measured["total"], unsure["threshold"]
        volumes = [(one["threshold"], one["volume_ml"]) for one in unsure["curve"]]
        counts = [(one["threshold"], float(one["lesion_count"])) for one in unsure["curve"]]
        inside += element(
            "div",
            plots.against_threshold(volumes, threshold, "Volume, ml", total["volume_ml"])
            + plots.against_threshold(counts, threshold, "Lesions", float(total["lesion_count"])),
            class_="plots",
        )
        inside += element(
            "p",
            "The line is the probability map alone, cut at each threshold; the point is the mask, "
            "from which small or doubtful lesions may have been removed.",
        )
        rows = [[o["threshold"], o["volume_ml"], o["lesion_count"]] for o in unsure["curve"]]
        inside += element(
            "details",
            element("summary", "Numbers of the curve")
            + table(["Threshold", "Volume, ml", "Lesions"], rows, caption="Curve"),
        )
    members = unsure["members"]
    if members is not None:
        rows = [
            [name, one["volume_ml"], one["lesion_count"]] for name, one in members["each"].items()
        ]
        inside += table(
            ["Network", "Volume, ml", "Lesions"], rows,
            caption="What each network marks by itself, before any lesion is removed",
        )  # fmt: skip
        mean = members["mean_structural_disagreement"]
        if mean is not None:
            inside += element(
                "p",
                text(
                    f"Mean structural disagreement of the networks: {mean:.2f} (0: all mark just "
                    "this; 1: none marks any of it)."
                ),
            )
    if not inside:
        inside = element(
            "p", "Nothing is known: neither a probability map nor maps of the networks were given."
        )
    return part("uncertainty", "How sure", inside)


def findings(facts: Facts) -> str:
    """What was found when the scans were looked over."""
    rows = [[str(f.level), f.scan, f.text] for f in facts.findings]
    levels = [{"class_": f"level-{f.level}"} for f in facts.findings]
    inside = table(
        ["Level", "Scan", "What was found"], rows, caption="What headers and voxels look like",
        attributes=levels,
    )  # fmt: skip
    return part("findings", "The scans", inside)


def left_out(facts: Facts, more: Sequence[str]) -> str:
    """What the page lacks, and why."""
    sentences = [*facts.left_out, *more]
    inside = listed(sentences) if sentences else element("p", "Nothing.")
    return part("left-out", "What is left out", inside)


def origin(facts: Facts) -> str:
    """Model, checksums, versions, commands, times."""
    told = facts.told or {}
    inside = ""
    if facts.told is not None:
        inside += element("h3", "The mask") + described(_made(told))
        members = told.get("members")
        if isinstance(members, list):
            rows = [
                [one.get("file"), one.get("network"), one.get("sha256")]
                for one in members
                if isinstance(one, dict)
            ]
            inside += table(["File", "Network", "SHA-256"], rows, caption="Weights")
    model = facts.anatomy_model
    if model is not None:
        inside += element("h3", "Structures of the head")
        inside += described({"Model": model["name"], "SHA-256": model.get("sha256")})
    ours = facts.provenance.to_dict()
    rows = [[name, one["path"], one["sha256"]] for name, one in ours["inputs"].items()]
    inside += element("h3", "This report")
    inside += table(["What", "File", "SHA-256"], rows, caption="Files that it was made from")
    inside += described(
        {
            "Made": ours["date"],
            "Command": ours["command"],
            "Container": ours["container"],
            "Version": f"wmhseg {__version__}",
            "SHA-256 of the mask": facts.mask_sha256,
        }
    )
    inside += element(
        "p",
        "Nothing in this file comes from the text of the scans' headers: no name, no date of birth "
        "or scan. Paths and the command are as they were typed.",
    )
    return part("origin", "Where it comes from", inside)


def _made(told: Mapping[str, Any]) -> dict[str, object]:
    """What the report of the mask says, in words."""
    names = {
        "model": "Model", "preset": "Method", "reader": "Reader", "threshold": "Threshold",
        "lesion_peak": "Lesions reach a probability above",
        "min_lesion_mm3": "Smallest lesion, mm3",
        "end_slices": "Slices left empty at either end, share",
        "end_slices_of": "Slices that the share is of", "flips": "With flips",
        "t1_used": "T1 was used",
        "training_data": "Trained on", "date": "Segmented", "command": "Command",
        "container": "Container", "versions": "Versions", "engine": "Engine",
        "seconds": "Seconds", "steps": "Steps", "intensity_scale": "Intensities", "grid": "Grid",
    }  # fmt: skip
    # A rule of 0 removes nothing.
    idle = {name for name in ("lesion_peak", "min_lesion_mm3", "end_slices") if told.get(name) == 0}
    if "end_slices" in idle:
        idle.add("end_slices_of")
    made = {shown: told[name] for name, shown in names.items() if name in told and name not in idle}
    if made.get(names["end_slices_of"]) == "head":
        made[names["end_slices_of"]] = "the head, where empty slices pad the scan"
    return made


def methods(facts: Facts) -> str:
    """Words for a paper, ready to paste."""
    paragraph, references = words.methods(facts)
    listed_as = "\n".join(f"[{n}] {one}" for n, one in enumerate(references, 1))
    inside = element(
        "p", "These words may be used in a paper as they are, or changed.", id="methods-note"
    )
    inside += element(
        "pre", text(f"{paragraph}\n\n{listed_as}"), id="methods-text", tabindex=0,
        aria_describedby="methods-note",
    )  # fmt: skip
    inside += element("button", "Copy", type="button", id="copy-methods")
    inside += element("span", "", id="copied", role="status")
    return part("methods", "Methods and references", inside)


def rating() -> str:
    """The judgement of whoever has looked, to be saved as a file."""
    choices = "".join(
        element(
            "label",
            f'<input type="radio" name="rating" value="{value}"> ' + text(shown),
        )
        for value, shown in (("good", "Good"), ("correct", "To correct"), ("exclude", "Exclude"))
    )
    inside = (
        element("fieldset", element("legend", "This segmentation is") + choices)
        + element("label", "Comment", for_="rating-comment")
        + '<textarea id="rating-comment" rows="3"></textarea>'
        + element("label", "Rated by (initials; may stay empty)", for_="rating-by")
        + '<input id="rating-by" type="text" maxlength="60" autocomplete="off">'
        + element("button", "Save rating as a file", type="button", id="rating-save")
        + element("p", "", id="rating-said", role="status")
        + element(
            "p",
            "The file goes to your folder of downloads. Put it beside this report: "
            "<code>wmhseg report --group</code> reads it. Nothing is sent anywhere.",
        )
    )
    return part("rating", "Your rating", element("div", inside, class_="form"))


def heading(facts: Facts) -> str:
    """Title, notice, and links to the parts."""
    links = "".join(
        element("li", element("a", text(shown), href=f"#{name}"))
        for name, shown in (
            ("summary", "At a glance"), ("viewer", "Viewer"), ("lesions", "Lesions"),
            ("measures", "Where and how much"), ("uncertainty", "How sure"),
            ("pictures", "Pictures"), ("findings", "The scans"), ("left-out", "Left out"),
            ("origin", "Origin"), ("methods", "Methods"), ("rating", "Rating"),
        )
    )  # fmt: skip
    return (
        element("a", "Skip to the results", class_="skip", href="#summary")
        + element(
            "header",
            element("p", "White matter hyperintensities", class_="kind")
            + element("h1", text(facts.name))
            + element(
                "p",
                text(NOT_A_DEVICE.replace("For research.", "Research only.")),
                class_="notice",
                role="note",
            ),
        )
        + element("nav", element("ul", links), aria_label="Parts of this report")
    )


def goals(facts: Facts) -> list[list[float]]:
    """For each lesion the voxel of it that is nearest to its centre: x, y, z in mm, RAS."""
    found = facts.measures.lesions
    if not found.count:
        return []
    grid = facts.measures.grid
    mm = np.array(grid.spacing_mm)
    sums = [np.bincount(found.of, column, found.count) for column in found.voxels.T]
    centres = (np.array(sums) / found.sizes_vox).T
    far = ((found.voxels - centres[found.of]) * mm) ** 2
    order = np.lexsort((far.sum(1), found.of))
    firsts = np.searchsorted(found.of[order], np.arange(found.count))
    nearest = found.voxels[order[firsts]]
    matrix = np.array(grid.direction, float).reshape(3, 3)
    lps = np.array(grid.origin_mm) + (nearest * mm)[:, ::-1] @ matrix.T
    return np.round(lps * [-1, -1, 1], 3).tolist()  # type: ignore[no-any-return]
