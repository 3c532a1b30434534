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
    "records": set(),
    "preset": {"errors", "records"},
    "intensity": {"errors", "preset"},
    "lesions": {"preset"},
    # What is told about scans before anything is computed.
    "headers": {"nifti"},
    "contrast": {"geometry", "images", "intensity"},
    "doctor": {"contrast", "errors", "geometry", "headers", "images", "intensity", "nifti"},
    "outlines": set(),
    "matching": {"outlines"},
    "metrics": {"errors", "matching", "outlines"},
    "ranking": {"errors"},
    "statistics": {"errors"},
    "runtime": {"errors"},
    "weights": {"errors", "files", "preset"},
    "keras2": {"errors"},
    # A network is described once; Keras and OpenVINO models are made of the description.
    "networks.graph": set(),
    "networks.network": {"networks.graph", "networks.keras_model"},
    "networks.blocks": {"networks.graph"},
    "networks.unet": {"networks.blocks", "networks.graph", "networks.network"},
    "networks.stacknet": {"networks.blocks", "networks.graph", "networks.network"},
    "networks": {
        "errors", "networks.graph", "networks.network", "networks.unet", "networks.stacknet",
    },
    "networks.keras_model": {"networks.graph"},
    "networks.rewriting": {"networks.graph"},
    "engines.interface": {"errors", "networks", "networks.graph", "preset", "runtime", "weights"},
    "engines.keras_engine": {
        "engines.interface", "networks", "preset", "runtime", "weights",
    },
    "engines.openvino_graph": {"networks.graph"},
    "engines.openvino_engine": {
        "engines.interface", "engines.openvino_graph", "networks", "networks.rewriting", "preset",
        "runtime", "weights",
    },
    "engines": {
        "engines.interface", "engines.keras_engine", "engines.openvino_engine", "errors",
        "runtime",
    },
    "ensemble": {"engines.interface", "weights"},
    # Scans as the scanner gave them.
    "resampling": {"errors", "geometry"},
    "itk_threads": set(),
    "registration": {"geometry", "images", "intensity", "itk_threads"},
    "bias": {"images", "intensity", "itk_threads"},
    "raw": {
        "bias", "errors", "geometry", "images", "intensity", "preset", "registration",
        "resampling",
    },
    "preparation": {"errors", "geometry", "images", "intensity", "preset", "weights"},
    "report": {"", "geometry", "lesions", "preset", "runtime"},
    "pipeline": {
        "doctor", "engines", "ensemble", "errors", "geometry", "images", "lesions",
        "preparation", "preset", "raw", "registration", "report", "runtime", "weights",
    },
    "importing": {"errors", "keras2", "networks", "preset", "weights"},
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
        "", "cli_evaluation", "cli_scans", "cli_training", "console", "demo", "errors", "images",
        "importing", "pipeline", "preset", "raw", "report", "weights",
    },
    "cli_evaluation": {
        "comparison", "console", "errors", "evaluation", "figures", "files", "official", "pairs",
        "scores", "statistics", "summary",
    },
    "cli_scans": {
        "batch", "console", "doctor", "errors", "files", "images", "pairs", "pipeline", "report",
        "weights",
    },
    "cli_training": {
        "console", "errors", "files", "pairs", "training.dataset", "training.fit",
        "training.plan", "training.session", "training.split", "training.synthetic_data",
    },
    "__main__": {"cli"},
    "": {"pipeline"},
    "training": set(),
    "training.losses": set(),
    # A synthetic scan: head -> anatomy -> hyperintensities -> appearance -> acquisition.
    "training.arrays": set(),
    "training.noise": {"training.arrays"},
    "training.recipe": {"preset"},
    "training.heads": {"errors", "files", "geometry", "images", "training.arrays"},
    "training.atlas": {"errors", "geometry", "images", "training.heads"},
    "training.prepare": {"errors", "training.atlas", "training.heads"},
    "training.anatomy": {
        "training.arrays", "training.heads", "training.noise", "training.recipe",
    },
    "training.shapes": {
        "training.anatomy", "training.arrays", "training.heads", "training.noise",
    },
    "training.hyperintensities": {
        "training.anatomy", "training.arrays", "training.heads", "training.noise",
        "training.recipe", "training.shapes",
    },
    "training.linear": set(),
    "training.regions": {"training.arrays", "training.noise"},
    "training.contrast": {
        "training.heads", "training.noise", "training.recipe", "training.regions",
    },
    "training.appearance": {
        "training.anatomy", "training.arrays", "training.contrast", "training.heads",
        "training.hyperintensities", "training.noise", "training.regions",
    },
    "training.acquisition": {
        "training.anatomy", "training.arrays", "training.heads", "training.linear",
        "training.noise", "training.recipe",
    },
    "training.synthesis": {
        "intensity", "preset", "training.acquisition", "training.anatomy", "training.appearance",
        "training.arrays", "training.contrast", "training.heads", "training.hyperintensities",
        "training.linear", "training.noise", "training.recipe",
    },
    "training.contact_sheet": {
        "errors", "images", "preparation", "preset", "training.heads", "training.noise",
        "training.recipe", "training.synthesis", "weights",
    },
    # A training: a plan -> data -> batches -> one network after the other -> a model folder.
    "training.plan": {"errors", "preset", "records", "training.recipe"},
    "training.stream": {"errors"},
    "training.growth": set(),
    "training.synthetic_data": {
        "training.heads", "training.plan", "training.stream", "training.synthesis", "weights",
    },
    "training.augment": {"training.plan"},
    "training.split": {"errors", "files", "pairs"},
    "training.dataset": {
        "errors", "files", "images", "pairs", "preparation", "training.augment",
        "training.model_folder", "training.plan", "training.split", "training.stream", "weights",
    },
    "training.journal": {"files"},
    "training.checkpoint": {"errors", "weights"},
    "training.model_folder": {"", "files", "networks", "preset", "training.plan", "weights"},
    "training.look": {
        "engines", "ensemble", "errors", "geometry", "images", "lesions", "metrics", "pairs",
        "preparation", "preset", "runtime", "training.model_folder", "training.plan", "weights",
    },
    "training.fit": {
        "errors", "files", "networks", "runtime", "training.checkpoint", "training.growth",
        "training.journal", "training.look", "training.losses", "training.plan",
        "training.stream", "weights",
    },
    "training.session": {
        "", "errors", "figures", "files", "networks", "runtime", "training.fit",
        "training.journal", "training.look", "training.model_folder", "training.plan",
        "training.stream", "weights",
    },
}  # fmt: skip

# Heavy or special packages, and the only modules that may name them.
OUTSIDE: dict[str, set[str]] = {
    "SimpleITK": {"bias", "images", "itk_threads", "pipeline", "registration",
                  "training.atlas"},
    "keras": {"networks", "networks.keras_model", "networks.network", "runtime", "weights",
              "training.losses", "training.fit", "training.checkpoint"},
    "openvino": {"engines.openvino_graph", "runtime"},
    "tensorflow": {"runtime"},
    "torch": {"runtime", "training.arrays"},
    "array_api_compat": {"training.arrays"},
    "jax": {"runtime"},
    "h5py": {"keras2"},
    "safetensors": {"weights"},
    "matplotlib": {"figures"},
    "sklearn": set(),  # the baselines in evaluation/ only
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


def test_only_its_command_imports_training() -> None:
    for path in MODULES:
        if not name_of(path).startswith("training") and name_of(path) != "cli_training":
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
