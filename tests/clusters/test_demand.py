"""What tasks ask for: more scans, slices and members more, more tasks and threads less."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import make_preset, write_scan

from wmhseg.batch.needs import needs
from wmhseg.clusters import demand
from wmhseg.datasets.subjects import Subject
from wmhseg.segmentation.options import Options
from wmhseg.weights import store


@pytest.fixture
def scans(tmp_path: Path) -> list[Subject]:
    """One scan of 40 axial slices among small ones, and one that is none."""
    small = write_scan(tmp_path / "small.nii.gz", np.zeros((5, 8, 9), np.uint8), (3, 1, 1))
    large = write_scan(tmp_path / "large.nii.gz", np.zeros((40, 8, 9), np.uint8), (1, 1, 1))
    (tmp_path / "none.nii").write_bytes(b"x")
    paths = [small, large, tmp_path / "none.nii", None, *[small] * 396]
    return [Subject(f"s{n}", path) for n, path in enumerate(paths)]


def test_the_largest_scan_that_is_looked_at_counts(scans: list[Subject]) -> None:
    options = Options(threads=2)
    time, memory = demand.limits(scans[:4], 1, None, options)
    assert (time, memory) == ("30", "3G")  # never less
    many = [scans[0], *scans[1:2] * 399]
    time, _ = demand.limits(many, 1, None, options)
    expected = needs(40, 5, 2, "f32", 40 * 8 * 9 / 1e6).limits(400)[0]
    assert int(time) == -(-expected // 60)
    default = store.find(store.DEFAULT_MODEL).preset
    assert demand.limits(many, 1, default, options)[0] == time  # 3 U-Nets and a Stack-Net of 1.5
    with_structures, _ = demand.limits(many, 1, default, replace(options, anatomy=True))
    expected = needs(40, 7, 2, "f32", 40 * 8 * 9 / 1e6).limits(400)[0]
    assert int(with_structures) == -(-expected // 60)


def test_what_makes_it_more_and_less(scans: list[Subject]) -> None:
    def minutes(tasks: int = 4, **options: object) -> int:
        return int(demand.limits(scans, tasks, None, Options(**options))[0])  # type: ignore[arg-type]

    assert minutes(threads=1) > minutes(threads=4)
    assert minutes(tasks=2) > minutes(tasks=4)
    assert minutes(flips="on") > minutes()
    one = demand.limits(scans, 4, make_preset(), Options())  # a model of one member
    assert int(one[0]) < minutes()


def test_scans_that_cannot_be_read() -> None:
    nobody = [Subject("a", Path("nowhere.nii")), Subject("b", None, problem="none")]
    assert int(demand.limits(nobody * 50, 1, None, Options())[0]) > 100
