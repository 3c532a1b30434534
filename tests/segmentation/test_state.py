"""One segmenter in threads and in processes of every kind: right or refused, and never a hang."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, Phantom, write_scan

import wmhseg
from wmhseg import errors

# What is gone before any engine has started in the process, and what after. Keras takes seconds to
# load in each process: for it, one process that begins anew stands for all that do.
BEFORE = {
    "openvino": ("fork", "fork while reading", "joblib multiprocessing", "loader fork"),
    "keras": ("fork while reading",),
}
STARTED = ("threads", "joblib threading")
ANEW = {
    "openvino": ("spawn", "forkserver", "joblib loky", "loader spawn"),
    "keras": ("joblib loky",),
}
REFUSED = ("fork", "joblib multiprocessing", "loader fork")
ENGINES = ("openvino", "keras")
LIMIT_S = 1800

Told = dict[str, list[str]]


def run(words: list[str], models: Path, out: Path) -> int:
    """Runs ``state_work``, and leaves none of its processes behind, whatever they wait for."""
    code = "import sys, state_work; state_work.main(*sys.argv[1:])"
    folders = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
    with out.open("w") as stdout, out.with_suffix(".err").open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            env=os.environ | {"PYTHONPATH": folders, "WMHSEG_MODELS": str(models)},
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            return process.wait(LIMIT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):  # none is left, as it should be
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def told(
    phantom: Phantom, models_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Told]:
    """Goes all ways with an engine, once: way -> what was said of it, in order."""
    flair = tmp_path_factory.mktemp("state") / "f.nii.gz"
    write_scan(flair, phantom.flair, phantom.spacing_mm)
    known: dict[str, Told] = {}

    def go(engine: str) -> Told:
        if engine not in known:
            pytest.importorskip(engine)
            late = (*STARTED, *ANEW[engine], *REFUSED, "loader fork, computed here")
            words = (*BEFORE[engine], "fork while starting", *late)
            out = flair.with_name(engine)
            returned = run([engine, "bright-flair", str(flair), *words], models_folder, out)
            said: Told = {}
            for line in out.read_text().splitlines():
                way, _, what = line.partition(": ")
                said.setdefault(way, []).append(what)
            assert returned == 0, out.with_suffix(".err").read_text()
            known[engine] = said
        return known[engine]

    return go


def each(ways: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(engine, way) for engine in ENGINES for way in ways[engine]]


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks on Windows")
@pytest.mark.parametrize(("engine", "way"), each(BEFORE))
def test_a_process_that_forks_before_a_start_computes(
    engine: str, way: str, told: Callable[[str], Told]
) -> None:
    assert told(engine)[way][0] == "2 2"


@pytest.mark.parametrize(("engine", "way"), each(dict.fromkeys(ENGINES, STARTED)))
def test_threads_compute(engine: str, way: str, told: Callable[[str], Told]) -> None:
    assert told(engine)[way] == ["2 2 2 2"]


@pytest.mark.parametrize(("engine", "way"), each(ANEW))
def test_a_process_that_begins_anew_computes(
    engine: str, way: str, told: Callable[[str], Told]
) -> None:
    """A segmenter is sent to it, whose engine has started here."""
    assert told(engine)[way] == ["2" if "loky" in way else "2 2"]


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks on Windows")
@pytest.mark.parametrize(
    ("engine", "way"), each(dict.fromkeys(ENGINES, (*REFUSED, "fork while starting")))
)
def test_a_fork_after_a_start_is_refused(
    engine: str, way: str, told: Callable[[str], Told]
) -> None:
    last = told(engine)[way][-1]
    assert last.startswith("DeviceError A process of its own was expected")
    assert "spawn" in last


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks on Windows")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_forked_process_may_prepare_after_a_start(
    engine: str, told: Callable[[str], Told]
) -> None:
    assert told(engine)["loader fork, computed here"] == ["2 2"]


# What is sent -------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [pickle.dumps, copy.deepcopy])
def test_a_segmenter_is_sent_without_its_engine(
    phantom: Phantom, models_folder: Path, again: Callable[[object], object]
) -> None:
    options = wmhseg.Options(device="cpu", threads=1, threshold=0.25)
    segmenter = wmhseg.Segmenter(models_folder / "bright-flair", options)

    def sent() -> wmhseg.Segmenter:
        made = again(segmenter)
        return pickle.loads(made) if isinstance(made, bytes) else made  # type: ignore[return-value]

    early = sent()
    engine = segmenter.start()
    for other in (early, sent()):
        assert (other.model, other.options) == (segmenter.model, options)
        assert other.start() is not engine
        assert other.start() is other.start()
    results = [s.segment(phantom.flair, spacing_mm=phantom.spacing_mm) for s in (segmenter, early)]
    results.append(pickle.loads(pickle.dumps(results[0])))
    for result in results[1:]:
        np.testing.assert_array_equal(result.probability, results[0].probability)
        assert result.report.model == results[0].report.model


def test_a_segmenter_with_an_engine_of_somebody_else_stays(
    models_folder: Path, phantom: Phantom
) -> None:
    made = wmhseg.Segmenter(models_folder / "bright-flair").start()
    segmenter = wmhseg.Segmenter(models_folder / "bright-flair", engine=made)
    for send in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(errors.UsageError, match="in the process that uses it"):
            send(segmenter)
