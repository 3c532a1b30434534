"""The Boutiques descriptor says what the program takes."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from importlib import resources
from typing import Any

import jsonschema
import pytest
from conftest import ROOT

from wmhseg.bids_app.app import GROUP, PARTICIPANT
from wmhseg.cli import main as cli
from wmhseg.version import __version__

DESCRIPTOR: dict[str, Any] = json.loads(
    (ROOT / "wmhseg" / "data" / "boutiques.json").read_text("utf-8")
)
INPUTS = {one["id"]: one for one in DESCRIPTOR["inputs"]}


def command(**values: str) -> list[str]:
    """The command line, as Boutiques puts it together."""
    line = DESCRIPTOR["command-line"]
    for name, one in INPUTS.items():
        words = " ".join(filter(None, [one.get("command-line-flag"), values.get(name)]))
        line = line.replace(one["value-key"], words if name in values else "")
    return shlex.split(line)


def test_it_is_valid() -> None:
    package = pytest.importorskip("boutiques", reason="needs boutiques, of requirements-dev.txt")
    from boutiques.validator import validate_descriptor

    text = (resources.files(package) / "schema" / "descriptor.schema.json").read_text("utf-8")
    jsonschema.Draft4Validator(json.loads(text)).validate(DESCRIPTOR)
    validate_descriptor(DESCRIPTOR)


def test_it_is_of_this_version() -> None:
    assert DESCRIPTOR["tool-version"] == __version__
    assert DESCRIPTOR["container-image"]["image"] == f"wmhseg:{__version__}"
    assert "Not a medical device" in DESCRIPTOR["description"]
    # What the draft of BIDS wants every program to have.
    assert {"InputDataset", "OutputLocation", "AnalysisLevel", "Help", "ToolVersion"} <= set(INPUTS)


def test_its_command_lines_are_understood() -> None:
    example = {"File": "file", "Flag": "", "Number": "1", "String": "word"}
    values = {name: example[one["type"]] for name, one in INPUTS.items()}
    values |= {"AnalysisLevel": "group", "SubjectLabel": "01 02", "Reader": "sparing"}
    values["Threshold"] = "0.5"
    del values["Help"], values["ToolVersion"]
    program, *words = command(**values)
    assert program == "wmhseg"
    given = vars(cli._parsed(words))
    assert given["command"] == "bids"
    assert (given["data"], given["output"], given["level"]) == ("file", "word", "group")
    assert (given["participant_label"], given["jobs"]) == (["01", "02"], 1)
    assert (given["reader"], given["threshold"], given["force"]) == ("sparing", 0.5, True)
    needed = {name: values[name] for name, one in INPUTS.items() if not one["optional"]}
    assert cli._parsed(command(**needed)[1:]).participant_label == []
    for name in ("Help", "ToolVersion"):
        with pytest.raises(SystemExit) as ended:
            cli._parsed(command(**needed, **{name: ""})[1:])
        assert ended.value.code == 0


def test_its_choices_and_codes_are_the_programs() -> None:
    made = next(
        action.choices["bids"]
        for action in cli._parser("bids")._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    by_flag = {flag: action for action in made._actions for flag in action.option_strings}
    flags = {one["command-line-flag"] for one in INPUTS.values() if "command-line-flag" in one}
    assert flags - {"--version"} <= by_flag.keys()
    assert set(INPUTS["Reader"]["value-choices"]) == set(by_flag["--reader"].choices or ())
    assert INPUTS["AnalysisLevel"]["value-choices"] == [PARTICIPANT, GROUP]
    page = (ROOT / "docs" / "exit-codes.md").read_text("utf-8").partition("## As a BIDS App")[2]
    lines = re.findall(r"^([0-9]+(?:, [0-9]+)?) {2,}", page, re.MULTILINE)
    told = {int(code) for line in lines for code in line.split(", ")}
    assert {one["code"] for one in DESCRIPTOR["error-codes"]} == told - {0}
