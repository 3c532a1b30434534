"""The page about one result: all parts together, in a file of at most 12 MB."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wmhseg.errors import UsageError
from wmhseg.html_report import markup, sections, volumes
from wmhseg.html_report.facts import Facts
from wmhseg.html_report.markup import Page, element, json_text, stored, text
from wmhseg.html_report.volumes import Shown
from wmhseg.io import files, pictures
from wmhseg.measures.uncertainty import THRESHOLDS
from wmhseg.measuring import content
from wmhseg.reporting import sheet
from wmhseg.reporting.caption import Caption, millilitres
from wmhseg.reporting.report import NOT_A_DEVICE
from wmhseg.reporting.window import Look, look_at
from wmhseg.version import __version__

MOST_BYTES = 12_000_000
"""Of a page."""
ENDINGS = (".html", ".htm")
ICON_WIDTH = 72
_LEAST_FOR_VOLUMES = 1_000_000

Float = npt.NDArray[np.float32]


def check_name(path: Path) -> None:
    """Raises UsageError unless the name of a report ends in .html."""
    if not path.name.lower().endswith(ENDINGS):
        raise UsageError("The name of a report should end in .html", received=path)


def write(path: Path, facts: Facts) -> None:
    """Writes the page, complete or not at all.

    Raises:
        OutputNotWritableError: If the place cannot be written to.
        DiskFullError: If there is no room.
    """
    files.write_bytes(path, made(facts).encode("utf-8", "backslashreplace"))


def made(facts: Facts) -> str:
    """The page as text."""
    picture = _picture(facts)
    flair = np.asarray(_turned(facts, facts.measures.scene.flair.array), np.float32)
    look = look_at(flair, facts.measures.grid.spacing_mm)
    icon = "data:image/jpeg;base64," + _text64(_glance(facts, flair, look))
    everything = _shown(facts, flair, look)
    # The volumes get what the rest leaves.
    rest = _page(facts, picture, icon, everything, {}).html()
    room = max(_LEAST_FOR_VOLUMES, MOST_BYTES - len(rest.encode("utf-8")) - 20_000)
    fitted, texts = volumes.fitted(everything, room)
    return _page(facts, picture, icon, fitted, texts).html()


def _page(facts: Facts, picture: str, icon: str, fitted: Shown, texts: Mapping[str, str]) -> Page:
    more = []
    if fitted.together != (1, 1, 1):
        by = " x ".join(map(str, fitted.together))
        more.append(
            f"the viewer shows {by} voxels (slices x rows x columns) as one, so that the file "
            f"stays below {MOST_BYTES / 1e6:g} MB; no number is computed from that"
        )
    parts = [
        sections.heading(facts),
        '<main id="main">',
        sections.summary(facts),
        _viewer(facts),
        sections.lesions(facts),
        sections.measures(facts),
        sections.uncertainty(facts),
        sections.part("pictures", "Pictures", picture),
        sections.findings(facts),
        sections.left_out(facts, more),
        sections.origin(facts),
        sections.methods(facts),
        sections.rating(),
        "</main>",
        element("footer", element("p", text(f"wmhseg {__version__}. {NOT_A_DEVICE}"))),
    ]
    return Page(
        title=f"WMH: {facts.name}",
        body="\n".join(parts),
        scripts=(stored("niivue.umd.js", "niivue"), stored("viewer.js"), stored("report.js")),
        data={"facts": json_text(_for_scripts(facts, fitted)), **texts},
        icon=icon,
    )


def _for_scripts(facts: Facts, fitted: Shown) -> dict[str, object]:
    """What the scripts need to know."""
    flair = facts.provenance.scans.get("FLAIR")
    curve = content.curve_rows(facts.measures)
    return {
        "name": markup.plain(facts.name),
        "flair_sha256": None if flair is None else flair.sha256,
        "mask_sha256": facts.mask_sha256,
        "version": __version__,
        "threshold": facts.measures.scene.threshold,
        "steps_of_1": volumes.PROBABILITY_STEPS,
        "curve": [[o["threshold"], o["volume_ml"], o["lesion_count"]] for o in curve],
        "volume_ml": round(facts.measures.total.volume_ml, 4),
        "lesion_count": facts.measures.total.count,
        "goals": sections.goals(facts),
        "shape": list(fitted.grid.shape),
        "notice": NOT_A_DEVICE,
    }


# The volumes and pictures ------------------------------------------------------------------------


def _turned(facts: Facts, volume: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return np.ascontiguousarray(facts.measures.turn.forward(volume))


def _shown(facts: Facts, flair: Float, look: Look) -> Shown:
    """All volumes as 8 bits, cut to the head."""
    measures = facts.measures
    mask = np.zeros(measures.grid.shape, np.uint8)
    for other in facts.others.values():
        mask[np.asarray(_turned(facts, other), bool)] = volumes.OTHER
    mask[tuple(measures.lesions.voxels.T)] = volumes.MARKED
    grey, marks = {"flair": look.window.grey(flair)}, {"mask": mask}
    if facts.t1 is not None:
        grey["t1"] = look_at(facts.t1, measures.grid.spacing_mm).window.grey(facts.t1)
    if measures.scene.probability is not None:
        probability = np.asarray(_turned(facts, measures.scene.probability), np.float32)
        if measures.scene.excluded is not None:
            probability = np.where(_turned(facts, measures.scene.excluded), 0, probability)
        marks["probability"] = volumes.probability_bytes(probability)
    return volumes.shown(measures.grid, grey, marks, look)


def _picture(facts: Facts) -> str:
    """The picture of slices, for printing and where nothing can be drawn."""
    measures, scene = facts.measures, facts.measures.scene
    mask = measures.turn.restore(measures.lesions.volume() > 0).astype(np.uint8)
    view = sheet.view_of(scene.flair.grid, scene.flair.array, mask, facts.others)
    count = measures.total.count
    found = f"{count} lesion{'s' * (count != 1)}" if count else "nothing marked"
    caption = Caption(
        f"WMH {millilitres(measures.total.volume_ml)}, {found}",
        markup.plain(facts.name),
        (f"wmhseg {__version__}; threshold {scene.threshold:g}",),
        NOT_A_DEVICE,
    )
    picture = sheet.one_page(view, caption)
    shown = (
        f'<img src="data:image/png;base64,{_text64(pictures.png(picture))}" '
        f'width="{picture.shape[1]}" height="{picture.shape[0]}" alt="'
        + text(
            f"Slices of FLAIR, each without and with the marks outlined in orange: "
            f"{millilitres(measures.total.volume_ml)}, {found}."
        )
        + '">'
    )
    return element(
        "figure",
        shown
        + element(
            "figcaption",
            "On the left of each pair FLAIR as it "
            "is, on the right the same slice with the marks. R: the patient's right.",
        ),
    )


def _glance(facts: Facts, flair: Float, look: Look) -> bytes:
    """A small picture of the slice with the largest marked area: the icon, and for lists."""
    measures = facts.measures
    mask = measures.lesions.volume() > 0
    areas = mask.sum((1, 2))
    index = int(areas.argmax()) if areas.any() else sum(look.slices) // 2
    rows, columns = slice(*look.rows), slice(*look.columns)
    grey = look.window.grey(np.ascontiguousarray(flair[index, rows, columns]))
    picture = np.repeat(grey[..., None], 3, -1)
    picture[mask[index, rows, columns]] = sheet.OUTLINE
    _, row_mm, column_mm = measures.grid.spacing_mm
    if row_mm > 1.5 * column_mm:
        picture = picture.repeat(round(row_mm / column_mm), 0)
    return pictures.small_jpeg(picture, ICON_WIDTH)


def _text64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


# The viewer --------------------------------------------------------------------------------------


def _viewer(facts: Facts) -> str:
    has_map, has_t1 = facts.measures.scene.probability is not None, facts.t1 is not None
    controls = [_slider("opacity", "Opacity of the marks", 0, 100, 55)]
    if has_map:
        last = len(THRESHOLDS) - 1
        nearest = min(
            range(last + 1), key=lambda n: abs(THRESHOLDS[n] - facts.measures.scene.threshold)
        )
        controls.append(
            element(
                "fieldset",
                element("legend", "Shown")
                + element(
                    "label", '<input type="radio" name="shown" value="mask" checked> the result'
                )
                + element(
                    "label",
                    '<input type="radio" name="shown" value="probability"> '
                    "the probability above a threshold",
                ),
            )
        )
        controls.append(_slider("threshold", "Threshold", 0, last, nearest))
    else:
        controls.append(
            element("p", "No probability map was given: the threshold cannot be moved.")
        )
    controls.append(element("label", '<input type="checkbox" id="outline"> outlines only'))
    if has_t1:
        controls.append(
            element("button", "Show T1", type="button", id="t1", aria_pressed="false")
            + element("button", "Flicker", type="button", id="flicker", aria_pressed="false")
        )
    else:
        controls.append(element("p", "T1 cannot be shown: see what is left out."))
    controls += [
        _slider("across", "Right to left", 0, 1, 0),
        _slider("along", "Front to back", 0, 1, 0),
        _slider("up", "Foot to head", 0, 1, 0),
    ]
    inside = (
        element("p", "Nothing can be drawn here: this browser has no WebGL 2, or scripts are "
                "switched off. The pictures below show the result.", id="no-viewer")
        + element("div", element("canvas", "", id="view", tabindex=0, role="img",
                  aria_label="Three planes of the scan with the marks; the sliders move them."),
                  class_="stage", id="stage", hidden=True)
        + element("p", "", id="where", role="status", aria_live="polite")
        + element("p", "", id="amount", role="status", aria_live="polite")
        + element("div", "".join(controls), class_="controls", id="controls", hidden=True)
        + element("p", "R: the patient's right is on the left. Drag or click to move, turn the "
                  "wheel to change slices, drag with the right button to change the brightness; "
                  "or use the sliders.", class_="hint")
    )  # fmt: skip
    return sections.part("viewer", "Viewer", inside)


def _slider(name: str, shown: str, low: int, high: int, value: int) -> str:
    return element(
        "label",
        text(shown)
        + f' <output id="{name}-value" for="{name}"></output>'
        + f'<input type="range" id="{name}" min="{low}" max="{high}" value="{value}">',
        class_="slider",
    )
