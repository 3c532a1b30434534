"""The definitions for Apptainer and Neurodesk, and the Boutiques descriptor: of this version.

``tests/container/check_apptainer.py`` carries out the first; nobody here can carry out the second,
so its form is held against what neurocontainers' guide to recipes says of it, and its shell lines
against a shell.
"""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from typing import Any

import pytest
from conftest import ROOT

from wmhseg.version import __version__

sys.path.append(str(ROOT / "tests" / "container"))
definition = importlib.import_module("definition")

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
APPTAINER = definition.read()


def docker_environment() -> dict[str, str]:
    (block,) = re.findall(r"^ENV (.*?[^\\])$", DOCKERFILE, re.M | re.S)
    return dict(word.split("=", 1) for word in block.replace("\\\n", " ").split())


def test_apptainer_takes_what_the_dockerfile_takes() -> None:
    (base,) = re.findall(r"^ARG BASE=(.*)$", DOCKERFILE, re.M)
    assert APPTAINER.head == {"Bootstrap": "docker", "From": base}
    for source, target in APPTAINER.files:
        assert (ROOT / source).exists(), source
        assert target.startswith("/")
    sources = {source for source, _ in APPTAINER.files}
    copied = " ".join(re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M))
    assert {"pyproject.toml", "README.md", "wmhseg", "models"} <= sources & set(
        re.findall(r"[\w.-]+", copied)
    )
    assert {"LICENSE", "NOTICE", "requirements-slim.txt", "wmhseg/data/entrypoint.sh"} <= sources


def test_apptainer_removes_what_the_dockerfile_removes() -> None:
    """All but what only the full image has, TensorFlow."""
    place = r"/opt/wmhseg/lib/python3\.\*/site-packages/"
    removed = set(re.findall(place + r"(\S+)", DOCKERFILE)) - {"tensorflow/include"}
    post = APPTAINER.script("post")
    assert set(re.findall(r"\$site/(\S+)", post)) == removed
    assert removed >= {"numpy", "openvino/include", "PIL/_webp.*"}


def test_apptainer_installs_as_the_dockerfile_does() -> None:
    def installs(text: str) -> list[str]:
        found = re.findall(r"-m pip (--python /opt/\S+ install [^&\n]*)", text.replace("\\\n", " "))
        return [" ".join(one.replace("--prefix /package ", "").split()) for one in found]

    assert installs(APPTAINER.script("post")) == installs(DOCKERFILE)
    assert len(installs(DOCKERFILE)) == 2


def test_apptainer_runs_as_the_image_does() -> None:
    wanted, found = docker_environment(), APPTAINER.environment
    assert found.pop("WMHSEG_IMAGE") == f"wmhseg:{__version__}-slim"
    assert found.pop("PYTHONNOUSERSITE") == "1"  # the user's home is seen inside, unlike Docker's
    assert found.items() <= wanted.items()
    # What is missing: Docker's users have no home, and Keras is not in the slim image.
    homes = {"HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"}
    keras = {"KERAS_HOME", "KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL"}
    assert wanted.keys() - found.keys() == homes | keras | {"WMHSEG_IMAGE"}
    assert APPTAINER.labels["org.opencontainers.image.version"] == __version__
    (entry,) = re.findall(r'ENTRYPOINT \["(.*)"\]', DOCKERFILE)
    assert APPTAINER.script("runscript") == f'exec {entry} "$@"\n'


@pytest.mark.parametrize("section", ["post", "runscript", "test"])
def test_apptainer_scripts_are_shell(section: str) -> None:
    script = APPTAINER.script(section)
    done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def recipe() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, of requirements-dev.txt")
    text = (ROOT / "containers" / "neurodesk.yaml").read_text("utf-8")
    return dict(yaml.safe_load(text))


def filled(text: str) -> str:
    return text.replace("{{ context.version }}", __version__)


def test_neurodesk_recipe_has_the_form_of_recipes() -> None:
    """Keys and directives that their guide names, one directive an entry."""
    made = recipe()
    assert set(made) == {
        *("name", "version", "copyright", "architectures", "build", "deploy", "readme"),
    }
    assert (made["name"], made["version"]) == ("wmhseg", __version__)
    assert set(made["architectures"]) <= {"x86_64", "aarch64"}
    build = made["build"]
    assert set(build) == {"kind", "base-image", "pkg-manager", "directives"}
    assert (build["kind"], build["pkg-manager"]) == ("neurodocker", "apt")
    known = {"run": list, "environment": dict, "install": str, "workdir": str, "copy": list}
    for directive in build["directives"]:
        ((name, content),) = directive.items()
        assert isinstance(content, known[name]), name
        items = content.items() if isinstance(content, dict) else enumerate(content)
        assert all(isinstance(value, str) for _, value in items)
    assert set(made["deploy"]) == {"bins", "path"}
    assert "not a medical device" in made["readme"]
    # Braces are for the version alone: whatever else they hold would be filled with nothing.
    text = (ROOT / "containers" / "neurodesk.yaml").read_text("utf-8")
    assert set(re.findall(r"\{\{.*?\}\}", text)) == {"{{ context.version }}"}


def test_neurodesk_recipe_installs_this_package() -> None:
    made = recipe()
    (lines,) = [one["run"] for one in made["build"]["directives"] if "run" in one]
    script = " && ".join(map(filled, lines))
    assert subprocess.run(["sh", "-n"], input=script, text=True).returncode == 0
    assert f"'wmhseg[openvino]=={__version__}'" in script
    (folder,) = set(re.findall(r"/opt/[\w.-]+", script))
    assert list(map(filled, made["deploy"]["path"])) == [f"{folder}/bin/"]
    assert made["deploy"]["bins"] == ["wmhseg"]


def test_the_version_is_the_same_everywhere() -> None:
    """Image, descriptor, definition and recipe; whoever changes it changes all."""
    (docker,) = re.findall(r"^ARG VERSION=(.*)$", DOCKERFILE, re.M)
    descriptor = json.loads((ROOT / "wmhseg" / "data" / "boutiques.json").read_text("utf-8"))
    image = descriptor["container-image"]["image"]
    assert {docker, descriptor["tool-version"], recipe()["version"]} == {__version__}
    assert image == f"wmhseg:{__version__}"
    assert "ARG IMAGE=wmhseg:${VERSION}\n" in DOCKERFILE  # what the descriptor runs


def test_labels_of_the_image_are_those_of_the_standard() -> None:
    labels = set(re.findall(r"org\.opencontainers\.image\.([a-z.]+)=", DOCKERFILE))
    assert labels == {
        *("title", "description", "licenses", "version", "revision", "authors", "vendor"),
        *("ref.name", "base.name"),
    }
    (tool,) = re.findall(r"cyclonedx-bom==(\S+)", DOCKERFILE)
    listed = (ROOT / "tests" / "supply" / "requirements.txt").read_text("utf-8")
    assert f"cyclonedx-bom=={tool}\n" in listed  # one bill, wherever it is made
