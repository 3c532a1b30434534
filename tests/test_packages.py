"""What is imported is declared: by the package, by an extra that errors name, and by every list."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import evaluation
from wmhseg import errors
from wmhseg.cli.main import main
from wmhseg.weights import store

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LISTS = sorted(ROOT.glob("requirements*.txt"))
# As imported -> as installed, where the two differ.
DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "PIL": "pillow",
    "yaml": "pyyaml",
}
# OpenVINO asks for it; it reports to its makers, and is left out on purpose.
LEFT_OUT = {"openvino-telemetry"}
# The project does not install them: the module that imports one says how to get it.
ELSEWHERE = {"nncf": "benchmarks/int8.py"}


def requirements_of(*extras: str) -> dict[str, Requirement]:
    """What the package needs here with extras: name of the distribution -> requirement."""
    found: dict[str, Requirement] = {}
    texts = [*PROJECT["dependencies"]]
    texts += [one for extra in extras for one in PROJECT["optional-dependencies"][extra]]
    for requirement in map(Requirement, texts):
        if requirement.name == "wmhseg":
            found |= requirements_of(*requirement.extras)
        elif requirement.marker is None or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = requirement
    return found


def pinned(path: Path) -> dict[str, str]:
    """Name -> version of every line of a list, and of the list that it takes in."""
    found: dict[str, str] = {}
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("-r "):
            found |= pinned(path.with_name(line[3:]))
        elif line and not line.startswith("#"):
            name, version = line.split("==")
            assert canonicalize_name(name) not in found, f"{path.name}: {name} twice"
            found[canonicalize_name(name)] = version
    return found


def extras_of(path: Path) -> list[str]:
    """The extras that a list is made of, as the command in its head says."""
    (named,) = re.findall(r"^#.*install .*'\.\[(.+)\]'", path.read_text("utf-8"), re.M)
    return str(named).split(",")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0]


def third_party(folder: str) -> dict[str, set[str]]:
    """Package as it is imported -> the modules that do so."""
    ours = {"wmhseg", "evaluation", "benchmarks", "tests", "_typeshed"}
    # Tests import helpers that lie beside them.
    ours |= {path.stem for path in (ROOT / "tests").rglob("*.py")}
    ours |= {path.parent.name for path in (ROOT / "tests").rglob("__init__.py")}
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for name in set(imports(path)) - ours - set(sys.stdlib_module_names):
            found.setdefault(name, set()).add(path.relative_to(ROOT).as_posix())
    return found


@pytest.mark.parametrize("folder", ["wmhseg", "evaluation", "benchmarks"])
def test_what_is_imported_is_declared_or_named_by_an_error(folder: str) -> None:
    always = requirements_of()
    for package, modules in third_party(folder).items():
        name = DISTRIBUTIONS.get(package, package).replace("_", "-").lower()
        if package in ELSEWHERE:
            assert modules == {ELSEWHERE[package]}
        elif name not in always:
            assert package in errors.EXTRAS, f"{package}, of {modules}: no extra brings it"
            brought = requirements_of(errors.EXTRAS[package])
            assert {name, f"{name}-cpu"} & brought.keys(), f"{package}: not in its extra"


def test_what_tests_import_is_in_the_environment_for_tests() -> None:
    brought = {name.removesuffix("-cpu") for name in requirements_of("dev")}
    for package, modules in third_party("tests").items():
        name = DISTRIBUTIONS.get(package, package).replace("_", "-").lower()
        if package not in ELSEWHERE:
            listed = pinned(ROOT / "requirements-dev.txt")
            assert name in brought or name in listed, f"{package}, of {modules}"


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name)
def test_lists_hold_what_their_head_says(path: Path) -> None:
    versions = pinned(path)
    for name, requirement in requirements_of(*extras_of(path)).items():
        assert name in versions, f"{path.name} lacks {name}"
        assert requirement.specifier.contains(versions[name], prereleases=True), requirement


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name)
def test_lists_are_complete(path: Path) -> None:
    """Installed with --no-deps: what a package of a list asks for must be in the list."""
    versions = pinned(path)
    looked_at = 0
    for name, version in versions.items():
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # other kinds of TensorFlow, and CUDA
        if found.version != version:
            continue
        looked_at += 1
        for text in found.requires or ():
            asked = Requirement(text)
            needed = canonicalize_name(asked.name)
            if needed in LEFT_OUT or (asked.marker and not asked.marker.evaluate({"extra": ""})):
                continue
            assert needed in versions, f"{path.name}: {name} asks for {needed}"
            assert asked.specifier.contains(versions[needed], prereleases=True), text
    assert looked_at >= 6


def test_lists_agree() -> None:
    every = [pinned(path) for path in LISTS]
    for versions in every:
        for name, version in versions.items():
            assert {other.get(name, version) for other in every} == {version}, name


def test_the_default_model_travels_in_the_package_and_no_other() -> None:
    """``test_environments`` looks into what is built; it needs an index of packages."""
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]
    targets = targets["build"]["targets"]
    held = [name.strip("/") for name in targets["wheel"]["only-include"]]
    assert held == ["wmhseg", f"models/{store.DEFAULT_MODEL}"]
    assert targets["wheel"]["sources"] == {"models": "wmhseg/models"}
    of_source = [name.strip("/") for name in targets["sdist"]["include"]]
    assert [name for name in of_source if "models" in name] == held[1:]


def test_extras_of_errors_exist() -> None:
    assert set(errors.EXTRAS.values()) <= set(PROJECT["optional-dependencies"])


def test_a_missing_package_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a command fails to import, and wherever: not an internal error."""

    def broken(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'keras.layers'", name="keras.layers")

    monkeypatch.setattr("wmhseg.cli.main._parsed", broken)
    assert main(["models"]) == errors.MissingPackageError.exit_code == 109
    (line,) = capsys.readouterr().err.splitlines()
    assert '"keras"' in line
    assert "pip install 'wmhseg[tensorflow]' (in a clone: pip install '.[tensorflow]')" in line


def test_packages_that_are_always_needed_have_no_extra() -> None:
    assert "pip install 'wmhseg' (in a clone: pip install '.')" in str(
        errors.missing_package("numpy.linalg")
    )


@pytest.mark.parametrize("module", ["evaluation.run", "benchmarks.metrics", "wmhseg"])
def test_programs_without_their_packages_say_so(module: str, tmp_path: Path) -> None:
    """As in a clone that nothing was installed for: -S leaves all packages out."""
    command = [sys.executable, "-S", "-m", module, "models"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={})
    (line,) = done.stderr.splitlines()
    assert line.startswith('wmhseg: error: The Python package "')
    assert done.returncode in (1, errors.MissingPackageError.exit_code)


def test_only_programs_change_how_errors_are_told() -> None:
    assert sys.excepthook is not evaluation.tell_in_one_line


def test_bugs_of_programs_keep_their_trace(capsys: pytest.CaptureFixture[str]) -> None:
    evaluation.tell_in_one_line(ValueError, ValueError("a bug"), None)
    assert capsys.readouterr().err == "ValueError: a bug\n"
    evaluation.tell_in_one_line(errors.UsageError, errors.UsageError("Sense"), None)
    assert capsys.readouterr().err == "wmhseg: error: Sense.\n"
