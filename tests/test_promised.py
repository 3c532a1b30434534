"""What docs/stability.md promises is what the code has: nothing goes, or comes, unnoticed."""

from __future__ import annotations

import argparse
import json
import re

import pytest
from conftest import ROOT

import wmhseg
from docs.site import promised
from wmhseg import errors
from wmhseg.cli import main as cli
from wmhseg.measuring import saving
from wmhseg.reporting import report
from wmhseg.weights import preset

LISTED = json.loads(promised.LIST.read_text("utf-8"))
PAGE = (ROOT / "docs" / "stability.md").read_text("utf-8")
RENEW = "after reading docs/stability.md: python -m docs.site.promised --write"


def differences(listed: object, found: object, place: str = "") -> list[str]:
    """Where two values of JSON part, in words."""
    if isinstance(listed, dict) and isinstance(found, dict):
        return [
            line
            for name in {**listed, **found}
            for line in differences(listed.get(name), found.get(name), f"{place} {name}")
        ]
    if isinstance(listed, list) and isinstance(found, list) and sorted(listed) != sorted(found):
        gone, came = sorted({*listed} - {*found}), sorted({*found} - {*listed})
        return [f"{place}: gone {gone}, new {came}"]
    return [] if listed == found else [f"{place}: {listed} is now {found}"]


def test_nothing_promised_has_gone_and_all_is_listed() -> None:
    found = promised.promised()
    assert differences(LISTED, found) == [], RENEW
    assert promised.LIST.read_text("utf-8") == promised.text(found), RENEW


def test_differences_are_seen() -> None:
    old = {"python": {"segment": ["flair", "t1"]}, "exit_codes": {"A": 80}, "forms": {"report": 1}}
    new = {"python": {"segment": ["flair", "t2"]}, "exit_codes": {"A": 81}, "forms": {}}
    assert differences(old, new) == [
        " python segment: gone ['t1'], new ['t2']",
        " exit_codes A: 80 is now 81",
        " forms report: 1 is now None",
    ]


def test_the_list_is_the_public_names() -> None:
    """Each public name is promised, an error or warning, or said to be an experiment."""
    for name in wmhseg.__all__:
        if name in promised.EXPERIMENTAL_NAMES:
            assert re.search(rf"`(wmhseg\.)?{name}`", PAGE.split("**Not promised yet**")[1])
        elif name != "__version__" and not hasattr(errors, name):
            assert name in LISTED["python"]
    raised = {n for n, e in vars(errors).items() if isinstance(e, type) and "exit_code" in vars(e)}
    assert set(LISTED["exit_codes"]) == raised
    assert LISTED["python"]["segment"][:2] == ["flair", "t1"]
    assert {"mask", "probability", "report", "save"} <= set(LISTED["python"]["Segmentation"])
    assert LISTED["exit_codes"]["MissingFileError"] == 80


def test_the_list_is_the_options() -> None:
    known = {parser.prog: parser for parser in cli.parsers()}
    assert set(LISTED["commands"]) == set(known)
    assert {"wmhseg", "wmhseg segment", "wmhseg models import"} <= set(known)
    assert "--flair" in LISTED["commands"]["wmhseg segment"]
    assert "TABLE|DIR" in LISTED["commands"]["wmhseg batch"]
    for option in promised.EXPERIMENTAL_OPTIONS:
        assert f"`{option}`" in PAGE.split("**Not promised yet**")[1]
        assert any(option in parser._option_string_actions for parser in known.values())


def test_options_that_go_are_not_listed() -> None:
    parser = argparse.ArgumentParser(prog="p")
    parser.add_argument("--old", help=argparse.SUPPRESS)
    parser.add_argument("--new", "-n", help="it is there")
    parser.add_argument("scan")
    assert promised.names_of(parser) == ["--help", "--new", "SCAN"]


@pytest.mark.parametrize(
    ("form", "number"),
    [
        ("report (`result.json`)", report.SCHEMA),
        ("`measures.json`", saving.SCHEMA),
        ("`preset.json` of a model", preset.FORMAT),
    ],
)
def test_the_page_tells_the_numbers_of_the_forms(form: str, number: int) -> None:
    assert f"| {form} | {number} |" in PAGE


@pytest.mark.parametrize("name", ["report", "measures"])
def test_the_schemas_have_those_numbers(name: str) -> None:
    path = ROOT / "wmhseg" / "data" / f"{name}.schema.json"
    schema = json.loads(path.read_text("utf-8"))
    listed = LISTED["forms"]["measures.json" if name == "measures" else name]
    assert schema["properties"]["schema"]["const"] == listed
    assert schema["additionalProperties"] is False  # closed, as the page says
    assert "wmhseg" in schema["properties"]["versions"]["required"]


def test_what_is_deprecated_now_stands_on_the_page() -> None:
    """Hidden options are old names; the page lists them, and says so if there is none."""
    old = {
        name
        for parser in cli.parsers()
        for action in parser._actions
        if action.help == argparse.SUPPRESS
        for name in action.option_strings
    }
    (line,) = re.findall(r"^Deprecated now: (.*)$", PAGE, re.M)
    assert set(re.findall(r"`(--[a-z0-9-]+)`", line)) == old
    assert (line == "nothing.") == (not old)
