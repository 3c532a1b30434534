"""What users call: complete, typed, documented with examples that run, and light to import."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk
from conftest import ROOT, Phantom

import wmhseg
from wmhseg import errors
from wmhseg.datasets import demo

TREE = ast.parse((ROOT / "wmhseg" / "__init__.py").read_text(encoding="utf-8"))
PUBLIC = {name: getattr(wmhseg, name) for name in wmhseg.__all__ if name != "__version__"}
ERRORS = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.WmhsegError)
}


def literal(name: str) -> Any:
    """The value of a name at the top of the package, as it is written there."""
    for node in TREE.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


def imported(body: list[ast.stmt]) -> dict[str, str]:
    """Name -> module of everything that a block imports from the package."""
    return {
        alias.name: node.module or ""
        for node in body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wmhseg")
        for alias in node.names
    }


def test_names_are_those_that_editors_see() -> None:
    """``__all__``, the lazy table and the imports for type checkers tell the same."""
    lazy, names = literal("_LAZY"), literal("__all__")
    checking = next(node for node in TREE.body if isinstance(node, ast.If))
    assert ast.unparse(checking.test) == "TYPE_CHECKING"
    assert imported(checking.body) == lazy
    assert sorted({*lazy, *imported(TREE.body)}) == sorted(names) == dir(wmhseg)
    assert len(set(names)) == len(names)
    assert set(names) > ERRORS
    for name, module in lazy.items():
        value = getattr(wmhseg, name)
        assert value is getattr(importlib.import_module(module), name)
        assert value.__module__ == module  # where it lives, not where it is passed on
    with pytest.raises(AttributeError, match="no attribute 'segments'"):
        _ = wmhseg.segments  # type: ignore[attr-defined]


def callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public functions and classes, and the public methods and properties of these."""
    for name, value in PUBLIC.items():
        yield name, value
        if isinstance(value, type):
            for inner, member in vars(value).items():
                # A record's is made of its attributes, which the class describes.
                made = inner == "__init__" and dataclasses.is_dataclass(value)
                if not made and (inner == "__init__" or not inner.startswith("_")):
                    function = member.fget if isinstance(member, property) else member
                    if inspect.isfunction(function):
                        yield f"{name}.{inner}", function


@pytest.mark.parametrize(("name", "value"), list(callables()))
def test_hints_can_be_read(name: str, value: Callable[..., Any]) -> None:
    hints = typing.get_type_hints(value)
    if not isinstance(value, type):
        arguments = set(inspect.signature(value).parameters) - {"self"}
        assert hints.keys() == {*arguments, "return"}


@pytest.mark.parametrize("name", PUBLIC)
def test_options_are_given_by_name(name: str) -> None:
    """Only what is a matter of course goes by position."""
    if name in ("Options", "Steps"):
        kinds = {p.kind for p in inspect.signature(PUBLIC[name]).parameters.values()}
        assert kinds == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(("name", "value"), list(callables()))
def test_all_that_is_public_is_described(name: str, value: Callable[..., Any]) -> None:
    assert re.match(r"[^\n]+[.:;]", inspect.cleandoc(value.__doc__ or "")), name


def test_what_says_how_to_run_is_light() -> None:
    """The command line reads choices and defaults from it before anything is computed."""
    code = """
import sys, wmhseg
wmhseg.Options(steps=wmhseg.Steps(registration="off"))
print(sorted({"numpy", "scipy", "SimpleITK", "keras", "openvino"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


@pytest.fixture
def demo_case(
    tmp_path: Path, models_folder: Path, anatomy_model: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with half of the package's case, and default models that are fast."""
    case = demo.write_case(tmp_path)
    for name in ("FLAIR.nii.gz", "T1.nii.gz"):
        scan = sitk.ReadImage(str(case / "pre" / name))
        sitk.WriteImage(scan[:, :, 12:36], str(tmp_path / name))
    model = shutil.copytree(models_folder / "bright", tmp_path / "models" / "mixed-tuned")
    preset = json.loads((model / "preset.json").read_text(encoding="utf-8"))
    preset |= {"name": "mixed-tuned", "members": preset["members"][:1]}
    (model / "preset.json").write_text(json.dumps(preset), encoding="utf-8")
    shutil.copytree(anatomy_model, tmp_path / "models" / anatomy_model.name)
    monkeypatch.setenv("WMHSEG_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_examples_run(demo_case: Path) -> None:
    """Every public name that is no child of WmhsegError has one."""
    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner()
    shown = {name: PUBLIC[name] for name in PUBLIC if name not in ERRORS - {"WmhsegError"}}
    for name, value in {"wmhseg": wmhseg, **shown}.items():
        (example,) = finder.find(value, name, globs={})
        assert example.examples, f"{name} has no example"
        runner.run(example)
    assert runner.failures == 0
    assert (demo_case / "out" / "wmh.png").is_file()


def modules_with_examples() -> list[str]:
    """Modules that show examples of more than public names, which have a test of their own."""
    finder, found = doctest.DocTestFinder(), []
    for path in sorted((ROOT / "wmhseg").rglob("*.py")):
        if ">>>" in path.read_text("utf-8"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if any(_own_examples(finder, name)):
                found.append(name)
    return found


def _own_examples(finder: doctest.DocTestFinder, name: str) -> Iterator[doctest.DocTest]:
    shown = {f"{value.__module__}.{value.__qualname__}" for value in PUBLIC.values()} | {"wmhseg"}
    for test in finder.find(importlib.import_module(name), name):
        if test.examples and test.name not in shown:
            yield test


def test_inner_examples_are_found() -> None:
    assert "wmhseg.geometry" in modules_with_examples()


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_of_inner_modules_run(name: str, demo_case: Path) -> None:
    runner = doctest.DocTestRunner()
    for test in _own_examples(doctest.DocTestFinder(), name):
        runner.run(test)
    assert runner.tries
    assert runner.failures == 0


def test_the_image_is_labelled_with_the_version() -> None:
    told = re.findall(r"^ARG VERSION=(.+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.M)
    assert told == [wmhseg.__version__]


def test_check_takes_what_segment_takes(phantom: Phantom, tmp_path: Path, use_models: Path) -> None:
    image = sitk.GetImageFromArray(phantom.flair)
    image.SetSpacing(phantom.spacing_mm[::-1])
    sitk.WriteImage(image, str(tmp_path / "f.nii"))
    sentences = [
        {f.text for f in wmhseg.check(source, **more)}
        for source, more in (
            (image, {}),
            (phantom.flair, {"spacing_mm": phantom.spacing_mm}),
            (str(tmp_path / "f.nii"), {}),
            (wmhseg.segment(image, model="bright").flair, {}),
        )
    ]
    assert sentences[0] == sentences[1] == sentences[3]
    assert sentences[0] < sentences[2]  # the header of a file tells more
    with pytest.raises(wmhseg.UsageError, match=r"spacing_mm=\(slice, row, column\)"):
        wmhseg.check(phantom.flair)
    with pytest.raises(wmhseg.UsageError, match="arrays only"):
        wmhseg.check(image, spacing_mm=phantom.spacing_mm)


def test_docs_name_the_public_names_alone() -> None:
    """No page sends a user to an inner module, but to run one as a program."""
    wings = "|".join(p.stem for p in (ROOT / "wmhseg").iterdir() if p.stem != "errors")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        inner = re.findall(rf"(?<!-m )\bwmhseg\.(?:{wings})\b[\w.]*", text)
        assert inner == [], page.name
        # Files with images, not names.
        for name in re.findall(r"\bwmhseg\.(?!(?:sif|tar)\b)([A-Za-z_]+)\b(?!\.\w|/)", text):
            assert name in wmhseg.__all__ or f"-m wmhseg.{name}" in text, f"{page.name}: {name}"
