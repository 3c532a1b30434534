"""One version in all places, and a changelog that says what it holds."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT

import wmhseg

CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
PROGRAM = ROOT / "tests" / "supply" / "release_notes.py"


@pytest.fixture(scope="module")
def notes() -> ModuleType:
    """The program, as a module: it is run where nothing is installed."""
    spec = importlib.util.spec_from_file_location("release_notes", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_places_name_one_version(notes: ModuleType) -> None:
    told = notes.versions()
    assert set(told.values()) == {wmhseg.__version__}
    assert len(told) == 5
    # What is not looked at here takes it from there.
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_a_release_says_what_is_in_it(notes: ModuleType, tmp_path: Path) -> None:
    assert notes.faults(f"v{wmhseg.__version__}") == []
    output = tmp_path / "made" / "notes.md"
    command = [sys.executable, "-I", PROGRAM, f"v{wmhseg.__version__}", "--output", output]
    subprocess.run(command, check=True)
    text = output.read_text("utf-8")
    assert text.startswith("### Added\n")
    assert "## [" not in text
    assert "[0.1.0]: " not in text


def test_what_does_not_fit_is_named(notes: ModuleType, tmp_path: Path) -> None:
    for name in notes.versions():
        file = "wmhseg/data/boutiques.json" if "boutiques" in name else name
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    docker = tmp_path / "Dockerfile"
    docker.write_text(re.sub(r"(ARG VERSION=).*", r"\g<1>0.0.9", docker.read_text("utf-8")))
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n### Added\n\n- x\n")
    assert notes.faults("v0.0.9", tmp_path) == [
        f"Tag v{wmhseg.__version__} was expected. Received: v0.0.9.",
        f"Dockerfile: {wmhseg.__version__} was expected. Received: 0.0.9.",
        f"CHANGELOG.md: a dated part for {wmhseg.__version__} was expected. Received: none.",
    ]
    done = subprocess.run(
        [sys.executable, "-I", PROGRAM, "v0.0.9"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr


def test_the_changelog_has_its_form(notes: ModuleType) -> None:
    """Keep a Changelog: newest first, dated, six kinds of parts, each once and none empty."""
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.M)
    assert all(notes.HEADING.fullmatch(f"## {heading}") for heading in headings), headings
    versions = [re.findall(r"\[(.*?)\]", heading)[0] for heading in headings]
    dated = [heading.partition(" - ")[2] for heading in headings if "Unreleased" not in heading]
    assert dated == sorted(dated, reverse=True)
    assert all(dated)
    assert "Unreleased" not in versions[1:]
    numbers = [tuple(map(int, one.split("."))) for one in versions if one != "Unreleased"]
    assert numbers == sorted(numbers, reverse=True)
    assert wmhseg.__version__ in versions
    for version in versions:
        _, text = notes.section(version, CHANGELOG)
        kinds = re.findall(r"^### (.*)$", text, re.M)
        assert kinds == [kind for kind in KINDS if kind in kinds], version
        assert kinds, version
        for part in re.split(r"^### .*$", text, flags=re.M)[1:]:
            assert part.strip().startswith("- "), version
