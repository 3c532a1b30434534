"""The BIDS App: what comes out of a data set, and what a second run and a failure cost."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import SimpleITK as sitk
from conftest import ROOT, Phantom, write_scan

from wmhseg.cli.main import main

RUN = ["--model", "bright", "--on-unsuitable", "warn", "--threads", "1", "--quiet"]
IMAGE = "wmhseg:test"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def told(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text("utf-8")))


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below a folder: times and contents."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write_study(folder: Path, phantom: Phantom) -> Path:
    """A data set: an annexed scan, runs, T1w in another session only, a broken scan, nobody."""
    annexed = folder / ".git" / "annex" / "objects" / "key.nii.gz"
    write_scan(annexed, phantom.flair, phantom.spacing_mm)
    (folder / "sub-01" / "anat").mkdir(parents=True)
    os.symlink("../../.git/annex/objects/key.nii.gz", folder / "sub-01/anat/sub-01_FLAIR.nii.gz")
    for name, array in (
        ("sub-01/anat/sub-01_T1w", phantom.t1),
        ("sub-02/ses-a/anat/sub-02_ses-a_acq-3D_run-1_FLAIR", phantom.flair),
        ("sub-02/ses-a/anat/sub-02_ses-a_acq-3D_run-2_FLAIR", phantom.flair),
        ("sub-02/ses-b/anat/sub-02_ses-b_T1w", phantom.t1),
        ("derivatives/other/sub-01/anat/sub-01_desc-preproc_FLAIR", phantom.flair),
        ("sourcedata/sub-09/anat/sub-09_FLAIR", phantom.flair),
    ):
        write_scan(folder / f"{name}.nii.gz", array, phantom.spacing_mm)
    (folder / "sub-03" / "anat").mkdir(parents=True)
    (folder / "sub-03" / "anat" / "sub-03_FLAIR.nii.gz").write_bytes(b"no image")
    (folder / "sub-04").mkdir()
    description = {"Name": "A study", "BIDSVersion": "1.10.0", "DatasetDOI": "doi:10.1/2"}
    (folder / "dataset_description.json").write_text(json.dumps(description))
    return folder


class Done:
    """A data set that has been segmented, and what was there before."""

    def __init__(self, folder: Path, phantom: Phantom) -> None:
        self.study = write_study(folder / "study", phantom)
        self.out = folder / "out"
        self.before = state(self.study)
        self.code = self.run("participant", "--t1-from-any-session", "--overlay", "--report")
        self.group_code = self.run("group", "--report")

    def run(self, level: str, *more: str) -> int:
        return main([str(self.study), str(self.out), level, *more, *RUN])

    def images(self, scan: str) -> dict[str, sitk.Image]:
        found = sorted(self.out.rglob(f"{scan}_space-orig*.nii.gz"))
        return {
            path.name.removesuffix(".nii.gz").rpartition("_")[2]: sitk.ReadImage(str(path))
            for path in found
        }


@pytest.fixture(scope="module")
def done(
    phantom: Phantom,
    models_folder: Path,
    anatomy_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Done]:
    with pytest.MonkeyPatch.context() as patch:
        models = os.pathsep.join([str(models_folder), str(anatomy_model.parent)])
        patch.setenv("WMHSEG_MODELS", models)
        patch.setenv("WMHSEG_IMAGE", IMAGE)
        patch.setenv("WMHSEG_IMAGE_ID", "sha256:abc")
        yield Done(tmp_path_factory.mktemp("bids"), phantom)


SCANS = ("sub-01", "sub-02_ses-a_acq-3D_run-1", "sub-02_ses-a_acq-3D_run-2")


def test_one_broken_scan_costs_itself_alone(done: Done) -> None:
    assert (done.code, done.group_code) == (65, 0)
    assert state(done.study) == done.before  # nothing is written to the data set
    assert not (done.out / "sub-03").exists()
    assert not (done.out / "sub-04").exists()
    assert not (done.out / "sub-09").exists()


def test_the_files_are_called_as_bids_says(done: Done) -> None:
    files = {str(p.relative_to(done.out)) for p in done.out.rglob("*") if p.is_file()}
    expected = {
        *("dataset_description.json", "README.md", "descriptions.tsv", "descriptions.json"),
        *(".bidsignore", "group_wmh.tsv", "group_wmh.json", "group.html"),
        *("logs/CITATION.md", "logs/summary.tsv"),
        *(
            f"logs/{scan}/{name}"
            for scan in SCANS
            for name in ("done.json", "measures.json", "measures.tsv", "curve.tsv")
        ),
        *(f"sub-01/sub-01_scans.{ending}" for ending in ("tsv", "json")),
        *(f"sub-02/ses-a/sub-02_ses-a_scans.{ending}" for ending in ("tsv", "json")),
    }
    for scan in SCANS:
        anat = "sub-01/anat" if scan == "sub-01" else "sub-02/ses-a/anat"
        for name in (
            *("label-L_desc-wmh_mask.nii.gz", "label-L_desc-wmh_mask.json"),
            *("label-L_desc-wmh_probseg.nii.gz", "label-L_desc-wmh_probseg.json"),
            *("desc-wmh_dseg.nii.gz", "desc-wmh_dseg.json", "desc-wmh_dseg.tsv"),
            *("desc-wmh_overlay.png", "desc-wmh_report.html"),
            *("desc-anatomy_dseg.nii.gz", "desc-anatomy_dseg.json", "desc-anatomy_dseg.tsv"),
        ):
            expected.add(f"{anat}/{scan}_space-orig_{name}")
    logs = {name for name in files if name.endswith("_participant.log")}
    assert len(logs) == 1
    assert files - logs == expected
    # The documentation shows each of them: its name, or what ends it, in a line with its ending.
    page = (ROOT / "docs" / "bids.md").read_text("utf-8").partition("## What comes out")[2]
    lines = page.split("```")[1].splitlines()
    for path in map(Path, expected):
        ending = path.name.rpartition("_")[2]
        stem, _, kind = ending.partition(".")
        names = [re.findall(r"[\w.-]+", line) for line in lines]
        assert any(
            any(name.rpartition("_")[2].split(".")[0] == stem for name in line)
            and any(name.endswith(f".{kind}") for name in line)
            for line in names
        ), path


def test_masks_maps_and_lesions_agree(done: Done, phantom: Phantom) -> None:
    expected = phantom.lesions.copy()
    expected[:2] = expected[-2:] = False  # end slices
    flair = sitk.ReadImage(str(done.study / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"))
    for scan in SCANS:
        images = done.images(scan)
        arrays = {name: sitk.GetArrayFromImage(image) for name, image in images.items()}
        np.testing.assert_array_equal(arrays["mask"], expected)
        np.testing.assert_array_equal(arrays["probseg"] > 0.5, expected)
        np.testing.assert_array_equal(arrays["dseg"] > 0, expected)
        for image in images.values():
            assert image.GetSpacing() == flair.GetSpacing()
            assert image.GetDirection() == flair.GetDirection()
            assert image.GetOrigin() == flair.GetOrigin()
        # The largest is number 1: 48 and 6 voxels of 2.7 mm3.
        (path,) = done.out.rglob(f"{scan}_space-orig_desc-wmh_dseg.tsv")
        assert np.bincount(arrays["dseg"].ravel())[1:].tolist() == [48, 6]
        assert [(row["index"], row["volume_ml"]) for row in table(path)] == [
            ("1", "0.1296"),
            ("2", "0.0162"),
        ]
        assert set(told(path.with_suffix(".json"))) >= set(table(path)[0])


def test_sidecars_say_where_images_come_from(done: Done) -> None:
    """Every BIDS URI leads to a file, by the links of the data set's description."""
    link = told(done.out / "dataset_description.json")["DatasetLinks"]["raw"]
    assert link == done.study.as_uri()
    schema = told(ROOT / "wmhseg" / "data" / "report.schema.json")
    for path in done.out.rglob("anat/*.json"):
        content = told(path)
        uris = [content["SpatialReference"], *content["Sources"]]
        for uri in uris:
            scheme, name, place = uri.split(":")
            assert (scheme, name in ("raw", "")) == ("bids", True)
            assert ((done.study if name else done.out) / place).is_file()
        assert uris[0].endswith("_FLAIR.nii.gz")
        if path.stem.endswith("mask"):
            jsonschema.Draft202012Validator(schema).validate(content)
            assert content["Type"] == "Lesion"
            assert content["container"] == IMAGE
    scan = done.out / "sub-02/ses-a/anat/sub-02_ses-a_acq-3D_run-1_space-orig_label-L_desc-wmh"
    content = told(scan.with_name(scan.name + "_mask.json"))
    assert content["Sources"][1] == "bids:raw:sub-02/ses-b/anat/sub-02_ses-b_T1w.nii.gz"
    assert content["t1_used"] is True
    assert "sub-02_ses-b_T1w.nii.gz is used: session a has none" in content["warnings"][0]


def test_the_data_set_says_what_made_it(done: Done) -> None:
    content = told(done.out / "dataset_description.json")
    assert content["DatasetType"] == "derivative"
    (made,) = content["GeneratedBy"]
    assert made["Name"] == "wmhseg"
    assert made["Container"] == {"Type": "docker", "Tag": IMAGE, "ID": "sha256:abc"}
    assert content["SourceDatasets"] == [{"URL": done.study.as_uri(), "DOI": "doi:10.1/2"}]
    assert [row["desc_id"] for row in table(done.out / "descriptions.tsv")] == [
        "desc-wmh",
        "desc-anatomy",
    ]
    cited = (done.out / "logs" / "CITATION.md").read_text("utf-8")
    assert "bright (Bright is WMH; 2 networks" in cited
    assert "exceeded 0.5 were marked" in cited
    assert "IEEE Transactions on Medical Imaging" in cited
    for sentence in ("named by the model anatomy-synthetic", "10 mm, voxel by voxel", "Joo 2022"):
        assert sentence in cited
    listed = re.findall(r"^\d+\. (.*)$", cited.partition("## References")[2], re.M)
    assert content["ReferencesAndLinks"] == listed
    (log,) = (done.out / "logs").glob("*.log")
    lines = log.read_text("utf-8").splitlines()
    assert any(line.startswith("sub-01: done: 0.1458 ml, 2 lesions") for line in lines)
    assert any(line.startswith("sub-03: failed: The FLAIR image") for line in lines)


def test_structures_and_measures_are_derivatives_too(done: Done, phantom: Phantom) -> None:
    voxel_ml = float(np.prod(phantom.spacing_mm)) / 1000
    schema = told(ROOT / "wmhseg" / "data" / "measures.schema.json")
    for scan in SCANS:
        (path,) = done.out.rglob(f"{scan}_space-orig_desc-anatomy_dseg.tsv")
        image = sitk.ReadImage(str(path.with_suffix(".nii.gz")))
        counts = np.bincount(sitk.GetArrayFromImage(image).ravel(), minlength=11)
        rows = table(path)
        assert [row["index"] for row in rows] == [str(n) for n in range(11)]
        assert (rows[7]["name"], rows[7]["mapping"]) == ("white-matter", "2")
        for row, count in zip(rows[1:], counts[1:], strict=True):
            assert float(row["volume_ml"]) == pytest.approx(count * voxel_ml, abs=1e-4)
        assert counts[7] > 0
        assert set(told(path.with_suffix(".json"))) >= set(rows[0])
        measures = told(done.out / "logs" / scan / "measures.json")
        jsonschema.Draft202012Validator(schema).validate(measures)
        assert measures["anatomy"] == "model anatomy-synthetic"
        assert measures["head"]["white_matter_ml"] == pytest.approx(counts[7] * voxel_ml, abs=1e-4)
        for name in measures["files"].values():
            assert (done.out / "logs" / scan / name).is_file()
        (mask,) = done.out.rglob(f"{scan}_space-orig_label-L_desc-wmh_mask.json")
        (session,) = (row for row in table(next(mask.parent.parent.glob("*_scans.tsv")))
                      if row["filename"].startswith(f"anat/{scan}_"))  # fmt: skip
        assert float(session["white_matter_ml"]) == measures["head"]["white_matter_ml"]
        spread = measures["uncertainty"]["members"]["volume_ml"]
        assert [float(session[f"members_{end}_ml"]) for end in ("lowest", "highest")] == spread
        assert told(mask)["measures"]["white_matter_ml"] == measures["head"]["white_matter_ml"]
        (small,) = measures["warnings"]  # the phantom is no head
        assert told(mask)["warnings"].count(small) == 1
        assert session["warnings"] == str(len(told(mask)["warnings"]))
        assert (mask.parent / told(mask)["page"]).is_file()


def test_a_page_about_everybody_leads_to_those_about_each(done: Done) -> None:
    page = (done.out / "group.html").read_text("utf-8")
    for scan in SCANS:
        (report,) = done.out.rglob(f"{scan}_space-orig_desc-wmh_report.html")
        assert f'href="{report.relative_to(done.out).as_posix()}"' in page
        assert f"<h1>{scan}</h1>" in report.read_text("utf-8")


def test_tables_of_sessions_list_their_masks(done: Done) -> None:
    for path, count in (
        (done.out / "sub-01" / "sub-01_scans.tsv", 1),
        (done.out / "sub-02" / "ses-a" / "sub-02_ses-a_scans.tsv", 2),
    ):
        rows = table(path)
        assert len(rows) == count
        for row in rows:
            assert (path.parent / row["filename"]).is_file()
            assert (row["volume_ml"], row["lesion_count"]) == ("0.1458", "2")
            assert (row["t1_used"], row["model"]) == ("true", "bright")
        assert set(told(path.with_suffix(".json"))) - {"Description"} == set(rows[0])


def test_the_table_of_everybody_has_those_without_a_result(done: Done) -> None:
    rows = table(done.out / "group_wmh.tsv")
    shown = ("participant_id", "session_id", "acquisition", "run", "status", "volume_ml")
    assert [tuple(row[name] for name in shown) for row in rows] == [
        ("sub-01", "n/a", "n/a", "n/a", "done", "0.1458"),
        ("sub-02", "ses-a", "3D", "1", "done", "0.1458"),
        ("sub-02", "ses-a", "3D", "2", "done", "0.1458"),
        ("sub-03", "n/a", "n/a", "n/a", "failed", "n/a"),
    ]
    assert "should be a NIfTI file" in rows[3]["error"]
    assert all((done.out / row["filename"]).is_file() for row in rows[:3])
    dictionary = told(done.out / "group_wmh.json")
    assert set(dictionary) - {"Description"} == set(rows[0])
    assert all(column.get("Description") for column in list(dictionary.values())[1:])
    assert dictionary["volume_ml"]["Units"] == "mL"


def test_the_validator_of_bids_finds_no_error(done: Done) -> None:
    folders = [str(Path(sys.executable).parent), *os.environ.get("PATH", "").split(os.pathsep)]
    validator = shutil.which("bids-validator-deno", path=os.pathsep.join(folders))
    if validator is None:
        pytest.skip("needs bids-validator-deno, of requirements-dev.txt")
    words = [validator, str(done.out), "--format", "json", "--datasetTypes", "derivative"]
    answer = subprocess.run(words, capture_output=True, text=True, timeout=120)
    issues = json.loads(answer.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    # It asks for authors, whom only the user knows, and for nothing else.
    assert {issue["code"] for issue in issues} <= {"TOO_FEW_AUTHORS", "JSON_KEY_RECOMMENDED"}
    assert answer.returncode == 0


def test_a_second_run_does_what_has_changed(
    done: Done, phantom: Phantom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a copy: the other tests look at the first run."""
    shutil.copytree(done.study, tmp_path / "study", symlinks=True)
    shutil.copytree(done.out, tmp_path / "out")
    again = object.__new__(Done)
    again.study, again.out = tmp_path / "study", tmp_path / "out"
    anat = again.out / "sub-02" / "ses-a" / "anat"
    kept = state(again.out / "sub-01")
    assert again.run("participant", "--t1-from-any-session", "--participant-label", "01") == 0
    assert "done before  1 of 1" in capsys.readouterr().out
    assert {name: content for name, (_, content) in state(again.out / "sub-01").items()} == {
        name: content for name, (_, content) in kept.items()
    }
    asked = ("--t1-from-any-session", "--participant-label", "01", "04")
    assert again.run("participant", *asked) == 66
    told_failures = "".join(capsys.readouterr())
    assert "no FLAIR scan in sub-04/[ses-…/]anat" in told_failures
    bad, good = "sub-02/ses-a/anat/sub-02_ses-a_acq-3D_run-2_FLAIR", "sub-03/anat/sub-03_FLAIR"
    (again.study / f"{bad}.nii.gz").write_bytes(b"no image")
    write_scan(again.study / f"{good}.nii.gz", phantom.flair, phantom.spacing_mm)
    assert again.run("participant", "--t1-from-any-session") == 65
    printed = capsys.readouterr().out
    assert "done         1 of 4" in printed
    assert "done before  2 of 4" in printed
    assert [path.name for path in anat.glob("*run-2*")] == []
    scans = table(again.out / "sub-02" / "ses-a" / "sub-02_ses-a_scans.tsv")
    assert [row["filename"].count("run-1") for row in scans] == [1]
    assert again.run("group", "--participant-label", "02", "sub-03") == 0
    rows = table(again.out / "group_wmh.tsv")
    assert [(row["scan"], row["status"]) for row in rows] == [
        ("sub-02_ses-a_acq-3D_run-1", "done"),
        ("sub-02_ses-a_acq-3D_run-2", "failed"),
        ("sub-03", "done"),
    ]
