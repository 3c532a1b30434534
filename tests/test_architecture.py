"""Who may import whom: the table below is the design."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "wmhseg"

# Module -> the modules of this package it may import. A module that is not here fails the test.
# The pipeline runs one way: images, geometry, intensity, ensemble, lesions know nothing of each
# other beyond what stands here, and nothing imports the command line.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "geometry": {"errors"},
    "files": {"errors"},
    "gunzip": set(),
    "nifti": {"errors", "geometry", "gunzip"},
    "images": {"errors", "files", "geometry", "nifti"},
    "preset": {"errors"},
    "intensity": {"errors", "preset"},
    "lesions": {"preset"},
    # What is told about scans before anything is computed.
    "headers": {"nifti"},
    "contrast": {"geometry", "images", "intensity"},
    "doctor": {"contrast", "errors", "geometry", "headers", "images", "intensity", "nifti"},
    "metrics": {"errors"},
    "ranking": {"errors"},
    "statistics": {"errors"},
    "runtime": {"errors"},
    "weights": {"errors", "files", "preset"},
    "keras2": {"errors"},
    "networks.blocks": set(),
    "networks.unet": {"networks.blocks"},
    "networks.stacknet": {"networks.blocks"},
    "networks": {"errors", "networks.unet", "networks.stacknet"},
    "ensemble": {"errors", "networks", "preset", "runtime", "weights"},
    "report": {"", "geometry", "lesions", "preset", "runtime"},
    "pipeline": {
        "doctor", "ensemble", "errors", "geometry", "images", "intensity", "lesions", "preset",
        "report", "runtime", "weights",
    },
    "importing": {"errors", "keras2", "networks", "preset", "runtime", "weights"},
    "demo": {"images"},
    # Many subjects.
    "workers": set(),
    "batch": {
        "", "errors", "evaluation", "files", "pairs", "pipeline", "runtime", "weights", "workers",
    },
    # Scoring: a pair of masks -> scores -> a table -> what it says.
    "console": set(),
    "pairs": {"errors"},
    "official": {"errors"},
    "scores": {"errors", "files", "metrics", "official", "pairs"},
    "evaluation": {"", "errors", "images", "metrics", "official", "pairs", "runtime", "scores"},
    "summary": {"", "files", "metrics", "pairs", "scores", "statistics"},
    "comparison": {"errors", "ranking", "scores", "statistics", "summary"},
    "figures": {"errors", "metrics", "scores", "summary"},
    "cli": {
        "", "cli_evaluation", "cli_scans", "console", "demo", "ensemble", "errors", "images",
        "importing", "pipeline", "preset", "report", "weights",
    },
    "cli_evaluation": {
        "comparison", "console", "errors", "evaluation", "figures", "files", "official", "pairs",
        "scores", "statistics", "summary",
    },
    "cli_scans": {
        "batch", "console", "doctor", "errors", "files", "images", "pairs", "pipeline", "report",
        "weights",
    },
    "__main__": {"cli"},
    "": {"pipeline"},
    "training": set(),
    "training.losses": set(),
    # A synthetic scan: head -> anatomy -> hyperintensities -> appearance -> acquisition.
    "training.arrays": set(),
    "training.noise": set(),
    "training.recipe": {"preset"},
    "training.heads": {"errors", "geometry", "images"},
    "training.anatomy": {"training.heads", "training.noise", "training.recipe"},
    "training.hyperintensities": {
        "training.anatomy", "training.heads", "training.noise", "training.recipe",
    },
    "training.appearance": {"training.anatomy", "training.heads", "training.noise"},
    "training.acquisition": {"training.anatomy", "training.heads", "training.noise"},
    "training.synthesis": {
        "intensity", "preset", "training.acquisition", "training.anatomy", "training.appearance",
        "training.heads", "training.hyperintensities", "training.noise", "training.recipe",
    },
    "training.fit": {
        "networks", "runtime", "training.heads", "training.losses", "training.noise",
        "training.recipe", "training.synthesis", "weights",
    },
    "training.starter": {"networks", "preset", "training.fit", "weights"},
}  # fmt: skip

# Heavy or special packages, and the only modules that may name them.
OUTSIDE: dict[str, set[str]] = {
    "SimpleITK": {"images", "pipeline"},  # the pipeline for type annotations only
    "keras": {"networks.blocks", "networks.unet", "networks.stacknet", "networks", "runtime",
              "ensemble", "weights", "training.losses", "training.fit"},
    "tensorflow": {"runtime"},
    "torch": {"runtime", "training.arrays"},
    "array_api_compat": {"training.arrays"},
    "jax": {"runtime"},
    "h5py": {"keras2"},
    "safetensors": {"weights"},
    "matplotlib": {"figures"},
}  # fmt: skip
FORBIDDEN = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "yaml"}


def name_of(path: Path) -> str:
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    """Full dotted names of everything a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                inside = (ROOT / full.replace(".", "/")).with_suffix(".py").exists() or (
                    ROOT / full.replace(".", "/")
                ).is_dir()
                found.add(full if inside else node.module)
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_follow_the_table(path: Path) -> None:
    name = name_of(path)
    assert name in ALLOWED, f"{name} is not in the table of this test"
    inner = {
        full.removeprefix("wmhseg").removeprefix(".")
        for full in imports_of(path)
        if full == "wmhseg" or full.startswith("wmhseg.")
    }
    assert inner <= ALLOWED[name], f"{name} may not import {sorted(inner - ALLOWED[name])}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_packages_stay_in_their_rooms(path: Path) -> None:
    name = name_of(path)
    roots = {full.split(".")[0] for full in imports_of(path)}
    assert not roots & FORBIDDEN
    for package, rooms in OUTSIDE.items():
        assert package not in roots or name in rooms, f"{name} may not import {package}"


def test_the_table_names_no_ghosts() -> None:
    assert set(ALLOWED) == {name_of(path) for path in MODULES}


def test_nothing_imports_training() -> None:
    for path in MODULES:
        if not name_of(path).startswith("training"):
            assert not any(full.startswith("wmhseg.training") for full in imports_of(path))


def test_functions_stay_small() -> None:
    """At most 6 arguments, and about 40 statements a function."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                count = len([a for a in arguments if a.arg not in ("self", "cls")])
                statements = sum(isinstance(n, ast.stmt) for n in ast.walk(node)) - 1
                where = f"{name_of(path)}.{node.name}"
                assert count <= 6, f"{where} has {count} arguments"
                assert statements <= 48, f"{where} has {statements} statements"
