"""Options of several commands: their choices and defaults are those of the records."""

from __future__ import annotations

import argparse
import importlib
from dataclasses import asdict, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from wmhseg.cli import options
from wmhseg.cli.main import main
from wmhseg.preparation.steps import Steps
from wmhseg.segmentation.options import Options

ASKED_BY_COMMANDS = {"members", "anatomy"}
"""What is kept besides the mask: commands ask for it where something that is written needs it."""


def parser(*, many: bool = False) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    options.add_running(made, many=many)
    return made


def choices(record: type[Any]) -> dict[str, tuple[str, ...]]:
    """Field -> what it may be, of the fields that have choices."""
    hints = get_type_hints(record)
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}


def offered(made: argparse.ArgumentParser) -> dict[str, tuple[str, ...]]:
    return {action.dest: tuple(action.choices) for action in made._actions if action.choices}


def test_every_choice_is_offered() -> None:
    assert len(choices(Steps)) == 4  # and pixel_size, which may be a number as well
    assert offered(parser(many=True)) == choices(Options) | choices(Steps)


def test_one_scan_is_computed_in_the_precision_that_was_named() -> None:
    """Those who segment one scan, and the organisers, get float32 unless they say otherwise."""
    one, many = offered(parser()), offered(parser(many=True))
    assert [name for name in many if one[name] != many[name]] == ["precision"]
    assert set(many["precision"]) - set(one["precision"]) == {"auto"}


def test_without_arguments_all_is_as_in_python() -> None:
    assert options.options_of(parser().parse_args([])) == Options()


@pytest.mark.parametrize("name", ["segment", "challenge", "batch", "bids"])
def test_every_command_that_segments_has_the_same_options(name: str) -> None:
    """What is done is decided by options and the model's preset, never by the command."""
    made, common = argparse.ArgumentParser(), parser(many=name in ("batch", "bids"))
    importlib.import_module(f"wmhseg.cli.{name}").COMMANDS[name](made)
    defaults = {action.dest: action.default for action in made._actions}
    for action in common._actions:
        if action.dest == "json":
            assert action.dest in defaults
        elif action.dest != "help":
            assert defaults[action.dest] == action.default, action.dest
    assert offered(common).items() <= offered(made).items()


def test_every_option_arrives() -> None:
    wanted = Options(
        device="cpu",
        threads=3,
        batch=2,
        intensity_scale="keep",
        threshold=0.25,
        min_lesion_mm3=7.0,
        lesion_peak=0.5,
        reader="sparing",
        flips="on",
        temperature=1.5,
        engine="keras",
        precision="bf16",
        on_unsuitable="warn",
        steps=Steps(
            reorient="off",
            pixel_size=1.5,
            bias_correction="on",
            registration="header",
            on_registration_failure="flair-only",
        ),
    )
    given = asdict(wanted)
    given |= given.pop("steps")
    for name in ASKED_BY_COMMANDS:
        del given[name]
    given["min_lesion"] = given.pop("min_lesion_mm3")
    words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    assert options.options_of(parser().parse_args(words)) == wanted
    # None of them is left at its default, or the test would not see that it got lost.
    names = {f.name for f in fields(Options)} - ASKED_BY_COMMANDS
    assert not any(getattr(wanted, name) == getattr(Options(), name) for name in names)
    assert not any(getattr(wanted.steps, f.name) == f.default for f in fields(Steps))


@pytest.mark.parametrize("record", [Options, Steps])
def test_the_first_value_of_each_switch_is_its_default(record: type[Any]) -> None:
    """Help and documents list it first."""
    allowed = choices(record)
    assert allowed
    made = record()
    assert {name: getattr(made, name) for name in allowed} == {
        name: values[0] for name, values in allowed.items()
    }


def test_what_only_heavy_modules_know_is_repeated_rightly(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The help of a command does not wait for NumPy."""
    from wmhseg.cli import scoring, training
    from wmhseg.scoring import summary
    from wmhseg.training.fit import Running
    from wmhseg.weights.importing import Import

    made = argparse.ArgumentParser()
    scoring.COMMANDS["evaluate"](made)
    assert offered(made)["role"] == tuple(summary.ROLES)
    made = argparse.ArgumentParser()
    training.COMMANDS["train"](made)
    given, told = vars(made.parse_args([])), {a.dest: a.help for a in made._actions}
    for name, value in asdict(Running()).items():
        if name.endswith("_every"):
            assert (given[name], told[name]) == (None, f"default: {value}")
        else:
            assert given[name] == value
    importing = Import("some-model")
    with pytest.raises(SystemExit):
        main(["models", "import", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"default: {importing.method})" in text
    assert f"default: {importing.network})" in text
