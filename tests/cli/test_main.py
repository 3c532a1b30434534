"""The command line: exit codes, one line an error, nothing half written."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import jsonschema
import numpy as np
import pytest
import SimpleITK as sitk
from conftest import ROOT, Phantom, of_scan, with_stroke, write_scan
from keras2_files import legacy_name, random_value, write_legacy

import wmhseg
from wmhseg import errors
from wmhseg.cli.main import main
from wmhseg.networks import catalogue
from wmhseg.networks.keras_model import to_keras
from wmhseg.weights import methods, store


@pytest.fixture(autouse=True)
def _models(use_models: Path, no_doubts: None) -> None:
    pass


@pytest.fixture
def case(phantom: Phantom, tmp_path: Path) -> Path:
    """A case in the challenge's layout."""
    write_scan(tmp_path / "case" / "pre" / "FLAIR.nii.gz", phantom.flair, phantom.spacing_mm)
    write_scan(tmp_path / "case" / "pre" / "T1.nii.gz", phantom.t1, phantom.spacing_mm)
    return tmp_path / "case"


def expected_mask(phantom: Phantom) -> np.ndarray:
    mask = phantom.lesions.astype(np.uint8)
    mask[:2] = mask[-2:] = 0
    return mask


def read(path: Path) -> np.ndarray:
    return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))


def segment(*arguments: object) -> int:
    return main(["segment", "--model", "bright", *map(str, arguments)])


def test_challenge_layout(
    case: Path, phantom: Phantom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = main(["challenge", "--input", str(case), "--output", str(out), "--model", "bright"])
    assert code == 0
    np.testing.assert_array_equal(read(out / "result.nii.gz"), expected_mask(phantom))
    assert sorted(p.name for p in out.iterdir()) == ["result.json", "result.nii.gz"]
    printed = capsys.readouterr()
    assert "0.15 ml" in printed.out
    assert "lesions      2" in printed.out
    assert "medical device" in printed.err


def test_challenge_layout_with_a_picture(case: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    where = ["challenge", "--input", str(case), "--output", str(out), "--model", "bright"]
    for options, name, magic in (
        (["--overlay"], "overlay.png", b"\x89PNG"),
        (["--overlay-format", "pdf"], "overlay.pdf", b"%PDF"),
    ):
        assert main([*where, *options]) == 0
        assert (out / name).read_bytes()[:4] == magic
    # The picture of the first run went with its mask.
    names = {"result.json", "result.nii.gz", "overlay.pdf"}
    assert {p.name for p in out.iterdir()} == names


def test_no_arguments_means_the_challenge_layout(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if Path("/input").exists():
        pytest.skip("this machine has a folder /input")
    assert main([]) == errors.MissingFileError.exit_code
    assert "/input/pre" in capsys.readouterr().err


def test_segment_with_a_page(
    case: Path, use_anatomy: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It tells of this mask; a second run without one does not leave it behind."""
    out, page = tmp_path / "out" / "wmh.nii.gz", tmp_path / "out" / "report.html"
    words = ("--flair", case / "pre/FLAIR.nii.gz", "--t1", case / "pre/T1.nii.gz", "--output", out)
    assert segment(*words, "--report", page) == 0
    printed = capsys.readouterr()
    assert f"written      {out}, {page}\n" in printed.out
    told = json.loads((out.parent / "wmh.json").read_text())
    # What the page measures finds the head too small, which is told wherever warnings are.
    small = told["warnings"][-1]
    assert small.startswith("The anatomy holds an intracranial volume of")
    assert printed.err.count(small) == told["warnings"].count(small) == 1
    listed = re.search(r'<ul class="warnings">(.*?)</ul>', page.read_text("utf-8"), re.S)
    assert listed is not None
    assert listed[1].count(small) == 1
    assert told["page"] == "report.html"
    report_schema = json.loads((ROOT / "wmhseg/data/report.schema.json").read_text("utf-8"))
    jsonschema.validate(told, report_schema)
    # Which slices the end slices are a share of; reports of 0.2.0 and before do not tell: they are
    # still read.
    assert (told["end_slices"], told["end_slices_of"]) == (0.1, "scan")
    older = {name: value for name, value in told.items() if name != "end_slices_of"}
    jsonschema.validate(older, report_schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**told, "end_slices_of": "brain"}, report_schema)
    content = page.read_text("utf-8")
    assert "left empty, counted of all slices of the scan." in content
    facts = re.search(r'id="data-facts">(.*?)</script>', content)
    assert facts is not None
    known = json.loads(facts[1])
    assert known["volume_ml"] == told["volume_ml"]
    assert known["mask_sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert known["flair_sha256"] == told["inputs"]["FLAIR"]["sha256"]
    assert 'id="data-probability"' in content
    assert 'id="data-t1"' in content
    assert "none: weights set by hand" in content
    assert segment(*words, "--report", page) == 0
    assert page.exists()
    assert "removed" not in capsys.readouterr().err
    assert segment(*words) == 0
    assert f"removed      {page}" in capsys.readouterr().err
    assert not page.exists()
    assert segment(*words, "--report", tmp_path / "r.txt") == errors.UsageError.exit_code


def test_segment_with_everything(
    case: Path, phantom: Phantom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "er" / "wmh.nii.gz"
    code = segment(
        *("--flair", case / "pre/FLAIR.nii.gz", "--t1", case / "pre/T1.nii.gz", "--output", out),
        *("--probability", tmp_path / "p.nii.gz", "--overlay", tmp_path / "o.png", "--json"),
        *("--threads", 1, "--device", "cpu", "--quiet"),
    )
    assert code == 0
    np.testing.assert_array_equal(read(out), expected_mask(phantom))
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert told == json.loads((out.parent / "wmh.json").read_text())
    assert told["volume_ml"] == pytest.approx(0.1458)
    assert told["engine"]["device"] == "cpu"
    assert told["preset"] == "custom"
    assert printed.err == ""
    probability = read(tmp_path / "p.nii.gz")
    np.testing.assert_array_equal(probability > 0.5, expected_mask(phantom) > 0)
    assert (tmp_path / "o.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_picture_with_pages(case: Path, tmp_path: Path) -> None:
    flair = case / "pre/FLAIR.nii.gz"
    out = tmp_path / "r.nii.gz"
    assert segment("--flair", flair, "--output", out, "--overlay", tmp_path / "r.pdf") == 0
    assert (tmp_path / "r.pdf").read_bytes()[:5] == b"%PDF-"


def test_threshold_option(case: Path, tmp_path: Path) -> None:
    volumes = []
    for threshold in ("0.1", "0.99999999"):
        flair = case / "pre/FLAIR.nii.gz"
        out = tmp_path / "o.nii.gz"
        assert segment("--flair", flair, "--output", out, "--threshold", threshold) == 0
        volumes.append(read(out).sum())
    assert volumes[0] == 54
    assert volumes[1] == 0


def test_min_lesion_option(case: Path, tmp_path: Path) -> None:
    flair, out = case / "pre/FLAIR.nii.gz", tmp_path / "o.nii.gz"

    def voxels(smallest: float) -> int:
        assert segment("--flair", flair, "--output", out, "--min-lesion", smallest) == 0
        report = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
        assert report["min_lesion_mm3"] == smallest
        return int(read(out).sum())

    voxels(0)
    report = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    largest_mm3 = report["largest_lesion_ml"] * 1000
    assert voxels(largest_mm3 - 0.5) > 0
    assert voxels(largest_mm3 + 0.5) == 0
    assert segment("--flair", flair, "--output", out, "--min-lesion", "-1") == 2


def test_lesion_peak_option(case: Path, tmp_path: Path) -> None:
    flair, out = case / "pre/FLAIR.nii.gz", tmp_path / "o.nii.gz"
    assert segment("--flair", flair, "--output", out, "--lesion-peak", "0.75") == 0
    report = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    assert report["lesion_peak"] == 0.75
    assert report["preset"] == "custom"
    assert segment("--flair", flair, "--output", out, "--lesion-peak", "1") == 2


@pytest.fixture
def with_readers(use_models: Path, tmp_path: Path) -> str:
    """Folder of "bright" with rules for a sparing reader, who leaves the lesion of 6 voxels out."""
    folder = tmp_path / "models" / "bright"
    shutil.copytree(use_models / "bright", folder)
    value = json.loads((folder / "preset.json").read_text(encoding="utf-8"))
    value["readers"] = [
        {"name": "sparing", "threshold": 0.9, "min_lesion_mm3": 20.0, "lesion_peak": 0.0}
    ]
    (folder / "preset.json").write_text(json.dumps(value), encoding="utf-8")
    return str(folder)


def test_reader_option(
    case: Path, tmp_path: Path, with_readers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flair, out = case / "pre/FLAIR.nii.gz", tmp_path / "o.nii.gz"

    def told(*words: str) -> dict[str, Any]:
        given = ("segment", "--model", with_readers, "--flair", flair, "--output", out, *words)
        assert main(list(map(str, given))) == 0
        content: dict[str, Any] = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
        names = ("reader", "threshold", "min_lesion_mm3", "lesion_count", "flips")
        return {name: content[name] for name in names}

    balanced = {
        "reader": "balanced", "threshold": 0.5, "min_lesion_mm3": 0, "lesion_count": 2,
        "flips": False,
    }  # fmt: skip
    sparing = {**balanced, "reader": "sparing", "threshold": 0.9, "min_lesion_mm3": 20.0}
    assert told() == balanced
    assert "reader balanced, threshold 0.5)" in capsys.readouterr().out
    assert told("--reader", "sparing") == {**sparing, "lesion_count": 1}
    assert "reader sparing, threshold 0.9)" in capsys.readouterr().out
    # One number of its own, the reader's others.
    assert told("--reader", "sparing", "--min-lesion", "1") == {**sparing, "min_lesion_mm3": 1}
    assert told("--flips", "on") == {**balanced, "flips": True}
    assert "threshold 0.5, with flips)" in capsys.readouterr().out
    assert segment("--flair", flair, "--output", out, "--reader", "generous") == 2
    error = capsys.readouterr().err
    assert "reader generous" in error
    assert "bright, which has balanced" in error
    assert len(error.strip().splitlines()) == 1


def broken_inputs(phantom: Phantom, folder: Path) -> dict[str, tuple[Path, int]]:
    """Name -> (bad FLAIR file, exit code)."""
    good = write_scan(folder / "good.nii.gz", phantom.flair, phantom.spacing_mm)
    content = gzip.decompress(good.read_bytes())
    huge = bytearray(content)
    struct.pack_into("<8h", huge, 40, 3, 1000, 1000, 1000, 1, 1, 1, 1)
    bad = phantom.flair.copy()
    bad[3, 3, 3] = np.nan
    files = {
        "truncated": (good.read_bytes()[:-2000], 83),
        "not-nifti": (gzip.compress(b"This is no image at all. " * 100), 82),
        "huge": (gzip.compress(bytes(huge)), 89),
        "empty-file": (b"", None),
    }
    made: dict[str, tuple[Path, int]] = {}
    for name, (data, code) in files.items():
        path = folder / f"{name}.nii.gz"
        path.write_bytes(data)
        made[name] = (path, code if code is not None else 83)
    spacing = phantom.spacing_mm
    made["missing"] = (folder / "missing.nii.gz", 80)
    made["folder"] = (folder, 81)
    made["nan"] = (write_scan(folder / "nan.nii.gz", bad, spacing), 86)
    made["constant"] = (write_scan(folder / "c.nii.gz", np.full_like(bad, 100), spacing), 87)
    faint = np.zeros_like(phantom.flair)
    faint[5:8] = -1
    made["empty-mask"] = (write_scan(folder / "faint.nii.gz", faint, spacing), 88)
    flat = sitk.GetImageFromArray(phantom.flair[3])
    sitk.WriteImage(flat, str(folder / "2d.nii.gz"))
    made["2d"] = (folder / "2d.nii.gz", 84)
    four = sitk.JoinSeries([sitk.GetImageFromArray(phantom.flair)] * 2)
    sitk.WriteImage(four, str(folder / "4d.nii.gz"))
    made["4d"] = (folder / "4d.nii.gz", 84)
    return made


def test_bad_input_is_one_line_one_code_and_nothing_written(
    phantom: Phantom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, (path, code) in broken_inputs(phantom, tmp_path).items():
        out = tmp_path / "out"
        received = segment("--flair", path, "--output", out / "result.nii.gz")
        printed = capsys.readouterr()
        lines = [x for x in printed.err.splitlines() if x.startswith("wmhseg: error: ")]
        assert received == code, f"{name}: {printed.err}"
        assert len(lines) == 1, f"{name}: {printed.err}"
        assert "Traceback" not in printed.err
        assert printed.out == ""
        assert not out.exists() or list(out.iterdir()) == [], name


def test_challenge_layout_without_t1_or_folder(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(model: str) -> int:
        where = ["--input", str(case), "--output", str(tmp_path / "out")]
        return main(["challenge", *where, "--model", model])

    (case / "pre/T1.nii.gz").unlink()
    assert run("bright") == 80  # never FLAIR alone in silence
    assert "T1.nii.gz" in capsys.readouterr().err
    assert run("bright-flair") == 0
    (case / "pre/FLAIR.nii.gz").unlink()
    assert run("bright-flair") == 80
    (case / "pre").rmdir()
    assert run("bright-flair") == 80
    assert "challenge's layout" in capsys.readouterr().err


def test_model_errors(
    case: Path, tmp_path: Path, use_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flair = case / "pre/FLAIR.nii.gz"
    out = tmp_path / "o.nii.gz"
    assert segment("--flair", flair, "--output", out, "--model", "none-such") == 100
    assert segment("--flair", flair, "--output", out, "--model", "bright-needs-t1") == 90
    assert "--model bright" in capsys.readouterr().err
    copy = tmp_path / "bright-flair"
    copy.mkdir()
    for path in (use_models / "bright-flair").iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert segment("--flair", flair, "--output", out, "--model", copy) == 0
    out.unlink()
    weights = bytearray((copy / "0.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "0.safetensors").write_bytes(weights)
    assert segment("--flair", flair, "--output", out, "--model", copy) == 101
    (copy / "preset.json").write_text("{}")
    assert segment("--flair", flair, "--output", out, "--model", copy) == 102
    assert not out.exists()


def test_names_of_outputs_are_checked_first(case: Path, tmp_path: Path) -> None:
    flair = case / "pre/FLAIR.nii.gz"
    good = tmp_path / "out" / "r.nii.gz"
    for extra in (
        ["--output", tmp_path],
        ["--output", tmp_path / "r.nrrd"],
        ["--output", good, "--overlay", tmp_path / "x.jpg"],
        ["--output", good, "--probability", tmp_path / "p.npy"],
        ["--output", good, "--probability", good],
    ):
        assert segment("--flair", flair, *extra) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case"]


def test_an_adapted_scale_is_printed(
    phantom: Phantom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flair = write_scan(tmp_path / "f.nii.gz", phantom.flair * 0.01, phantom.spacing_mm)
    assert segment("--flair", flair, "--output", tmp_path / "r.nii.gz") == 0
    assert "FLAIR multiplied by" in capsys.readouterr().out


def test_output_never_replaces_an_input(case: Path) -> None:
    flair = case / "pre/FLAIR.nii.gz"
    before = flair.read_bytes()
    assert segment("--flair", flair, "--output", flair) == 2
    assert flair.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_folder_not_writable(case: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    assert segment("--flair", case / "pre/FLAIR.nii.gz", "--output", closed / "r.nii.gz") == 96


def test_output_folder_is_a_file(case: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "result.nii.gz"
    assert segment("--flair", case / "pre/FLAIR.nii.gz", "--output", out) == 96


@pytest.mark.parametrize(
    "words",
    [
        ["segment"],
        ["segment", "--flair", "a"],
        ["segment", "--flair", "a", "--output", "b", "--threads", "0"],
        ["segment", "--flair", "a", "--output", "b", "--threshold", "1.5"],
        ["segment", "--flair", "a", "--output", "b", "--device", "tpu"],
        ["no-such-command"],
        ["--no-such-option"],
    ],
)
def test_wrong_arguments(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("wmhseg: error: ")
    assert len(printed.splitlines()) == 1


def test_debug_shows_the_trace_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    tail = ["--model", "bright", "--flair", "/nowhere.nii.gz", "--output", "/tmp/o.nii.gz"]
    for words in (["--debug", "segment"], ["segment", "--debug"]):
        assert main([*words, *tail]) == 80
        assert "Traceback" in capsys.readouterr().err


def test_models_lists_licence_and_training_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    for text in ("bright-flair", "Apache-2.0", "none: weights set by hand", "unet-synthetic"):
        assert text in printed
    assert main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} >= {"bright", "bright-flair", "unet-synthetic"}


def test_models_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The authors' layout in, a model that is listed and found out."""
    network = to_keras(catalogue.describe("unet", of_scan((32, 32), 2), {}))
    rng = np.random.default_rng(0)
    values = {v.path: random_value(v.path, v.shape, rng) for v in network.weights}
    names = {
        path.split("/")[0]: legacy_name(path.split("/")[0], i) for i, path in enumerate(values)
    }
    with h5py.File(tmp_path / "0.h5", "w") as file:
        write_legacy(file, values, names)
    words = ["models", "import", str(tmp_path / "0.h5"), "--preset", "released"]
    where = ["--name", "theirs", "--into", str(tmp_path / "m")]
    assert main([*words, *where]) == 0
    assert main([*words, *where]) == 102  # never replaced
    capsys.readouterr()
    found = store.find(tmp_path / "m" / "theirs")
    assert methods.method_name(found.preset) == "released"
    stored = store.load(found, found.preset.members[0])
    for path, value in values.items():
        np.testing.assert_array_equal(stored[path], value)
    assert "licence is: unknown" in (tmp_path / "m/theirs/MODEL_CARD.md").read_text()


def test_demo_writes_a_case(tmp_path: Path) -> None:
    assert main(["demo", "--output", str(tmp_path), "--case-only"]) == 0
    flair, t1, mask = (
        sitk.ReadImage(str(tmp_path / "input" / name))
        for name in ("pre/FLAIR.nii.gz", "pre/T1.nii.gz", "wmh.nii.gz")
    )
    assert flair.GetSize() == t1.GetSize() == mask.GetSize() == (240, 240, 48)
    lesion = sitk.GetArrayFromImage(mask) == 1
    values = sitk.GetArrayFromImage(flair)
    assert 3000 < lesion.sum() < 5000
    assert np.median(values[lesion]) > 1.2 * np.median(values[values > 70])


def run(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


COMMAND_FILES = sorted(
    path.stem
    for path in (ROOT / "wmhseg" / "cli").glob("*.py")
    if path.stem not in ("__init__", "main", "parser", "options", "console", "found")
)
COMMANDS = [
    name
    for file in COMMAND_FILES
    for name in importlib.import_module(f"wmhseg.cli.{file}").COMMANDS
]


def test_every_command_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(COMMANDS) == 15
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^    (\w+) ", capsys.readouterr().out, flags=re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--quiet", name, "--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: wmhseg {name}")
    assert "--debug" in printed


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_importing_and_help_load_nothing_heavy(words: list[str]) -> None:
    """What makes both answer in a fraction of a second (benchmarks/startup.py measures it)."""
    code = f"""
import sys, io, contextlib
import wmhseg
from wmhseg.cli.main import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main({words!r})
print(sorted({{name.split(".")[0] for name in sys.modules}}))
"""
    loaded = run(code)
    for heavy in ("numpy", "scipy", "SimpleITK", "keras", "tensorflow", "h5py", "matplotlib"):
        assert f"'{heavy}'" not in loaded


def test_version() -> None:
    out = subprocess.run(
        [sys.executable, "-m", "wmhseg", "--version"], capture_output=True, text=True, check=True
    )
    assert out.stdout == f"wmhseg {wmhseg.__version__}\n"


def test_terminated_leaves_nothing(case: Path, tmp_path: Path, use_models: Path) -> None:
    """SIGTERM while the networks compute: exit code 143, no output, no temporary file."""
    code = f"""
import os, signal, sys
from wmhseg.cli.main import main
from wmhseg.engines.openvino_engine import OpenVinoEngine
real = OpenVinoEngine.predict
def predict(self, batch):
    os.kill(os.getpid(), signal.SIGTERM)
    return real(self, batch)
OpenVinoEngine.predict = predict
sys.exit(main(["segment", "--model", "bright", "--flair", {str(case / "pre/FLAIR.nii.gz")!r},
               "--output", {str(tmp_path / "out" / "r.nii.gz")!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT)
    assert done.returncode == 143
    assert not (tmp_path / "out").exists()


def test_a_mask_of_stroke(
    phantom: Phantom,
    stroke_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Beside that of WMH, which holds WMH alone, whatever the layout."""
    monkeypatch.setenv("WMHSEG_MODELS", str(stroke_model.parent))
    flair, stroke = with_stroke(phantom)
    wmh = expected_mask(phantom) & ~stroke
    stroke[:2] = False
    path = write_scan(tmp_path / "in" / "pre" / "FLAIR.nii.gz", flair, phantom.spacing_mm)
    out = tmp_path / "out"
    words = ["segment", "--flair", str(path), "--output", str(out / "wmh.nii.gz"), "--quiet"]
    model = ["--model", "bright-stroke"]
    assert main([*words, *model, "--stroke", str(out / "s.nii.gz")]) == 0
    assert "stroke       0.05 ml, 1 lesion, largest 0.05 ml\n" in capsys.readouterr().out
    np.testing.assert_array_equal(read(out / "wmh.nii.gz"), wmh)
    np.testing.assert_array_equal(read(out / "s.nii.gz"), stroke)
    assert main([*words, *model]) == 0
    assert {path.name for path in out.iterdir()} == {"wmh.nii.gz", "wmh.json"}

    case = ["challenge", "--input", str(tmp_path / "in"), "--output", str(out / "c"), *model]
    assert main(case) == 0
    assert {path.name for path in (out / "c").iterdir()} == {"result.nii.gz", "result.json"}
    assert main([*case, "--stroke"]) == 0
    np.testing.assert_array_equal(read(out / "c" / "result.nii.gz"), wmh)
    np.testing.assert_array_equal(read(out / "c" / "result_stroke.nii.gz"), stroke)

    batch = ["batch", str(tmp_path / "in"), "--output", str(out / "b"), *model, "--stroke"]
    capsys.readouterr()
    assert main([*batch, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["others"] == {"stroke": {"volume_ml": 0.0486, "lesion_count": 1}}
    names, cells = (
        line.split("\t") for line in (out / "b" / "summary.tsv").read_text().split("\n")[:2]
    )
    assert dict(zip(names, cells, strict=True))["stroke_volume_ml"] == "0.0486"
    np.testing.assert_array_equal(read(out / "b" / row["subject"] / "stroke.nii.gz"), stroke)


def test_a_mask_of_stroke_that_the_model_does_not_make(
    case: Path,
    stroke_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line before anything is read, and nothing is left."""
    flair, out = str(case / "pre" / "FLAIR.nii.gz"), tmp_path / "out"
    commands = (
        [
            "segment",
            "--flair",
            flair,
            "--output",
            str(out / "m.nii.gz"),
            "--stroke",
            str(out / "s.nii"),
        ],
        ["challenge", "--input", str(case), "--output", str(out), "--stroke"],
        ["batch", str(case), "--output", str(out), "--stroke"],
    )
    monkeypatch.setattr("wmhseg.io.sources.read", None)
    for advice in (
        "Use --model uresnet-synthetic.",  # known, installed or not
        "Use --model bright-stroke",
    ):
        for words in commands:
            assert main([*words, "--model", "bright"]) == errors.UsageError.exit_code == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert "A model that marks stroke besides WMH was expected" in line
            assert "bright, which marks WMH." in line
            assert advice in line
            assert not out.exists()
        folders = [os.environ["WMHSEG_MODELS"], str(stroke_model.parent)]
        monkeypatch.setenv("WMHSEG_MODELS", os.pathsep.join(folders))
