"""The benchmarks that most machines skip: they have to run where they do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu
from wmhseg import runtime

ROOT = Path(__file__).resolve().parents[1]


def test_operations_of_the_chain_that_sets_the_peak() -> None:
    # 8 x 8 pixels, 9 taps: 2 -> 4 maps, 4 -> 4, 4 -> 1 with a single tap.
    assert gpu.chain(2, 8, 4).multiplications() == 64 * (9 * 2 * 4 + 9 * 4 * 4 + 4)


def test_the_gpu_benchmark_is_skipped_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "has_gpu", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    gpu.main()
    assert capsys.readouterr().out == "No GPU: skipped.\n"


def test_the_gpu_benchmark_runs_on_the_cpu() -> None:
    words = ["--device", "cpu", "--batches", "1", "2", "--slices", "2", "--rounds", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    told, empty, _, _, *rows = done.stdout.splitlines()
    assert runtime.processor_name() in told
    assert not empty
    assert [row.split("|")[1:3] for row in rows] == [[" f32 ", " 1 "], [" f32 ", " 2 "]]
    for row in rows:
        *_, reached, peak, share, memory, _ = row.split("|")
        assert float(share.strip("% ")) == pytest.approx(100 * float(reached) / float(peak), abs=1)
        assert float(reached) > 0
        assert not memory.strip()
