"""Threads share an engine rightly; ``segmentation/test_state`` has every kind of process."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import Phantom

import wmhseg
from wmhseg.engines import sharing

pytestmark = pytest.mark.any_processor


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
