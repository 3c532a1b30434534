"""Phantoms and models that several test modules use."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import settings

from wmhseg.networks.graph import Graph
from wmhseg.networks.signature import SCAN, Signature
from wmhseg.networks.uresnet import uresnet
from wmhseg.weights.inputs import WMH_ALONE, Labels, inputs_of_channels
from wmhseg.weights.preset import Member, Preset
from wmhseg.weights.processing import Postprocessing, Preprocessing

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Threads of OpenMP (scikit-learn's, PyTorch's) wait for each other by turning in circles, which
# takes the processors from the tests beside: four times as long for those of boosted trees.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A busy machine is no failure: examples are limited in number, not in time.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


def pytest_configure(config: pytest.Config) -> None:
    """Phantoms are warned of in every run; tests of warnings ask for them."""
    config.addinivalue_line("filterwarnings", "ignore::wmhseg.WmhsegWarning")


ROOT = Path(__file__).resolve().parents[1]


def of_scan(field: tuple[int, int], channels: int) -> Signature:
    """One input layer of some channels, and the probability of one label."""
    return Signature(field, ((SCAN, channels),))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real scans and vectors, which is not part of the project."""
    folder = Path(os.environ.get("WMHSEG_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"needs the folder {folder} (or WMHSEG_SHARED)")
    return folder


@dataclass(frozen=True)
class Phantom:
    """A head of nested boxes: every intensity is known.

    Attributes:
        flair: (slice, row, column) float32: air 2 and a hair more from slice to slice, as a scan
            of a handful of values is taken for a mask; head 300 or 310 in turns, lesion 900.
        t1: Same shape: air as in FLAIR, head 200 or 210 in turns, lesion 150.
        lesions: Where FLAIR is 900.
        spacing_mm: (slice, row, column).
    """

    flair: np.ndarray
    t1: np.ndarray
    lesions: np.ndarray
    spacing_mm: tuple[float, float, float] = (3.0, 1.0, 0.9)


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    flair = np.full((20, 60, 72), 2, np.float32)
    flair += np.arange(20, dtype=np.float32).reshape(-1, 1, 1) / 1024
    t1 = flair.copy()
    checks = np.indices((20, 40, 50)).sum(0) % 2
    head = np.s_[:, 10:50, 12:62]
    flair[head] = 300 + 10 * checks
    t1[head] = 200 + 10 * checks
    lesions = np.zeros(flair.shape, bool)
    lesions[8:10, 20:24, 20:26] = True  # 48 voxels
    lesions[12, 30:32, 40:43] = True  # 6 voxels
    lesions[0, 30:34, 30:34] = True  # in an end slice: removed
    flair[lesions] = 900
    t1[lesions] = 150
    return Phantom(flair, t1, lesions)


def write_scan(path: Path, array: np.ndarray, spacing_mm: tuple[float, float, float]) -> Path:
    """Writes an image of an array (slice, row, column) and returns its path."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing_mm[::-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def write_case(folder: Path, phantom: Phantom, label_2: bool = False) -> Path:
    """Writes the phantom as a case of the challenge's layout; with a patch of label 2 if asked."""
    mask = phantom.lesions.astype(np.uint8)
    if label_2:
        mask[15, 20:25, 20:25] = 2
    write_scan(folder / "pre" / "FLAIR.nii.gz", phantom.flair, phantom.spacing_mm)
    write_scan(folder / "pre" / "T1.nii.gz", phantom.t1, phantom.spacing_mm)
    write_scan(folder / "wmh.nii.gz", mask, phantom.spacing_mm)
    return folder


def threshold_network(channels: int, z: float) -> dict[str, np.ndarray]:
    """Weights of a uResNet that says sigmoid(20 * (max(FLAIR, 0) - z)): bright is WMH.

    FLAIR's positive part is passed through channel 0 of the elements at full resolution to the
    output; all else is 0. Of the networks this is the fastest: an eighth of the U-Net's weights.
    """
    shapes = uresnet(of_scan((64, 64), channels)).variables()
    weights = {path: np.zeros(shape, np.float32) for path, shape in shapes.items()}
    for element in ("down1", "up1", "last"):
        weights[f"{element}_project/kernel"][0, 0, 0, 0] = 1
    weights["output/kernel"][0, 0, 0, 0] = 20
    weights["output/bias"][0] = -20 * z
    return weights


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of three models for 64x64 pixels whose output is known.

    "bright": FLAIR and T1, members at z = 2 and z = 3. "bright-needs-t1": the same, but T1 must
    be there. "bright-flair": FLAIR alone, one member at z = 2.
    """
    from wmhseg.weights import preset, store

    root = tmp_path_factory.mktemp("models")
    method = preset.Preprocessing(field=(64, 64), orientation="LPS")
    for name, channels, without_t1, cuts in (
        ("bright", 2, "zero", (2.0, 3.0)),
        ("bright-needs-t1", 2, "error", (2.0,)),
        ("bright-flair", 1, "error", (2.0,)),
    ):
        parameters = uresnet(of_scan((64, 64), channels)).parameter_count()
        what = preset.Preset(
            format=2,
            name=name,
            description="Bright is WMH.",
            licence="Apache-2.0",
            training_data="none: weights set by hand",
            reference="none",
            inputs=inputs_of_channels(channels, without_t1),
            labels=WMH_ALONE,
            preprocessing=method,
            postprocessing=preset.Postprocessing(threshold=0.5, end_slices=0.1),
            members=tuple(
                preset.Member(f"{i}.safetensors", "0" * 64, "uresnet", {}, parameters)
                for i in range(len(cuts))
            ),
        )
        tensors = [threshold_network(channels, z) for z in cuts]
        store.save_model(root / name, what, tensors, f"# {name}\n")
    return root


@pytest.fixture(scope="session")
def anatomy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of "anatomy-synthetic" for 64x64 pixels: what is not dark is white matter."""
    from wmhseg.weights import store
    from wmhseg.weights.structures import NUMBER, STRUCTURES

    described = uresnet(Signature((64, 64), ((SCAN, 2),), len(STRUCTURES), "softmax"))
    weights = {path: np.zeros(shape, np.float32) for path, shape in described.variables().items()}
    for path, kernel in threshold_network(2, 0.0).items():
        if not path.startswith("output"):
            weights[path] = kernel
    weights["output/kernel"][0, 0, 0, NUMBER["white-matter"]] = 20
    weights["output/bias"][NUMBER["background"]] = 4
    made = make_preset(
        name="anatomy-synthetic",
        labels=Labels(STRUCTURES, "softmax"),
        preprocessing=Preprocessing(field=(64, 64), orientation="LPS"),
        postprocessing=Postprocessing(end_slices=0.0),
        members=(Member("0.safetensors", "0" * 64, "uresnet", {}, described.parameter_count()),),
    )
    folder = tmp_path_factory.mktemp("anatomy") / made.name
    store.save_model(folder, made, [weights], f"# {made.name}\n")
    return folder


def with_stroke(phantom: Phantom) -> tuple[np.ndarray, np.ndarray]:
    """FLAIR with a patch of 1800, 18 voxels beside a lesion of 900 and 8 in an end slice; where."""
    stroke = np.zeros(phantom.flair.shape, bool)
    stroke[9, 24:27, 20:26] = True
    stroke[1, 40:42, 40:44] = True
    return np.where(stroke, np.float32(1800), phantom.flair), stroke


@pytest.fixture(scope="session")
def stroke_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of "bright-stroke": FLAIR alone; bright is WMH, and twice as bright is stroke.

    Scores rise by 1 and by 2 with the z-score of FLAIR: WMH is likely from 5, stroke from 27.
    """
    from wmhseg.weights import preset, store

    labels = Labels(("background", "WMH", "stroke"), "softmax")
    signature = Signature((64, 64), ((SCAN, 1),), 3, "softmax")
    described = uresnet(signature)
    weights = {path: np.zeros(shape, np.float32) for path, shape in described.variables().items()}
    for path, kernel in threshold_network(1, 0.0).items():
        if not path.startswith("output"):
            weights[path] = kernel
    weights["output/kernel"][0, 0, 0] = 0, 1, 2
    weights["output/bias"][:] = 0, -5, -32
    made = make_preset(
        name="bright-stroke",
        description="Bright is WMH, brighter is stroke.",
        inputs=inputs_of_channels(1, "error"),
        labels=labels,
        others=(preset.OtherLabel("stroke"),),
        preprocessing=Preprocessing(field=(64, 64), orientation="LPS"),
        postprocessing=Postprocessing(threshold=0.5, end_slices=0.1),
        members=(
            preset.Member("0.safetensors", "0" * 64, "uresnet", {}, described.parameter_count()),
        ),
    )
    folder = tmp_path_factory.mktemp("stroke") / made.name
    store.save_model(folder, made, [weights], f"# {made.name}\n")
    return folder


@pytest.fixture
def use_models(models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts ``models_folder`` in front of the search path."""
    monkeypatch.setenv("WMHSEG_MODELS", str(models_folder))
    return models_folder


@pytest.fixture
def use_anatomy(use_models: Path, anatomy_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the small model of structures, too, in front of the one of full size."""
    folders = os.pathsep.join([str(use_models), str(anatomy_model.parent)])
    monkeypatch.setenv("WMHSEG_MODELS", folders)


@pytest.fixture
def no_doubts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps quiet about the phantom, whose boxes of four grey values are no head."""
    from wmhseg.checking import examine

    monkeypatch.setattr(examine, "examine", lambda *_: [])


def make_preset(**changes: Any) -> Preset:
    """A valid preset of one member, with some values changed."""
    values: dict[str, Any] = {
        "format": 2,
        "name": "some-model",
        "description": "A model.",
        "licence": "Apache-2.0",
        "training_data": "nothing",
        "reference": "none",
        "inputs": inputs_of_channels(2, "zero"),
        "labels": WMH_ALONE,
        "preprocessing": Preprocessing(field=(16, 24)),
        "postprocessing": Postprocessing(),
        "members": (Member("0.safetensors", "0" * 64, "tiny", {}, 3),),
    }
    return Preset(**(values | changes))


def random_tensors(described: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights that keep the size of what passes through; borders and biases count."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, shape in described.variables().items():
        spread = np.sqrt(2 / np.prod(shape[:3])) if len(shape) == 4 else 0.1
        offset = float(name.endswith(("gamma", "moving_variance")))
        found[name] = (offset + spread * rng.standard_normal(shape)).astype(np.float32)
        if name.endswith("moving_variance"):
            found[name] = np.abs(found[name])
    return found


@pytest.fixture
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Puts "tiny" into the table of networks: sigmoid(a * FLAIR + b * T1 + c), 3 parameters."""
    from wmhseg.networks.catalogue import NETWORKS
    from wmhseg.networks.graph import Convolution, Layer

    def tiny(signature: Signature, *, wide: bool = False) -> Graph:
        scan = signature.only_input()
        middle = Layer(Convolution(4, 1), (scan,), "wide") if wide else scan
        return Graph("tiny", signature.output_layer(middle))

    monkeypatch.setitem(NETWORKS, "tiny", tiny)
    return tiny


def ellipsoid(shape: tuple[int, ...], radii: tuple[float, ...]) -> np.ndarray:
    """Boolean ellipsoid in the middle of an array; radii in voxels."""
    offsets = np.indices(shape) - (np.array(shape).reshape(-1, 1, 1, 1) - 1) / 2
    return ((offsets / np.array(radii).reshape(-1, 1, 1, 1)) ** 2).sum(0) <= 1


@pytest.fixture(scope="session")
def label_map() -> np.ndarray:
    """A whole head of nested ellipsoids, (slice, row, column) int32 at 1 mm.

    From outside: air 0, soft tissue 507, bone 515, CSF 24, cortex 3, white matter 2, ventricle 4.
    The numbers are FreeSurfer's; those of the head tissues are the label maps' own.
    """
    labels = np.zeros((46, 84, 76), np.int32)
    for number, radii in (
        (507, (23, 40, 36)),
        (515, (21, 36, 32)),
        (24, (19, 33, 29)),
        (3, (18, 31, 27)),
        (2, (15, 27, 23)),
        (4, (5, 9, 4)),
    ):
        labels[ellipsoid(labels.shape, radii)] = number
    return labels


@pytest.fixture(scope="session")
def labels_folder(label_map: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small label map to draw synthetic scans from."""
    import SimpleITK

    folder = tmp_path_factory.mktemp("labels")
    image = SimpleITK.GetImageFromArray(label_map.astype(np.int16))
    SimpleITK.WriteImage(image, str(folder / "01.nii.gz"))
    return folder
