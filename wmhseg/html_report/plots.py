"""Plots as SVG that stands in the page: sharp at any size, in the colours of the page."""

from __future__ import annotations

from collections.abc import Sequence

from wmhseg.html_report.markup import element, text

_WIDE, _HIGH = 420, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 16, 40


def _ticks(most: float) -> list[float]:
    """A handful of round numbers from 0 to at least a value."""
    if most <= 0:
        return [0.0, 1.0]
    step = 10.0**-6
    while True:
        for factor in (1, 2, 5):
            if most / (step * factor) <= 5:
                count = int(-(-most // (step * factor)))
                return [n * step * factor for n in range(max(1, count) + 1)]
        step *= 10


def against_threshold(
    points: Sequence[tuple[float, float]], threshold: float, name: str, at: float
) -> str:
    """A figure that falls with the threshold.

    Args:
        points: (threshold, value).
        threshold: That of the mask, drawn as a line.
        name: Of the value, with its unit.
        at: The value of the mask itself, drawn as a point.
    """
    ticks = _ticks(max([at, *(value for _, value in points)]))
    top = ticks[-1]

    def across(x: float) -> float:
        return _LEFT + x * (_WIDE - _LEFT - _RIGHT)

    def down(y: float) -> float:
        return _HIGH - _BOTTOM - y / top * (_HIGH - _TOP - _BOTTOM)

    parts = [element("title", text(f"{name} against the threshold of the probability"))]
    for value in ticks:
        y = down(value)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDE - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for tenth in range(0, 11, 2):
        x, y = across(tenth / 10), _HIGH - _BOTTOM + 17
        parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{tenth / 10:g}</text>')
    parts.append(
        f'<text x="{across(0.5):.1f}" y="{_HIGH - 5}" text-anchor="middle">threshold</text>'
    )
    line = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in points)
    parts.append(f'<polyline class="line" points="{line}"/>')
    x = across(threshold)
    parts.append(
        f'<line class="chosen" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HIGH - _BOTTOM}"/>'
    )
    parts.append(f'<circle class="mark" cx="{x:.1f}" cy="{down(at):.1f}" r="5"/>')
    parts.append(f'<text class="name" x="{_LEFT}" y="11">{text(name)}</text>')
    return element(
        "svg", "".join(parts), viewBox=f"0 0 {_WIDE} {_HIGH}", role="img", class_="plot",
        aria_label=f"{name} against the threshold; the numbers are in the table below.",
    )  # fmt: skip
