"""Paths that a terminal's encoding cannot express end no run: they are printed as escapes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Phantom, write_case

from wmhseg.cli.console import everything_printable

LATIN_1 = os.fsdecode(b"Universit\xe4t")
TERMINALS = {
    "utf-8": {"LC_ALL": "C.UTF-8"},
    "ascii": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"},
    "strict": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "latin-1:strict"},
    "C": {"LC_ALL": "C"},
    "plain C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}


def run(terminal: str, models: Path, *words: object) -> str:
    """What a command prints that must succeed."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-m", "wmhseg", *map(os.fspath, words)],
        env={**clean, **TERMINALS[terminal], "PYTHONPATH": str(ROOT), "WMHSEG_MODELS": str(models)},
        capture_output=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("folder", "terminal"),
    [(LATIN_1, "utf-8"), (LATIN_1, "plain C"), *(("größe €", name) for name in TERMINALS)],
)
def test_success_stays_success(
    phantom: Phantom, tmp_path: Path, models_folder: Path, folder: str, terminal: str
) -> None:
    data, out = tmp_path / folder, tmp_path / folder / "out"
    case = write_case(tmp_path / "case", phantom)
    data.mkdir()
    case.rename(data / folder)
    words = ["batch", data, "--output", out, "--model", "bright-flair", "--threads", "1"]
    assert run(terminal, models_folder, *words, "--dry-run").count("\n") == 2
    assert "done         1 of 1" in run(terminal, models_folder, *words)
    again = json.loads(run(terminal, models_folder, *words, "--json"))
    assert [row["status"] for row in again] == ["done before"]
    assert again[0]["subject"].encode("utf-8", "surrogateescape") == os.fsencode(folder)
    assert len((out / "summary.tsv").read_text("utf-8").splitlines()) == 2
    mask = out / folder / "result.nii.gz"
    assert mask.is_file()
    told = run(
        terminal, models_folder, "evaluate",
        *("--reference", data / folder / "wmh.nii.gz", "--result", mask),
    )  # fmt: skip
    assert "DSC" in told


def test_a_stream_keeps_its_own_ways(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout.errors
    with everything_printable():
        print(LATIN_1)
    assert sys.stdout.errors == before
    assert capsys.readouterr().out == "Universit\\udce4t\n"
