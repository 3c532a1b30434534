"""What help and wrong arguments say: every option explained, examples that work, near names."""

from __future__ import annotations

import argparse
import shlex

import pytest

from wmhseg.cli import main as cli
from wmhseg.cli.main import main

COMMANDS = list(cli._COMMANDS)


def parser_of(command: str) -> argparse.ArgumentParser:
    top = cli._parser(command)
    return next(
        action.choices[command]
        for action in top._actions
        if isinstance(action, argparse._SubParsersAction)
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_is_explained(command: str) -> None:
    made = parser_of(command)
    unexplained = [action.dest for action in made._actions if not action.help]
    assert unexplained in ([], ["action"])  # "models" has actions below it


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_the_help_are_understood(command: str) -> None:
    lines = (parser_of(command).epilog or "").splitlines()
    assert lines[0] == "examples:"
    for line in lines[1:]:
        words = shlex.split(line)
        assert words[:2] == ["wmhseg", command]
        assert cli._parsed(words[1:]).command == command


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_tells_the_defaults(command: str) -> None:
    """Of every option that has one which is a word or a number."""
    made = parser_of(command)
    text = " ".join(made.format_help().split())
    for action in made._actions:
        plain = isinstance(action.default, (str, int, float))
        if plain and not isinstance(action.default, bool) and action.default != argparse.SUPPRESS:
            assert f"default: {action.default}" in text, action.dest


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("segment --flar f --output o", 'An option of "wmhseg segment" was expected. Received: '
         "--flar. Did you mean --flair?"),
        ("segment --flair f --output o --engne keras", "Did you mean --engine?"),
        ("segment --flair f --output o --zzz", "Received: --zzz. See"),
        ("segment --output o", "--flair was expected."),
        ("segmnt", "Received: segmnt. Did you mean segment?"),
        ("segment --flair f --output o --threshold 2",
         "--threshold: a number from 0 to below 1 was expected. Received: 2."),
        ("segment --flair f --output o --min-lesion inf",
         "--min-lesion: a number was expected. Received: inf."),
        ("segment --flair f --output o --threads 0",
         "--threads: a whole number above 0 was expected. Received: 0."),
        ("segment --flair f --output o --device tpu",
         "--device: one of auto, cpu, gpu was expected. Received: tpu."),
        ("segment --flair", "A value after --flair was expected."),
        ("check a b c", "Nothing more was expected. Received: c."),
        ("batch study --jobs 1.5", "--jobs: a whole number was expected. Received: 1.5."),
    ],
)  # fmt: skip
def test_wrong_arguments_are_answered_in_words(
    words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "bids out participant",
            'participant|group was expected. Received: out participant. See "',
        ),
        ("segment", '--flair, --output were expected. Received: nothing. See "'),
        ("segment --output o", '--flair was expected. Received: --output o. See "'),
        ("segment --flair", 'A value after --flair was expected. Received: --flair. See "'),
    ],
)
def test_what_is_missing_is_told_without_a_guess(
    words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no word that could be near to another one."""
    assert main(words.split()) in (2, 64)  # "bids" has codes of its own
    line = capsys.readouterr().err
    assert told in line
    assert "Did you mean" not in line
