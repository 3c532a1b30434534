"""What pages and citations say about how results are made, and whom they cite for it."""

from __future__ import annotations

import html
import re
from dataclasses import asdict, replace
from typing import Literal

import pytest
from conftest import ROOT
from report_facts import facts_of

from wmhseg.html_report import citing, sections, single, words
from wmhseg.html_report.facts import Facts
from wmhseg.measures import anatomy, fazekas, head_size, uncertainty
from wmhseg.measures.anatomy import AnatomyModel
from wmhseg.measuring import measure, reading
from wmhseg.weights.processing import Postprocessing
from wmhseg.weights.structures import STRUCTURES


@pytest.fixture(scope="module")
def full() -> Facts:
    with pytest.MonkeyPatch.context() as patch:
        return facts_of(patch)


def shown(page: str) -> str:
    """The words of a page, without its scripts and its style."""
    words = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.S)
    return html.unescape(re.sub(r"<[^>]*>", " ", words))


def told_methods(full: Facts, **told: object) -> str:
    return shown(sections.methods(replace(full, told={**(full.told or {}), **told})))


def test_a_page_doubts_the_head_that_it_measured_itself_and_no_other(full: Facts) -> None:
    """What an earlier page found, perhaps by another anatomy, stands in the report of the mask."""
    earlier, other = head_size.doubt(2262), "T1 has no data in 1 slice."
    now = head_size.doubt(700)
    assert earlier is not None
    assert now is not None
    page = replace(full, told={**(full.told or {}), "warnings": [earlier, other]})
    page = replace(page, warnings=(*page.warnings, now))
    told = shown(sections.summary(page))
    assert other in told
    assert "of 700 ml" in told
    assert "2262 ml" not in told


def test_every_rule_that_removes_lesions_is_told(full: Facts) -> None:
    rules = {"lesion_peak": 0.98, "min_lesion_mm3": 10.0, "end_slices": 0.125}
    words = told_methods(full, **rules)
    for sentence in (
        "exceeded 0.5 were marked",
        "Lesions without a voxel above 0.98 and lesions smaller than 10 mm3 were removed.",
        "The outermost 12.5 % of the slices at either end were left empty (where empty slices pad "
        "the scan, some models count those that hold the head alone).",
    ):
        assert sentence in words
    origin = shown(sections.origin(replace(full, told={**(full.told or {}), **rules})))
    for name in ("Lesions reach a probability above", "Smallest lesion, mm3", "Slices left empty"):
        assert name in origin
    assert "Slices that the share is of" not in origin  # a report of 0.2.0 does not tell
    # What removes nothing is not spoken of.
    idle = dict.fromkeys(rules, 0.0)
    words = told_methods(full, **idle)
    words += shown(sections.origin(replace(full, told={**(full.told or {}), **idle})))
    for word in ("were removed", "Lesions reach", "Smallest lesion", "left empty"):
        assert word not in words


@pytest.mark.parametrize(
    ("counted", "end", "row"),
    [("scan", "left empty, counted of all slices of the scan.", "scan"),
     ("head", "left empty, counted of all slices of the scan or, where empty ones pad it, of "
              "those that hold the head.", "the head, where empty slices pad the scan")],
)  # fmt: skip
def test_which_slices_are_counted_is_told(
    counted: Literal["scan", "head"], end: str, row: str, full: Facts
) -> None:
    """By sentences and by the table of rules; by neither where no slice is emptied."""
    post = Postprocessing(end_slices=0.1, end_slices_of=counted)
    assert citing.marked("balanced", asdict(post))[-1].endswith(end)
    told = {"end_slices": 0.1, "end_slices_of": counted}
    assert end in told_methods(full, **told)
    there = replace(full, told={**(full.told or {}), **told})
    shown_row = re.sub(r"\s+", " ", shown(sections.origin(there)))
    assert f"Slices that the share is of {row} " in shown_row
    none = replace(there, told={**(there.told or {}), "end_slices": 0.0})
    words = shown(sections.origin(none)) + shown(sections.methods(none))
    assert "Slices that the share is of" not in words
    assert "left empty" not in words


@pytest.mark.parametrize("odd", [10**400, -1, float("inf"), float("nan"), True, "0.5", None])
def test_what_is_no_number_in_a_report_is_left_out(
    odd: object, full: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON's integers are of any size."""
    names = ("threshold", "lesion_peak", "min_lesion_mm3", "end_slices", "volume_ml")
    told = dict.fromkeys(names, odd)
    assert citing.marked("balanced", told) == []
    assert not [one for one in facts_of(monkeypatch, told=told).warnings if "tells of" in one]
    assert reading._number(odd) is None
    assert "were marked" not in told_methods(full, **told)


@pytest.mark.parametrize("bare", [True, False])
def test_all_that_is_shown_is_cited_and_all_that_is_cited_listed(
    bare: bool, full: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = facts_of(monkeypatch, bare=True) if bare else full
    paragraph, references = words.methods(there)
    cited = [int(n) for group in re.findall(r"\[([\d, ]+)\]", paragraph) for n in group.split(", ")]
    assert set(cited) == set(range(1, len(references) + 1))
    assert list(dict.fromkeys(cited)) == sorted(set(cited))  # numbered as they come
    assert len(set(references)) == len(references)
    page = shown(single.made(there)).partition("Methods and references")[0]
    everything = " ".join(references)
    rules = {
        fazekas.RULE: "Noh", fazekas.VOLUME_RULE: "Joo", fazekas.RANGES_RULE: "TP208",
        "WMH as STRIVE counts": "Wardlaw", "Continuity with the ventricle": "Kim",
        "Within 10 mm": "DeCarli", "within 2 mm": "SHiVAi", "Fazekas": "Fazekas",
        "disagreement of the networks": "Molchanova",
    }  # fmt: skip
    found = {name for name in rules if name in page}
    assert len(found) == (3 if bare else len(rules))
    for name in found:
        assert rules[name] in everything, name
    assert "NiiVue" in everything


def test_rules_have_the_sources_that_the_documentation_names() -> None:
    page = (ROOT / "docs" / "measures.md").read_text("utf-8")
    listed = dict(re.findall(r"^(\d+)\. (\w+)", page.partition("## References")[2], re.M))
    for rule, (_, sources) in citing.PLACES.items():
        (row,) = re.findall(rf"^\| `{rule}` \|.*\|(.*)\|$", page, re.M)
        names = [listed[number] for number in re.findall(r"\[(\d+)\]", row)]
        assert len(names) == len(sources)
        for name in names:
            assert any(name in source for source in sources), (rule, name)


def test_rules_of_our_own_are_told_with_their_numbers() -> None:
    """Those that have no publication: none may change, or come, without the documentation."""
    page = (ROOT / "docs" / "measures.md").read_text("utf-8")
    ours = page.partition("### Rules of our own")[2].partition("\n## ")[0]
    low, high = uncertainty.around(0.5)
    assert f"{high - 0.5:g} below and above" in ours
    assert low == pytest.approx(0.5 - (high - 0.5))
    first, second, *_, last = uncertainty.THRESHOLDS
    assert f"{first} to {last} in steps of {second - first:g}" in ours
    numbers = [STRUCTURES.index(name) for name in anatomy.INTRACRANIAL]
    assert f"{min(numbers)} to {max(numbers)} of the anatomy" in ours
    assert f"more than {measure._MOST_UNLIKELY:.0%}".replace("%", " %") in ours
    for what in ("infratentorial", "deep_grey", "agreement_of_members", "MNI", "atlas", "diameter"):
        assert what in ours
    # Every number in brackets is in the list, and every entry is used.
    text, _, listed = re.sub(r"```.*?```", "", page, flags=re.S).partition("## References")
    used = {int(n) for group in re.findall(r"\[(\d+(?:, \d+)*)\]", text) for n in group.split(", ")}
    assert used == {int(n) for n in re.findall(r"^(\d+)\.", listed, re.M)}


def test_the_model_of_structures_is_named(full: Facts) -> None:
    """Where one has named them; a file is none, whatever it is called."""

    def told(source: str, model: AnatomyModel | None) -> str:
        known = replace(full.measures.scene.anatomy, source=source, model=model)  # type: ignore[type-var]
        scene = replace(full.measures.scene, anatomy=known)
        facts = replace(full, measures=replace(full.measures, scene=scene))
        return shown(sections.origin(facts) + sections.methods(facts))

    words = told("model anatomy-x", AnatomyModel("anatomy-x", "12" * 32))
    assert words.count("anatomy-x") == 2
    assert "12" * 32 in words
    assert "named by the model anatomy-x" in words
    words = told("model 3/seg.nii.gz", None)
    assert "Structures of the head were named" not in words
    assert "name where the anatomy is from" in words


def test_ranges_say_that_they_are_counted_before_lesions_are_removed(full: Facts) -> None:
    assert "counted before the rules" in shown(sections.summary(full))
    assert "before any lesion is removed" in shown(sections.uncertainty(full))


def test_the_place_of_a_lesion_names_its_rule(full: Facts) -> None:
    assert "Place (continuity)" in shown(sections.lesions(full))
