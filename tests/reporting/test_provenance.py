"""Where a result comes from, and the schemas of the JSON files that say so."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import lopsided_head
import pytest
from conftest import ROOT, Phantom, with_stroke, write_scan

import wmhseg
from wmhseg.cli.main import main

DATA = ROOT / "wmhseg" / "data"


@pytest.fixture(autouse=True)
def _models(use_models: Path, no_doubts: None) -> None:
    pass


def described(name: str, content: Any) -> Any:
    """Content that the schema of a name describes, every key of it."""
    schema = json.loads((DATA / f"{name}.schema.json").read_text())
    checker = jsonschema.Draft202012Validator
    checker.check_schema(schema)
    checker(schema, format_checker=checker.FORMAT_CHECKER).validate(content)
    return content


def undescribed(schema: Any) -> list[str]:
    """Keys of a schema that nobody explains."""
    found = []
    for name, value in schema.get("properties", {}).items():
        if not value.get("description") and "$ref" not in value:
            found.append(name)
        found += undescribed(value)
    return found


@pytest.mark.parametrize("name", ["report", "done"])
def test_every_key_is_explained(name: str) -> None:
    schema = json.loads((DATA / f"{name}.schema.json").read_text())
    assert undescribed(schema) == []
    assert undescribed(schema["$defs"]["scan"]) == []


def test_a_report_names_scans_date_and_command(
    phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WMHSEG_IMAGE", "APPTAINER_NAME", "SINGULARITY_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    write_scan(tmp_path / "a scan.nii.gz", phantom.flair, phantom.spacing_mm)
    write_scan(tmp_path / "t1.nii", phantom.t1, phantom.spacing_mm)
    words = ["segment", "--flair", "a scan.nii.gz", "--t1", "t1.nii", "--output", "wmh.nii",
             "--model", "bright", "--quiet"]  # fmt: skip
    assert main(words) == 0
    report = described("report", json.loads((tmp_path / "wmh.json").read_text()))
    # As it was given, not as the disk would have it.
    assert report["inputs"] == {
        "FLAIR": {
            "path": "a scan.nii.gz",
            "sha256": hashlib.sha256((tmp_path / "a scan.nii.gz").read_bytes()).hexdigest(),
        },
        "T1": {
            "path": "t1.nii",
            "sha256": hashlib.sha256((tmp_path / "t1.nii").read_bytes()).hexdigest(),
        },
    }
    assert report["command"] == "wmhseg " + " ".join(words).replace(
        "a scan.nii.gz", "'a scan.nii.gz'"
    )
    age = datetime.now(UTC) - datetime.fromisoformat(report["date"])
    assert timedelta(seconds=-1) < age < timedelta(minutes=10)
    assert report["container"] is None

    monkeypatch.setenv("APPTAINER_NAME", "wmhseg.sif")
    alone = [w for w in words if w not in ("--t1", "t1.nii")]
    assert main(alone) == 0
    report = described("report", json.loads((tmp_path / "wmh.json").read_text()))
    assert list(report["inputs"]) == ["FLAIR"]
    assert report["container"] == "wmhseg.sif"
    monkeypatch.setenv("WMHSEG_IMAGE", "wmhseg:1")
    assert main(alone) == 0
    assert json.loads((tmp_path / "wmh.json").read_text())["container"] == "wmhseg:1"


def test_the_schema_covers_the_challenges_layout(phantom: Phantom, tmp_path: Path) -> None:
    """With and without T1, with all that is written beside the mask, other rules and flips."""
    write_scan(tmp_path / "in" / "pre" / "FLAIR.nii.gz", phantom.flair, phantom.spacing_mm)
    words = ["challenge", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"),
             "--quiet", "--overlay"]  # fmt: skip
    assert main([*words, "--model", "bright-flair"]) == 0
    report = described("report", json.loads((tmp_path / "out" / "result.json").read_text()))
    assert (report["t1_used"], report["files"]["overlay"]) == (False, "overlay.png")
    write_scan(tmp_path / "in" / "pre" / "T1.nii.gz", phantom.t1, phantom.spacing_mm)
    more = ["--flips", "on", "--threshold", "0.3", "--bias-correction", "on"]
    assert main([*words, "--model", "bright", *more]) == 0
    report = described("report", json.loads((tmp_path / "out" / "result.json").read_text()))
    assert (report["t1_used"], report["threshold"]) == (True, 0.3)


def test_of_scans_in_memory_nothing_is_invented(phantom: Phantom) -> None:
    result = wmhseg.segment(phantom.flair, spacing_mm=phantom.spacing_mm, model="bright")
    report = described("report", json.loads(result.report.to_json()))
    assert report["inputs"] == {"FLAIR": {"path": None, "sha256": None}}
    assert report["command"] is None


def test_the_schema_covers_every_step_on_raw_scans() -> None:
    """Steps that all do something, so that they say all they can say."""
    classes = lopsided_head.head(1)
    flair = lopsided_head.scan(classes, (0, 500, 300, 400, 350), "FLAIR")
    t1 = lopsided_head.scan(classes, (0, 700, 500, 350, 420), "T1")
    steps = wmhseg.Steps(
        bias_correction="on", registration="on", on_registration_failure="flair-only"
    )
    result = wmhseg.segment(flair, t1, model="bright", options=wmhseg.Options(steps=steps))
    report = described("report", json.loads(result.report.to_json()))
    taken = report["steps"]
    assert all(taken[name]["applied"] for name in ("bias_correction", "registration", "pixel_size"))
    assert report["inputs"]["T1"] == {"path": None, "sha256": None}


def test_a_batch_names_them_in_its_stamp_and_its_table(phantom: Phantom, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    flair = write_scan(data / "s1" / "FLAIR.nii.gz", phantom.flair, phantom.spacing_mm)
    t1 = write_scan(data / "s1" / "T1.nii.gz", phantom.t1, phantom.spacing_mm)
    lone = write_scan(data / "s2" / "FLAIR.nii.gz", phantom.flair, phantom.spacing_mm)
    (data / "s3").mkdir()
    (data / "s3" / "FLAIR.nii").write_bytes(b"no image")
    words = ["batch", str(data), "--output", str(out), "--model", "bright", "--threads", "1",
             "--threshold", "0.6", "--quiet"]  # fmt: skip
    assert main(words) != 0
    lines = [line.split("\t") for line in (out / "summary.tsv").read_text().splitlines()]
    rows = {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[1:]}
    told = ("flair", "t1", "model", "preset", "threshold", "scans", "reader")
    assert [rows["s1"][name] for name in told] == [
        str(flair), str(t1), "bright", "custom", "0.6", "FLAIR and T1", "balanced",
    ]  # fmt: skip
    assert [rows["s2"][name] for name in told] == [
        str(lone), "n/a", "bright", "custom", "0.6", "FLAIR", "balanced",
    ]  # fmt: skip
    assert [rows["s3"][name] for name in told] == [
        str(data / "s3" / "FLAIR.nii"), "n/a", "n/a", "n/a", "n/a", "n/a", "n/a",
    ]  # fmt: skip
    stamp = described("done", json.loads((out / "s1" / "done.json").read_text()))
    report = described("report", json.loads((out / "s1" / "result.json").read_text()))
    for name in ("inputs", "date", "command", "container"):
        assert stamp[name] == report[name]
    assert stamp["inputs"]["T1"]["path"] == str(t1)
    assert stamp["command"] == "wmhseg " + " ".join(words)
    # The table of a second run tells the same of who was done before.
    assert main(words) != 0
    again = [line.split("\t") for line in (out / "summary.tsv").read_text().splitlines()]
    kept = [0, 2, 3, *range(8, len(lines[0]))]
    assert [[a[k] for k in kept] for a in again] == [[b[k] for k in kept] for b in lines]


def test_the_schemas_know_other_labels(
    phantom: Phantom, stroke_model: Path, tmp_path: Path
) -> None:
    flair, _ = with_stroke(phantom)
    write_scan(tmp_path / "in" / "s" / "FLAIR.nii.gz", flair, phantom.spacing_mm)
    words = ["batch", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--quiet"]
    assert main([*words, "--model", str(stroke_model)]) == 0
    for name, file in (("report", "result"), ("done", "done")):
        told = json.loads((tmp_path / "out" / "s" / f"{file}.json").read_text())
        assert described(name, told)["others"]["stroke"]["volume_ml"] == 0.0486
        told["others"]["stroke"]["more"] = 1
        with pytest.raises(jsonschema.ValidationError):
            described(name, told)
