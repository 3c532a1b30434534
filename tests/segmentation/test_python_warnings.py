"""What a report warns of is a warning of Python's as well, at the caller's line, printed once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Phantom, write_case

import wmhseg
from wmhseg.batch.task import Task, segment_one
from wmhseg.cli import main
from wmhseg.datasets.subjects import Subject

MODEL = "bright"


@pytest.fixture(autouse=True)
def _models(use_models: Path, no_doubts: None) -> None:
    pass


@pytest.fixture
def flair(phantom: Phantom, tmp_path: Path) -> Path:
    return write_case(tmp_path / "case", phantom) / "pre" / "FLAIR.nii.gz"


def by_function(flair: Any) -> wmhseg.Segmentation:
    return wmhseg.segment(flair, model=MODEL)


def by_segmenter(flair: Any) -> wmhseg.Segmentation:
    return wmhseg.Segmenter(MODEL).segment(flair)


def in_two_steps(flair: Any) -> wmhseg.Segmentation:
    segmenter = wmhseg.Segmenter(MODEL)
    loaded = segmenter.load(flair)
    return segmenter.compute(loaded)


@pytest.mark.parametrize("run", [by_function, by_segmenter, in_two_steps])
def test_every_sentence_is_a_warning(
    run: Callable[[Any], wmhseg.Segmentation], flair: Path
) -> None:
    with pytest.warns(wmhseg.WmhsegWarning) as caught:
        result = run(flair)
    assert result.report.warnings
    assert [str(w.message) for w in caught] == [f"{flair}: {s}" for s in result.report.warnings]
    assert {w.filename for w in caught} == {__file__}


def test_scans_in_memory_have_no_name(phantom: Phantom) -> None:
    with pytest.warns(wmhseg.WmhsegWarning, match=r"^No T1 was given"):
        wmhseg.segment(phantom.flair, spacing_mm=phantom.spacing_mm, model=MODEL)


def test_nothing_to_warn_of(phantom: Phantom) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wmhseg.segment(phantom.flair, phantom.t1, spacing_mm=phantom.spacing_mm, model=MODEL)


def test_commands_print_them_once(
    flair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--flair", str(flair), "--output", str(tmp_path / "m.nii.gz"), "--model", MODEL]
    with warnings.catch_warnings():
        warnings.simplefilter("error", wmhseg.WmhsegWarning)
        assert main.main(["segment", *words]) == 0
        task = Task(Subject("a", flair), tmp_path / "a", MODEL, wmhseg.Options(), "mark")
        assert segment_one(task).warnings
    assert capsys.readouterr().err.count("No T1 was given") == 1
