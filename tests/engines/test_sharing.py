"""Threads share an engine rightly; a forked process says what is wrong in place of hanging."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, Phantom, write_scan

import wmhseg
from wmhseg.engines import sharing


@pytest.mark.parametrize("engine", ["openvino", "keras"])
def test_threads_get_what_one_thread_gets(
    engine: wmhseg.Options, phantom: Phantom, use_models: Path
) -> None:
    """Two members that differ: with the wrong one current, the mean is another."""
    pytest.importorskip(str(engine))
    options = wmhseg.Options(engine=engine, device="cpu", threads=1)  # type: ignore[arg-type]
    segmenter = wmhseg.Segmenter("bright", options)

    def probability(_: int) -> np.ndarray:
        scans = (phantom.flair, phantom.t1)
        return segmenter.segment(*scans, spacing_mm=phantom.spacing_mm).probability

    alone = probability(0)
    with ThreadPoolExecutor(3) as pool:
        for one in pool.map(probability, range(6)):
            np.testing.assert_array_equal(one, alone)


def test_one_thread_at_a_time_works_with_an_engine() -> None:
    class Own:
        """Not to be hashed, as somebody's dataclass."""

        __hash__ = None  # type: ignore[assignment]

    class Usual:
        pass

    for engine in (Usual(), Own()):
        inside: list[int] = []
        most = 0

        def work(number: int, engine: object = engine, inside: list[int] = inside) -> int:
            with sharing.alone(engine):
                inside.append(number)
                together = len(inside)
                time.sleep(0.001)  # the others get their turn here, if they may
                inside.remove(number)
            return together

        with ThreadPoolExecutor(4) as pool:
            most = max(pool.map(work, range(40)))
        assert most == 1


FORKED = """
import multiprocessing, sys
import wmhseg
options = wmhseg.Options(engine={engine!r}, device="cpu", threads=1)
segmenter = wmhseg.Segmenter("bright-flair", options)

def new(_):
    return wmhseg.segment({flair!r}, model="bright-flair", options=options).report.lesions.count

def same(_):
    return segmenter.segment({flair!r}).report.lesions.count

context = multiprocessing.get_context("fork")
if {before}:
    print("PARENT", new(0), same(0), flush=True)
with context.Pool(1) as pool:
    for work in (new, same):
        try:
            print("CHILD", pool.apply_async(work, [0]).get(100), flush=True)
        except wmhseg.DeviceError as error:
            print("REFUSED", error.exit_code, error, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks on Windows")
@pytest.mark.parametrize("engine", ["openvino", "keras"])
def test_a_fork_after_a_start_is_refused_and_before_it_works(
    engine: str, phantom: Phantom, tmp_path: Path, use_models: Path
) -> None:
    pytest.importorskip(engine)
    flair = write_scan(tmp_path / "f.nii.gz", phantom.flair, phantom.spacing_mm)

    def run(before: bool) -> list[str]:
        program = FORKED.format(engine=engine, flair=str(flair), before=before)
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    parent, *refused = run(before=True)
    assert parent == "PARENT 2 2"
    assert len(refused) == 2
    for line in refused:
        assert line.startswith(f"REFUSED {wmhseg.DeviceError.exit_code} ")
        assert "spawn" in line
    assert run(before=False) == ["CHILD 2", "CHILD 2"]
