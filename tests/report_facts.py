"""Facts of a small head with all that a page can tell, and names that try to be markup."""

from __future__ import annotations

from typing import Any

import box_brain
import numpy as np
import pytest

from wmhseg import errors
from wmhseg.geometry import Grid
from wmhseg.html_report import facts
from wmhseg.html_report.facts import Facts, Origin
from wmhseg.io.images import Scan
from wmhseg.measuring import space
from wmhseg.measuring.scene import OtherScan
from wmhseg.preparation.registration import Rigid
from wmhseg.reporting.provenance import Provenance, ScanFile

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&\u2028<!--"
TOLD: dict[str, Any] = {
    "schema": 1, "model": HOSTILE, "preset": "unet", "reader": "balanced", "threshold": 0.5,
    "t1_used": True, "warnings": ["Beware: " + HOSTILE], "versions": {"wmhseg": "0.2.0"},
    "members": [{"file": "0.safetensors", "network": "unet", "sha256": "ab" * 32}],
    "seconds": {"predict": 1.5}, "command": HOSTILE,
}  # fmt: skip


def scan(grid: Grid) -> np.ndarray:
    """A ball of tissue in air, with marks of twice its brightness."""
    places = np.indices(grid.shape) - (np.array(grid.shape).reshape(-1, 1, 1, 1) - 1) / 2
    inside = ((places / (np.array(grid.shape).reshape(-1, 1, 1, 1) / 2.1)) ** 2).sum(0) <= 1
    noise = np.random.default_rng(0).normal(0, 4, grid.shape)
    flair = np.where(inside, 100 + noise, 1 + np.abs(noise) / 8)
    return np.where(box_brain.mask() > 0, 200 + noise, flair).astype(np.float32)


def facts_of(
    monkeypatch: pytest.MonkeyPatch, *, bare: bool = False, told: dict[str, Any] | None = None
) -> Facts:
    """A box brain.

    Args:
        monkeypatch: So that it is found nowhere in the average one.
        bare: Without probability, T1, anatomy, members, and without a report beside it.
        told: What lies beside the mask.
    """

    def nowhere(*_: object) -> None:
        raise errors.RegistrationError("A head was expected", received="boxes")

    monkeypatch.setattr(space, "find", nowhere)
    grid = box_brain.grid((3.0, 1.0, 1.0))
    mask = box_brain.mask()
    flair = Scan(scan(grid), grid, "FLAIR")
    ramp = np.clip(0.2 + np.indices(grid.shape)[2] / 60, 0, 1).astype(np.float32)
    known: dict[str, Any] = {"anatomy": None}
    if not bare:
        t1 = Scan(200 - scan(grid), grid, "T1")
        known = {
            "probability": np.where(mask > 0, ramp + 0.2, ramp / 3).astype(np.float32),
            "members": {
                name: np.where(mask > 0, np.float32(0.8), np.float32(0))
                for name in (HOSTILE, f"{HOSTILE} 2")
            },
            "t1": OtherScan(t1, Rigid(), t1.array),
        }
    scene = box_brain.scene(mask, grid, **known)
    from dataclasses import replace

    scene = replace(scene, flair=flair)
    origin = Origin(
        HOSTILE,
        Provenance({"FLAIR": ScanFile(HOSTILE, "cd" * 32)}, command=HOSTILE),
        None if bare else {**TOLD, **(told or {})},
        "ef" * 32,
    )
    return facts.gather(scene, origin)
