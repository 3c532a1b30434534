"""The house: wings in layers, no circles, heavy packages in their rooms, rooms of a size.

``benchmarks.wings`` draws the same imports; docs/design.md shows the picture.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from benchmarks import code, house, wings

ROOT = Path(__file__).resolve().parents[1]
MODULES = house.modules(ROOT)
HOUSE = house.house(ROOT)

# From the ground up. A wing may use those below its line, none beside it and none above.
LAYERS = (
    ("leaves",),
    ("io",),
    ("datasets", "networks"),
    ("weights",),
    ("engines", "fetching", "preparation"),
    ("channels", "measures"),
    ("checking",),
    ("reporting",),
    ("segmentation",),
    ("measuring",),
    ("html_report",),
    ("batch", "scoring", "synthesis"),
    ("training", "bids_app", "clusters"),
    ("cli",),
)
LEAVES = {"version", "errors", "deprecation", "geometry", "records", "processors"}
# The public names in one place, and ``python -m wmhseg``: both stand above all wings.
DOORS = {"", "__main__"}
LEVEL = {wing: level for level, wings in enumerate(LAYERS) for wing in wings}

# Heavy or special packages, and the only wings or modules that may name them.
ROOMS: dict[str, set[str]] = {
    "SimpleITK": {"io", "preparation", "synthesis.population"},
    "keras": {"engines", "networks.keras_model", "networks.variables", "training"},
    "openvino": {
        "engines.openvino_core",
        "engines.openvino_graph",
        "engines.openvino_spectral",
    },
    "tensorflow": {"engines.backends"},
    "torch": {"engines.backends", "synthesis.arrays"},
    "array_api_compat": {"synthesis.arrays"},
    "jax": {"engines.backends"},
    "h5py": {"weights.keras2"},
    "safetensors": {"weights.tensor_files"},
    "matplotlib": {"scoring.figures"},
    "distributed": {"clusters.dask_workers"},
    "dask_jobqueue": {"clusters.dask_workers"},
    "rich": {"io.progress"},
    "PIL": {"io.pictures", "reporting.lettering", "reporting.sheet"},
    "skimage": {"channels.making"},
    # The network, which only "wmhseg models get" uses.
    "http": {"fetching.download"},
    "ssl": {"fetching.download"},
    "socket": set(),
    "sklearn": set(),  # the baselines in evaluation/ only
}  # fmt: skip
FORBIDDEN = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "yaml"}

MOST_MODULES, MOST_LINES, MOST_ARGUMENTS, MOST_STATEMENTS = 18, 450, 6, 48
# Each is one room, however long: a file format, another one, a loop.
LONG_ROOMS = {"io.nifti", "weights.keras2", "training.fit"}


def level(name: str) -> int:
    """Which layer a module stands on."""
    if name in DOORS:
        return len(LAYERS)
    return LEVEL["leaves" if name in LEAVES else name.split(".")[0]]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_down(name: str) -> None:
    for other in HOUSE[name]:
        same_wing = other.split(".")[0] == name.split(".")[0] or {name, other} <= LEAVES
        assert level(other) < level(name) or same_wing, f"{name} may not import {other}"


def test_only_the_command_train_loads_the_training() -> None:
    """Whoever segments, scores or checks has no use for it."""
    used = {name: {other.split(".")[0] for other in others} for name, others in HOUSE.items()}
    users = {name for name in used if name.split(".")[0] == "cli" and "training" in used[name]}
    assert users == {"cli.training"}


def test_no_module_imports_itself_in_a_circle() -> None:
    assert house.circles(HOUSE) == []


def test_no_wing_imports_itself_in_a_circle() -> None:
    assert house.circles(house.wings(HOUSE)) == []


def test_every_module_stands_in_a_wing() -> None:
    top = {name for name in MODULES if "." not in name}
    assert top == LEAVES | DOORS | (set(LEVEL) - {"leaves"})


def test_no_arrow_leads_to_the_doors() -> None:
    """The package's root imports what is public: importing it from inside ties a knot."""
    assert [name for name, others in HOUSE.items() if DOORS & others] == []


@pytest.mark.parametrize("name", sorted(MODULES))
def test_heavy_packages_stay_in_their_rooms(name: str) -> None:
    roots = {full.split(".")[0] for full in house.imports(MODULES[name])}
    assert not roots & FORBIDDEN
    for package, rooms in ROOMS.items():
        at_home = name in rooms or name.split(".")[0] in rooms
        assert package not in roots or at_home, f"{name} may not import {package}"


@pytest.mark.parametrize("folder", ["wmhseg", "evaluation", "benchmarks"])
def test_no_folder_is_a_corridor(folder: str) -> None:
    for place in {path.parent for path in (ROOT / folder).rglob("*.py")}:
        held = [path for path in place.glob("*.py") if path.name != "__init__.py"]
        assert len(held) <= MOST_MODULES, f"{place} holds {len(held)} modules"


def test_tests_stand_as_the_wings_do() -> None:
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders <= set(LEVEL) | {"evaluation"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_rooms_and_functions_stay_small(name: str) -> None:
    text = MODULES[name].read_text(encoding="utf-8")
    if name not in LONG_ROOMS:
        assert len(text.splitlines()) <= MOST_LINES, name
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            arguments, statements = code.size(node)
            assert arguments <= MOST_ARGUMENTS, f"{name}.{node.name} has {arguments} arguments"
            assert statements <= MOST_STATEMENTS, f"{name}.{node.name}: {statements} statements"


def test_no_private_name_is_borrowed() -> None:
    """What another module needs has a public name."""
    borrowed = [
        f"{name} takes {node.module}.{alias.name}"
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wmhseg")
        for alias in node.names
        if alias.name.startswith("_") and alias.name != "__version__"
    ]
    assert borrowed == []


def test_the_picture_is_of_today() -> None:
    assert (ROOT / "docs" / "wings.svg").read_text("utf-8") == wings.picture(ROOT), (
        "make a new one: python -m benchmarks.wings"
    )
