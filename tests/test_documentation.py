"""Every command that README and docs show is known; ``documented`` finds them.

Those that can be run are run by ``test_environments``, in each environment that the docs tell to
make.
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import documented
import pytest
import sandbox
from conftest import ROOT
from documented import Command

COMMANDS = [one for page in documented.pages() for one in documented.commands(page)]
EXAMPLES = [one for page in documented.pages() for one in documented.examples(page)]
TO_RUN = list(dict.fromkeys(one for one in COMMANDS if one.whole and one.rule == "run"))
# What "docker run" and its like take, as far as the docs use it: with a value, and without.
DOCKER_VALUES = {"-v", "--volume", "-e", "--user", "--network", "--tmpfs", "--gpus", "--name"}


class _Parsed(BaseException):
    """Carries a parser out of the program that has made it."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sandbox.Sandbox]:
    with sandbox.opened(tmp_path_factory.mktemp("sandbox")) as made:
        yield made


def parser_of(words: list[str], monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    """Lets a program parse its words, and stops it there.

    Raises:
        SystemExit: If the words are not its own.
        UsageError: The same, of ``wmhseg``.
    """
    original = argparse.ArgumentParser.parse_args

    def stop(parser: argparse.ArgumentParser, *given: object, **named: object) -> None:
        original(parser, *given, **named)
        raise _Parsed(parser)

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(_Parsed) as caught:
            sandbox.called(words)
    return caught.value.parser


def known_options(words: list[str]) -> set[str]:
    """Every option of a program, as its help tells."""
    program = words[:2] if words[0] == "wmhseg" else words[:3]
    if len(program) == 2 and program[1].startswith("-"):
        program = program[:1]
    if words[:2] == ["wmhseg", "models"] and words[2:3] and words[2].isalpha():
        program = words[:3]
    told = sandbox.Sandbox(Path()).run([*program, "--help"])
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", told)) | {"--help", "-h"}


def check_make(words: list[str]) -> None:
    """A dry run: the target exists, and what it would run is shown."""
    done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    variables = {word.partition("=")[0] for word in words[1:] if "=" in word}
    text = (ROOT / "Makefile").read_text("utf-8")
    assert all(f"$({name})" in text for name in variables), variables


def check_pip(words: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (what,) = words[2:]
    found = re.fullmatch(r"(?:\.|wmhseg)(?:\[([a-z,]+)\])?", what)
    assert found, what
    assert set((found[1] or "").split(",")) - {""} <= project["optional-dependencies"].keys()


def check_docker(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is ours in it: arguments and files of a build, and the command within a container."""
    if words[1] == "build":
        dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
        for option, word in itertools.pairwise(words):
            if option == "--build-arg":
                name, value = word.split("=")
                assert re.search(rf"^ARG {name}\b", dockerfile, re.M)
                assert name != "REQUIREMENTS" or (ROOT / value).exists(), word
                assert name != "MODELS" or value in ("all", "default"), word
        return
    rest = iter(words[2:])
    image = None
    for word in rest:
        if word in DOCKER_VALUES:
            next(rest)
        elif not word.startswith("-"):
            image = word
            break
    inside = [word for word in rest if word != "…"]
    if inside[:1] in (["cat"], ["dpkg"]):  # programs of the image
        return
    if words[1] == "run" and image is not None and inside and image.startswith("wmhseg"):
        parser_of(["wmhseg", *inside], monkeypatch)


def test_no_page_is_overlooked() -> None:
    """Pages that show commands are among those that are read here."""
    read = {page.relative_to(ROOT).as_posix() for page in documented.pages()}
    tracked = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("*/**/*.md")}
    others = {name for name in tracked - read if not name.startswith((".", "build/", "tests/"))}
    for name in others:
        assert not documented.commands(ROOT / name), f"{name}: put it into documented.PAGES"
    assert len(TO_RUN) >= 20
    assert EXAMPLES


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_command_is_known(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a rule, and what is not run for real is at least parsed or looked up."""
    assert command.rule, f"{command}: no rule in documented.RULES"
    words = [word for word in command.words if word != "…"]
    if command.rule == "make":
        check_make(words)
    elif command.rule == "pip":
        check_pip(words)
    elif command.rule == "docker":
        check_docker(words, monkeypatch)
    elif command.rule in ("run", "parse") and not command.whole:
        used = {word.partition("=")[0] for word in words if word.startswith("-")} - {"-m"}
        assert used <= known_options(words), f"{command}: {used - known_options(words)}"
    elif command.rule in ("run", "parse") and not {"--help", "--version"} & set(words):
        filled = command.filled()
        parser_of(filled if filled != ["wmhseg"] else ["wmhseg", "challenge"], monkeypatch)


def test_the_sandbox_tells_failures(box: sandbox.Sandbox) -> None:
    with pytest.raises(sandbox.FailedError, match=r"exit code 80, not \(0,\)"):
        box.run(["wmhseg", "check", "nowhere.nii.gz"])
    with pytest.raises(NameError):
        box.example("segmented")


def test_commands_are_found_as_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Say `wmhseg check\nA.nii` or `wmhseg`.\n\n"
        "```\n$ wmhseg segment \\\n    --flair 'a b'  # this\n"
        "unheard of\n```\n\n    make demo\n\n```text\nwmhseg no\n```\n\n```python\nx = 1\n```\n",
        encoding="utf-8",
    )
    found = documented.commands(page, tmp_path)
    assert [(one.words, one.rule, one.whole) for one in found] == [
        (("wmhseg", "segment", "--flair", "a b"), "run", True),
        (("unheard", "of"), None, True),
        (("make", "demo"), "make", True),
        (("wmhseg", "check", "A.nii"), "run", False),
    ]
    assert [one.code for one in documented.examples(page, tmp_path)] == ["x = 1\n"]
    assert Command("p", ("wmhseg", "rank", "[--output", "DIR]", "/data/x")).filled() == [
        *("wmhseg", "rank", "--output", "made", "data/x"),
    ]
