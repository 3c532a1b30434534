"""Looks into what ``first_hour.sh`` has made; runs where the package and its plots are installed.

python tests/first_hour_outputs.py FOLDER
"""

from __future__ import annotations

import csv
import json
import struct
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk

# The case holds 11.7 ml. The default model of this version marks 15.6 ml, with a DSC of 0.83.
VOLUME_ML = (9.0, 22.0)
# In a quarter of its slices, those with most lesions.
# The case holds 4.7 ml there, the model marks 5.0 with a DSC of 0.72: its end slices are emptied.
QUARTER_ML, LEAST_OF_QUARTER = (3.0, 8.0), 0.65
WHOLE = 48
LEAST_DSC = 0.75


def mask(path: Path, like: sitk.Image) -> np.ndarray:
    """The voxels of a mask, once its header is that of FLAIR."""
    image = sitk.ReadImage(str(path))
    assert image.GetPixelID() == sitk.sitkUInt8, path
    for part in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert np.allclose(getattr(image, part)(), getattr(like, part)()), f"{path}: {part}"
    for key in ("qform_code", "sform_code"):
        assert image.GetMetaData(key) == like.GetMetaData(key), f"{path}: {key}"
    array = sitk.GetArrayFromImage(image)
    assert array.shape == like.GetSize()[::-1]
    assert set(np.unique(array)) == {0, 1}, path
    return np.asarray(array)


def report(path: Path, voxels: np.ndarray, voxel_ml: float) -> dict[str, object]:
    """The report beside a mask, once its numbers are the mask's."""
    told = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text("utf-8"))
    assert {"volume_ml", "lesion_count", "model", "members", "threshold", "warnings"} <= told.keys()
    assert abs(told["volume_ml"] - voxels.sum() * voxel_ml) < 0.01, path
    least, most = (VOLUME_ML, QUARTER_ML)[len(voxels) < WHOLE]
    assert least < told["volume_ml"] < most, told["volume_ml"]
    assert told["lesion_count"] > 0
    assert told["model"] == "mixed-tuned"
    return dict(told)


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height that a PNG says."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n", path
    width, height = struct.unpack(">II", content[16:24])
    return int(width), int(height)


def rows(path: Path) -> list[dict[str, str]]:
    """A table with a head, parted by tabs or commas."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


def main(folder: Path) -> None:
    """Looks into everything; an assertion fails where something is not as promised."""
    whole = sitk.ReadImage(str(folder / "FLAIR.nii.gz"))
    assert whole.GetSize()[2] == WHOLE
    quarter = sitk.ReadImage(str(folder / "quarter" / "demo" / "pre" / "FLAIR.nii.gz"))
    voxel_ml = float(np.prod(whole.GetSpacing())) / 1000
    found = {}
    for name in ("demo/output/result", "wmh", "alone", "batch/demo/result", "python"):
        path = folder / f"{name}.nii.gz"
        found[name] = mask(path, whole if name in ("demo/output/result", "wmh") else quarter)
        report(path, found[name], voxel_ml)
    assert np.array_equal(found["wmh"], found["demo/output/result"])
    truth = mask(folder / "demo" / "input" / "wmh.nii.gz", whole) > 0
    both = np.count_nonzero(truth & (found["wmh"] > 0))
    assert 2 * both / (truth.sum() + found["wmh"].sum()) > LEAST_DSC
    first = found["batch/demo/result"]
    assert np.array_equal(found["python"], first)
    assert not np.array_equal(found["alone"], first)
    probability = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "p.nii.gz")))
    assert probability.dtype == np.float32
    assert 0 <= probability.min() < 0.01 < 0.98 < probability.max() <= 1
    for name in ("demo/output/overlay.png", "wmh.png", "batch/demo/overlay.png"):
        width, height = picture_size(folder / name)
        assert 400 <= width <= 6000, f"{name}: {width}"
        assert 200 <= height <= 9000, f"{name}: {height}"
    (found_one,) = rows(folder / "found.tsv")
    assert found_one["subject"] == "demo"
    assert found_one["why_not"] in ("", "n/a")
    assert Path(found_one["t1"]).name == "T1.nii.gz"
    (subject,) = rows(folder / "batch" / "summary.tsv")
    assert (subject["subject"], subject["status"]) == ("demo", "done before")
    assert abs(float(subject["volume_ml"]) - first.sum() * voxel_ml) < 0.01
    (scored,) = rows(folder / "scores" / "metrics.csv")
    assert scored["case"] == "demo"
    assert float(scored["dsc"]) > LEAST_OF_QUARTER, scored
    assert list((folder / "scores").glob("*.png"))
    assert "DSC" in (folder / "scores.txt").read_text("utf-8")
    assert (folder / "rank.txt").read_text("utf-8").strip()
    models = (folder / "models.txt").read_text("utf-8")
    assert "mixed-tuned  (default)" in models
    assert "stacknet-synthetic" in models
    assert json.loads((folder / "check.json").read_text("utf-8"))
    assert "FLAIR" in (folder / "check.txt").read_text("utf-8")
    for name in ("checked.txt", "checked-here.txt"):
        assert "1" in (folder / name).read_text("utf-8"), name
    assert not (folder / "out").exists()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
