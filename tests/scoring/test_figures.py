"""Plots of scores: each is a picture, also with little to draw."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scored_cases import made_up

from wmhseg import errors
from wmhseg.scoring import figures
from wmhseg.scoring.table import Score


@pytest.fixture
def plotted() -> Callable[..., dict[str, bytes]]:
    pytest.importorskip("matplotlib")
    return figures.draw_all


def test_every_plot_is_a_picture(plotted: Callable[..., dict[str, bytes]]) -> None:
    rng = np.random.default_rng(0)
    sets = {
        name: [
            made_up(
                str(i), rng.uniform(), site="A", scanner="xy"[i % 2],
                reference_ml=float(i), result_ml=float(i + rng.uniform()), h95_mm=math.nan,
            )
            for i in range(5)
        ]
        for name in ("one", "two")
    }  # fmt: skip
    sets["nothing"] = [Score("lost")]
    pictures = plotted(sets, "made up: demo")
    assert sorted(pictures) == [
        "bland_altman.png",
        "metrics_by_scanner.png",
        "recall_by_lesion_size.png",
        "volumes.png",
    ]
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())
    again = figures.volume_scatter({"one": sets["one"]}, "made up: demo")
    assert again == figures.volume_scatter({"one": sets["one"]}, "made up: demo")
    without = [made_up("1", 0.5, small_recall=math.nan, small_lesions=0.0)]
    assert figures.size_recall({"one": without}, "one case").startswith(b"\x89PNG")
    assert figures.bland_altman_plot({"one": without}, "one case").startswith(b"\x89PNG")
    assert plotted({"nothing": [Score("lost")]}, "made up") == {}


def test_without_matplotlib_the_advice_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.PlotsUnavailableError, match=r"pip install 'wmhseg\[plots\]'"):
        figures.draw_all({}, "")
