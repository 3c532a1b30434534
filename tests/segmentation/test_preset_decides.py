"""What is done to a scan is decided by the model's preset, the same in every command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import Phantom, make_preset, write_case
from lopsided_head import pair

import wmhseg
from wmhseg import errors
from wmhseg.cli import main
from wmhseg.datasets import demo
from wmhseg.io import images
from wmhseg.io.images import Scan
from wmhseg.preparation.steps import PUBLISHED, Steps
from wmhseg.segmentation.loading import Loaded
from wmhseg.weights import store
from wmhseg.weights.methods import METHODS
from wmhseg.weights.store import Model

PREPARED = wmhseg.Options(
    intensity_scale="keep",
    steps=Steps(pixel_size="off", bias_correction="off", registration="off"),
)
PUBLISHED_NAMES = ("published", "published-stack", "released")


def model_of(method: str) -> Model:
    """A model that only loads scans: its weights do not exist."""
    chosen = METHODS[method]
    preset = make_preset(preprocessing=chosen.preprocessing, postprocessing=chosen.postprocessing)
    return Model(Path("nowhere"), preset)


def read(case: Path) -> list[Scan]:
    names = "FLAIR", "T1"
    return [images.read_scan(case / "pre" / f"{name}.nii.gz", name=name) for name in names]


def raw_pair() -> tuple[Scan, Scan]:
    """FLAIR, and T1 on a grid of its own: 2 mm aside."""
    flair, t1 = pair()
    x, y, z = t1.grid.origin_mm
    return flair, replace(t1, grid=replace(t1.grid, origin_mm=(x + 2, y, z)))


def check_left_alone(case: Path) -> bool:
    """The automatic steps change no bit of what the networks see, and the way back is the same.

    Returns:
        Whether the pair is on the challenge's scale; nothing is checked of one that is not.
    """
    scans = read(case)
    off = wmhseg.Segmenter(store.DEFAULT_MODEL, PREPARED).load(*scans)
    if not all(scale.on_scale for scale in off.inputs.scales.values()):
        return False
    auto = wmhseg.Segmenter(store.DEFAULT_MODEL).load(*scans)
    np.testing.assert_array_equal(auto.inputs.stacks["scan"], off.inputs.stacks["scan"])
    assert auto.inputs.way == off.inputs.way
    assert auto.inputs.head == off.inputs.head
    assert not any(taken["applied"] for n, taken in told(auto).items() if n != "reorient")
    return True


def told(loaded: Loaded) -> dict[str, Any]:
    return loaded.aligned.steps.to_dict()


def test_the_shipped_pair_is_left_alone(tmp_path: Path) -> None:
    assert check_left_alone(demo.write_case(tmp_path))


@pytest.mark.parametrize("pixel_mm", [(0.96, 0.95), (1.0, 1.0), (0.98, 1.2), (1.21, 1.21)])
def test_pairs_of_the_challenges_scanners_are_left_alone(
    phantom: Phantom, tmp_path: Path, pixel_mm: tuple[float, float], no_doubts: None
) -> None:
    assert check_left_alone(write_case(tmp_path, replace(phantom, spacing_mm=(3.0, *pixel_mm))))


def test_every_shared_pair_is_left_alone(shared: Path, no_doubts: None) -> None:
    """Three pairs are not on the challenge's scale: T1 is 150 times too bright."""
    cases = [path.parents[1] for path in (shared / "data").glob("*/*/pre/FLAIR.nii.gz")]
    off_scale = {case.name for case in cases if not check_left_alone(case)}
    assert off_scale == {"tabriz-1", "tabriz-2", "tabriz-3"}
    assert len(cases) >= 10


def test_every_command_gives_the_same_mask_of_a_raw_pair(
    use_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """T1 on a grid of its own, off the challenge's scale, in the challenge's layout."""
    pre = tmp_path / "1" / "pre"
    pre.mkdir(parents=True)
    for name, scan in zip(("FLAIR", "T1"), raw_pair(), strict=True):
        array = scan.array * np.float32(0.05)
        if name == "FLAIR":
            array[14, 30:33, 30:33] = 4 * array.max()
        image = images.to_image(array, replace(scan.grid, spacing_mm=(4.0, 1.0, 1.0)))
        sitk.WriteImage(image, str(pre / f"{name}.nii.gz"))
    common = ["--model", "bright-needs-t1", "--on-unsuitable", "warn", "--quiet"]
    case = str(tmp_path / "1")
    files = ["--flair", str(pre / "FLAIR.nii.gz"), "--t1", str(pre / "T1.nii.gz")]
    segmented, challenged = tmp_path / "s" / "result.nii.gz", tmp_path / "c"
    assert main.main(["segment", *files, "--output", str(segmented), *common]) == 0
    assert main.main(["challenge", "--input", case, "--output", str(challenged), *common]) == 0
    assert main.main(["batch", str(tmp_path), "--output", str(tmp_path / "b"), *common]) == 0
    masks = [segmented, challenged / "result.nii.gz", tmp_path / "b" / "1" / "result.nii.gz"]
    assert len({path.read_bytes() for path in masks}) == 1
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(segmented))).any()
    for path in masks:
        report = json.loads(path.with_name("result.json").read_text())
        assert report["intensity_scale"]["asked"] == "preset"
        assert report["intensity_scale"]["mode"] == "adapt"
        assert report["intensity_scale"]["FLAIR"]["applied"]
        assert report["steps"]["registration"]["applied"]
        assert report["steps"]["registration"]["asked"] == "preset"
        assert report["steps"]["registration"]["setting"] == "auto"
    capsys.readouterr()


@pytest.mark.parametrize("method", PUBLISHED_NAMES)
def test_nothing_is_added_to_a_published_method(method: str) -> None:
    flair, t1 = raw_pair()
    model = model_of(method)
    with pytest.raises(errors.GridMismatchError, match="--registration auto"):
        wmhseg.Segmenter(model).load(flair, t1)
    flair = replace(flair, array=flair.array * np.float32(40))
    loaded = wmhseg.Segmenter(model).load(flair, replace(flair, name="T1"))
    for taken in told(loaded).values():
        assert (taken["asked"], taken["setting"], taken["why"]) == ("preset", "off", PUBLISHED)
        assert not taken["applied"]
    assert any("darker or brighter" in line for line in loaded.inputs.warnings)
    assert not any("changed the scans" in line for line in loaded.inputs.warnings)


@pytest.mark.parametrize("method", PUBLISHED_NAMES)
def test_what_is_asked_for_is_done_and_warned_of(method: str) -> None:
    flair, t1 = raw_pair()
    options = wmhseg.Options(
        intensity_scale="adapt",
        steps=Steps(registration="auto", bias_correction="on"),
    )
    flair = replace(flair, array=flair.array * np.float32(20))
    loaded = wmhseg.Segmenter(model_of(method), options).load(flair, t1)
    assert told(loaded)["registration"]["applied"]
    assert (
        told(loaded)["bias_correction"] | {"why": "switched on"} == told(loaded)["bias_correction"]
    )
    assert told(loaded)["pixel_size"]["setting"] == "off"  # nobody asked for that
    (line,) = (w for w in loaded.inputs.warnings if "changed the scans" in w)
    assert "--bias-correction" in line
    assert "--registration" in line
    assert "--pixel-size" not in line


def test_our_own_models_obey_as_well() -> None:
    flair, t1 = raw_pair()
    options = wmhseg.Options(
        intensity_scale="keep",
        on_unsuitable="warn",
        steps=Steps(registration="header", bias_correction="off"),
    )
    loaded = wmhseg.Segmenter(model_of("synthetic"), options).load(flair, t1)
    assert told(loaded)["bias_correction"]["why"] == "switched off"
    assert not told(loaded)["registration"]["applied"]
    assert told(loaded)["pixel_size"]["setting"] == "auto"
    assert not any("changed the scans" in line for line in loaded.inputs.warnings)
