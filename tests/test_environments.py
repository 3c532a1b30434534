"""Every environment that the docs tell to make has all that the documented commands need.

From the source archive a wheel is built, and from that each environment: those of ``pip install``,
and those of the lists that images get. uv makes them in seconds, as it links files in place of
copying them. All work at once, as each waits for a start of something most of the time. The full
list is the image's and ``make demo``'s: ``tests/container/check_image.py`` and
``tests/first_hour.sh`` run it. The list for GPUs is looked up but not installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import documented
import pytest
from conftest import ROOT
from test_packages import LEFT_OUT, LISTS, extras_of, pinned

from wmhseg.weights import store

pytestmark = pytest.mark.slow

UV = (sys.executable, "-m", "uv")
RELEASE = ROOT / "tests" / "supply" / "release.txt"
MOST_BYTES = 90e6  # registries take 100
PYTHONS = ("3.11", "3.12", "3.13")
# Of images: what tests need besides comes in other kinds (PyTorch for CPUs) from other indices.
OF_IMAGES = [path for path in LISTS if path.name != "requirements-dev.txt"]


@dataclass(frozen=True)
class Environment:
    """One that the docs describe.

    Attributes:
        name: For messages.
        extras: Of the package, with the newest versions that fit.
        pins: A list in their place, installed as the Dockerfile does.
        promised: What ``sandbox.py`` is told that it has.
    """

    name: str
    extras: str = ""
    pins: str = ""
    promised: tuple[str, ...] = ()


# All pages are run in the image, which has both engines: tests/container/check_image.py. Here every
# command's smallest case shows that nothing is missing that it needs, and pages that something is
# refused where it is, or trained with Keras alone.
README, TRAINING = "--only=README.md", "--only=docs/training.md"

ENVIRONMENTS = (
    Environment("openvino", "openvino,plots", promised=(README, TRAINING)),
    Environment("tensorflow", "tensorflow,plots", promised=("--training", TRAINING)),
    # Of the same packages as "openvino", and looked into as the image.
    Environment("slim", pins="requirements-slim.txt", promised=("--smallest",)),
    Environment("dask", "openvino,dask", promised=("--dask",)),
)


def uv(*words: object) -> str:
    done = subprocess.run(
        [*UV, *map(str, words)], cwd=ROOT, capture_output=True, text=True, env=clean()
    )
    assert done.returncode == 0, f"uv {' '.join(map(str, words))}: {done.stderr[-2000:]}"
    return done.stdout


def clean() -> dict[str, str]:
    """The surroundings without what would bring another package than the installed one."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "UV_PYTHON_DOWNLOADS": "never"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source archive, so that this has all that it takes."""
    folder = tmp_path_factory.mktemp("dist")
    held = ("--build-constraints", RELEASE)
    uv("build", "--quiet", *held, "--python", sys.executable, "--out-dir", folder, ROOT)
    (found,) = folder.glob("*.whl")
    assert list(folder.glob("*.tar.gz"))
    return found


def test_the_wheel_carries_the_default_model_alone(wheel: Path) -> None:
    """With all that the model is found by and loaded from, and the index of the others."""
    with zipfile.ZipFile(wheel) as file:
        held = {name for name in file.namelist() if name.startswith("wmhseg/models/")}
        assert "wmhseg/data/models.json" in file.namelist()
    folder = ROOT / "models" / store.DEFAULT_MODEL
    assert held == {f"wmhseg/models/{folder.name}/{path.name}" for path in folder.iterdir()}
    for path in wheel.parent.iterdir():
        assert path.stat().st_size < MOST_BYTES, path.name


def test_registries_would_take_what_is_built(wheel: Path, tmp_path: Path) -> None:
    """As those who know their rules say: texts that can be shown, no stray files."""
    venv.create(tmp_path / "tools", symlinks=True)
    programs = tmp_path / "tools" / "bin"
    tools = [
        f"{name}=={version}"
        for name, version in pinned(RELEASE).items()
        if name in ("twine", "check-wheel-contents")
    ]
    assert len(tools) == 2
    uv("pip", "install", "--quiet", "--python", programs / "python", *tools)
    for words in (
        ("twine", "check", "--strict", *wheel.parent.glob("wmhseg-*")),
        ("check-wheel-contents", wheel),
    ):
        command = [str(programs / words[0]), *map(str, words[1:])]
        done = subprocess.run(command, capture_output=True, text=True, env=clean())
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("platform", ["x86_64-manylinux_2_28", "aarch64-manylinux_2_35"])
@pytest.mark.parametrize("version", PYTHONS)
def test_what_the_package_needs_is_there_as_wheels(platform: str, version: str) -> None:
    """For each Python and processor, within the ranges of pyproject.toml; nothing is installed.

    OpenVINO's wheels for aarch64 need glibc 2.35, which docs/docker.md says.
    """
    told = uv(
        *("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary", ":all:"),
        *("--python-platform", platform, "--python-version", version),
        *("--extra", "openvino", "pyproject.toml"),
    )
    found = {line.split("==")[0] for line in told.splitlines() if "==" in line}
    assert {"numpy", "simpleitk", "openvino", "scikit-image", "h5py"} <= found


@pytest.fixture(scope="module")
def at_work(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Makes all environments, and starts the sandbox in each."""
    folder = tmp_path_factory.mktemp("environments")
    started = {}
    try:
        for one in ENVIRONMENTS:
            place = folder / one.name
            venv.create(place, symlinks=True)
            python = place / "bin" / "python"
            into = ("pip", "install", "--quiet", "--python", python)
            if one.pins:
                uv(*into, "--no-deps", "--requirement", one.pins)
                uv(*into, "--no-deps", wheel)
            else:
                uv(*into, f"wmhseg[{one.extras}] @ {wheel.as_uri()}")
            program = ROOT / "tests" / "sandbox.py"
            started[one.name] = subprocess.Popen(
                [python, program, folder / f"{one.name}-data", *one.promised],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=folder,
                env=clean(),
            )
        yield started
    finally:
        for process in started.values():
            process.kill()
            process.wait()


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda one: one.name)
def test_what_docs_show_runs_in(
    environment: Environment, at_work: dict[str, subprocess.Popen[str]]
) -> None:
    process = at_work[environment.name]
    told, _ = process.communicate(timeout=900)
    print(told)
    assert process.returncode == 0, told
    assert f"/{environment.name}/" in told.splitlines()[0]  # the installed package, not the clone


def test_every_way_to_install_is_tried() -> None:
    """Each ``pip install`` of the docs, and each list that is no other's part."""
    told = set()
    for page in documented.pages():
        told |= set(re.findall(r"[\"'`]\.\[([a-z,]+)\]", page.read_text("utf-8")))
    assert told == {one.extras for one in ENVIRONMENTS if one.extras}
    tried = {one.pins for one in ENVIRONMENTS if one.pins} | {"requirements.txt"}
    looked_up = {"requirements-gpu.txt", "requirements-dev.txt"}
    assert {path.name for path in LISTS} == tried | looked_up


@pytest.mark.parametrize("path", OF_IMAGES, ids=lambda path: path.name)
def test_lists_hold_what_the_index_asks_for_and_no_more(path: Path, tmp_path: Path) -> None:
    """Nothing is installed: what the extras need today, held to the versions of the list."""
    versions = pinned(path)
    held = tmp_path / "held.txt"
    held.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()))
    extras = [word for extra in extras_of(path) for word in ("--extra", extra)]
    platform = ("--python-platform", "x86_64-manylinux_2_28", "--python-version", "3.11")
    told = uv(
        *("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--constraint", held),
        *(*platform, *extras, "pyproject.toml"),
    )
    found = dict(line.split("==") for line in told.splitlines() if "==" in line)
    assert {name: text for name, text in found.items() if name not in LEFT_OUT} == versions
