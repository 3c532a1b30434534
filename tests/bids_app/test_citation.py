"""The words for a paper about a data set: every rule that took part, every source in the list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wmhseg.bids_app import citation
from wmhseg.segmentation.options import Options
from wmhseg.weights import store
from wmhseg.weights.preset import Preset

RULES = Options(threshold=0.6, lesion_peak=0.98, min_lesion_mm3=5.0)


@pytest.fixture
def bright(models_folder: Path) -> Preset:
    return store.find(str(models_folder / "bright")).preset


def test_the_rules_on_lesions_are_told_with_the_numbers_that_were_used(bright: Preset) -> None:
    text = citation.made(bright, RULES).markdown()
    assert "exceeded 0.6 were marked (reader: balanced). Lesions without a voxel above 0.98" in text
    assert "and lesions smaller than 5 mm3 were removed." in text
    assert "10 % of the slices at either end were left empty, counted of all slices" in text
    plain = citation.made(bright, Options(lesion_peak=0.0, min_lesion_mm3=0.0)).markdown()
    assert "were removed." not in plain


def test_measures_are_told_and_anatomy_where_a_model_names_it(bright: Preset) -> None:
    without = citation.made(bright, RULES).methods
    assert "Structures of the head" not in without
    assert "periventricular" not in without
    assert "0.4 and 0.8 of the probability, counted before any lesion was removed" in without
    assert "structural disagreement" in without  # of its two networks
    named = citation.made(bright, RULES, bright).methods
    assert f"named by the model {bright.name}" in named
    assert "periventricular by continuity" in named
    assert "CREDOS, Noh 2014" in named


@pytest.mark.parametrize("anatomy", [True, False])
def test_what_is_cited_is_listed_and_what_is_listed_is_cited(anatomy: bool, bright: Preset) -> None:
    made = citation.made(bright, RULES, bright if anatomy else None)
    groups = re.findall(r"\[([\d, ]+)\]", made.methods)
    cited = [int(number) for group in groups for number in group.split(", ")]
    assert list(dict.fromkeys(cited)) == list(range(1, len(made.references) + 1))
    assert len(set(made.references)) == len(made.references)
