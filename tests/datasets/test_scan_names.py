"""One rule says what a scan is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from wmhseg.datasets import bids
from wmhseg.datasets.folders import natural, stem_of
from wmhseg.datasets.scan_names import ScanName, challenge_scans, scan_name


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("FLAIR", ScanName("FLAIR")),
        ("t1W", ScanName("T1")),
        ("p7_FLAIR", ScanName("FLAIR", "p7")),
        ("p-7-T1", ScanName("T1", "p-7")),
        ("sub-01_ses-a_acq-x_FLAIR", ScanName("FLAIR", "sub-01_ses-a", bids=True)),
        ("sub-01_run-2_ses-a_t1w", ScanName("T1", "sub-01_ses-a_run-2", bids=True)),
        ("sub-01_T1", ScanName("T1", "sub-01")),  # BIDS says T1w
        ("sub-01_x_FLAIR", ScanName("FLAIR", "sub-01_x")),
        *((stem, None) for stem in ("", "T2", "myFLAIR", "FLAIR_mask", "sub-01_FLAIR_x", "T1wx")),
    ],
)
def test_what_a_name_says(stem: str, expected: ScanName | None) -> None:
    assert scan_name(stem) == expected


@pytest.mark.parametrize(
    ("stem", "owner"),
    [
        ("sub-1_label-WMH_mask", "sub-1"),
        ("sub-1_ses-2_run-3_space-FLAIR_label-lesion_dseg", "sub-1_ses-2_run-3"),
        ("sub-1_label-brain_mask", ""),
        ("sub-1_mask", ""),
        ("sub-1_label-WMH_probseg", ""),
        ("label-WMH_mask", ""),
    ],
)
def test_whose_a_mask_is(stem: str, owner: str) -> None:
    assert bids.mask_owner(stem) == owner


def test_endings_and_order() -> None:
    names = ["a.nii.gz", "a.nii", "a.NII", "a.nii.gz.json", ".nii", "a.b.nii"]
    assert [stem_of(Path("x", name)) for name in names] == ["a", "a", "", "", "", "a.b"]
    assert sorted(["10", "9", "b", "a10", "a9"], key=natural) == ["9", "10", "a9", "a10", "b"]


def test_where_the_challenge_keeps_scans() -> None:
    assert challenge_scans(Path("1")) == {
        "FLAIR": Path("1/pre/FLAIR.nii.gz"),
        "T1": Path("1/pre/T1.nii.gz"),
    }
