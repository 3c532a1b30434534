"""Draws the wings of the package, one floor above the other.

    python -m benchmarks.wings [--output docs/wings.svg]

The picture is made from the imports: what changes there changes it, and a test compares the two.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from benchmarks.house import House, house, modules, wings
from benchmarks.machine import ROOT
from wmhseg.io import files

# A scan's way through the house.
WAY = (
    ("io", "read"),
    ("checking", "look over"),
    ("preparation", "turn, correct, resample, register"),
    ("channels", "scale, crop, make the networks' channels"),
    ("engines", "compute each member (networks with weights)"),
    ("segmentation", "average, back to the scan's grid, cut"),
    ("measures", "count lesions"),
    ("reporting", "report, picture"),
    ("io", "write all files or none"),
)


def floors(found: House) -> list[list[str]]:
    """Wings by their longest way down: on the lowest floor those that need no other."""
    height: dict[str, int] = {}

    def of(wing: str) -> int:
        if wing not in height:
            height[wing] = 1 + max((of(other) for other in found[wing]), default=-1)
        return height[wing]

    for wing in found:
        of(wing)
    return [sorted(w for w in found if height[w] == n) for n in range(max(height.values()) + 1)]


def picture(root: Path, package: str = "wmhseg") -> str:
    """The wings as an SVG: one floor above the other, an arrow where one needs the floor below.

    Arrows that other arrows make superfluous are left out.
    """
    modules_of = Counter(name.split(".")[0] for name in modules(root, package) if "." in name)
    arrows = {w: o for w, o in wings(house(root, package)).items() if w not in ("", "__main__")}
    leaves = {w for w in arrows if w not in modules_of}
    drawn = {
        w: {("leaves" if x in leaves else x) for x in o}
        for w, o in arrows.items()
        if w not in leaves
    }
    drawn["leaves"] = set()
    for others in drawn.values():
        for other in sorted(others):
            others -= _below(drawn, other)
    rows = floors(drawn)
    width, step, box, tall = 940, 74, 138, 40
    place = {
        wing: (width * (i + 1) / (len(row) + 1), 30 + step * (len(rows) - 1 - n))
        for n, row in enumerate(rows)
        for i, wing in enumerate(row)
    }
    lines = []
    for wing, others in sorted(drawn.items()):
        for other in sorted(others):
            (x1, y1), (x2, y2) = place[wing], place[other]
            start, end = f"{x1:.0f} {y1 + tall / 2:.0f}", f"{x2:.0f} {y2 - tall / 2 - 2:.0f}"
            bend = f"{x1:.0f} {y1 + step / 2 + 8:.0f} {x2:.0f} {y2 - step / 2 - 8:.0f}"
            lines.append(f'<path d="M{start} C{bend} {end}" marker-end="url(#a)"/>')
    boxes = []
    for wing, (x, y) in sorted(place.items()):
        count = modules_of[wing]
        several = "" if count == 1 else "s"
        names = ", ".join(sorted(leaves)) if wing == "leaves" else f"{count} module{several}"
        wide = 330 if wing == "leaves" else box
        boxes.append(
            f'<rect x="{x - wide / 2:.0f}" y="{y - tall / 2:.0f}" width="{wide}" '
            f'height="{tall}" rx="6"/>'
            f'<text x="{x:.0f}" y="{y - 2:.0f}" class="n">{wing}</text>'
            f'<text x="{x:.0f}" y="{y + 13:.0f}" class="m">{names}</text>'
        )
    height = 60 + step * (len(rows) - 1)
    boxes += _way(place, box, tall, height)
    return _SVG.format(
        width=width,
        height=height + 26 + 17 * len(WAY),
        lines="\n".join(lines),
        boxes="\n".join(boxes),
    )


def _way(place: Mapping[str, tuple[float, float]], box: int, tall: int, height: int) -> list[str]:
    """Numbers at the wings that a scan comes through, in order, and what they do to it."""
    seen: Counter[str] = Counter()
    lines = [f'<text x="120" y="{height + 8}" class="t b">A scan on its way</text>']
    for number, (wing, what) in enumerate(WAY, 1):
        x, y = place[wing]
        x += box / 2 - 4 - 21 * seen[wing]
        seen[wing] += 1
        lines.append(
            f'<circle cx="{x:.0f}" cy="{y - tall / 2 + 2:.0f}" r="9"/>'
            f'<text x="{x:.0f}" y="{y - tall / 2 + 6:.0f}" class="w">{number}</text>'
            f'<text x="120" y="{height + 10 + 17 * number}" class="t">'
            f"{number} {wing}: {what}</text>"
        )
    return lines


def _below(found: House, wing: str) -> set[str]:
    """Everything that a wing needs, and what that needs."""
    reached: set[str] = set()
    waiting = list(found[wing])
    while waiting:
        one = waiting.pop()
        if one not in reached:
            reached.add(one)
            waiting += found[one]
    return reached


_SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>The wings of wmhseg: each uses only what stands below it</title>
<style>
rect {{ fill: #eef3f8; stroke: #35618f; stroke-width: 1.2 }}
path {{ fill: none; stroke: #7b93ab; stroke-width: 1.2 }}
text {{ font-family: sans-serif; text-anchor: middle; fill: #16324f }}
.n {{ font-size: 14px; font-weight: bold }}
.m {{ font-size: 10.5px }}
.t {{ font-size: 12px; text-anchor: start }}
.b {{ font-weight: bold }}
.w {{ font-size: 11px; font-weight: bold; fill: #fff }}
circle {{ fill: #c4501b; stroke: #fff; stroke-width: 1.5 }}
</style>
<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"
orient="auto"><path d="M0 0 L8 4 L0 8 z" style="fill:#7b93ab;stroke:none"/></marker></defs>
<rect x="0" y="0" width="{width}" height="{height}" style="fill:#fff;stroke:none"/>
{lines}
{boxes}
</svg>
"""


def main() -> None:
    """Draws the wings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "wings.svg")
    files.write_text(parser.parse_args().output, picture(ROOT))


if __name__ == "__main__":
    main()
