"""Calibration: numbers by hand, and a temperature that is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Phantom, write_case

import wmhseg
from evaluation.calibration import __main__ as calibration
from evaluation.calibration import scans, tally
from wmhseg.datasets.cases import find_cases
from wmhseg.engines.interface import Batch
from wmhseg.synthesis.heads import load_head
from wmhseg.weights import preset, store
from wmhseg.weights.store import Model


def counted(*groups: tuple[float, int, int]) -> tally.Tally:
    """Voxels of a probability, how many of them are marked, and how many are not."""
    p = np.repeat([g[0] for g in groups], [g[1] + g[2] for g in groups]).astype(np.float32)
    marked = np.concatenate([np.repeat([True, False], g[1:]) for g in groups])
    return tally.of(p, marked)


def test_by_hand() -> None:
    """A quarter of those of 0.25 are right, half of those of 0.9; nobody looked at those of 0."""
    found = counted((0.25, 1, 3), (0.9, 2, 2), (0.0, 5, 5), (0.005, 0, 2))
    assert found.count == 10
    quarter, most = tally.reliability(found.above(tally.LEAST))
    assert (quarter.count, quarter.true, most.count, most.true) == (4, 0.25, 4, 0.5)
    assert (quarter.said, most.said) == pytest.approx((0.25, 0.9), abs=2e-3)
    error = tally.calibration_error(found.above(tally.LEAST))
    assert error == pytest.approx(0.5 * 0.4, abs=2e-3)
    assert tally.calibration_error(found) == pytest.approx(0.4 * 0.4 + 0.2 * 0.005, abs=2e-3)
    loss = -(np.log(0.25) + 3 * np.log(0.75) + 2 * np.log(0.9) + 2 * np.log(0.1)) / 8
    assert tally.log_loss(found.above(tally.LEAST)) == pytest.approx(loss, abs=5e-3)
    # At temperature 2 a half of each logit: 0.9 says 3 in 4, as the root of 9 is 3.
    assert tally.reliability(counted((0.9, 1, 0)), 2)[0].said == pytest.approx(0.75, abs=2e-3)


def test_certainty_is_counted() -> None:
    sure = counted((1.0, 3, 0), (1e-30, 0, 1))
    assert sure.count == 4
    assert tally.calibration_error(sure) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_a_temperature_that_is_known_is_found(true: float) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(-1, 2, (2, 60_000))
    marked = rng.random(logits.shape) < tally.sigmoid(logits)
    tallies = [tally.of(tally.sigmoid(v * true), m) for v, m in zip(logits, marked, strict=True)]
    found = tally.fit(tallies)
    assert found == pytest.approx(true, rel=0.03)
    whole = tally.together(tallies)
    assert tally.log_loss(whole, found) <= tally.log_loss(whole)
    assert tally.calibration_error(whole, found) < 0.01


def test_a_real_scan_is_counted_once_and_kept(
    phantom: Phantom, use_models: Path, no_doubts: None, tmp_path: Path
) -> None:
    write_case(tmp_path / "data" / "a", phantom)
    (case,) = find_cases(tmp_path / "data")
    work = scans.Work(wmhseg.Segmenter("bright"), tmp_path / "counts", 1000)
    found = scans.of_case(work, case)
    kept = phantom.lesions.copy()
    kept[:2] = kept[-2:] = False  # end slices
    assert found.marked.sum() == kept.sum()
    # This network is right everywhere.
    sure = tally.reliability(found)
    assert (sure[0].true, sure[-1].true) == (0, 1)
    (path,) = (tmp_path / "counts" / "bright").glob("*.npz")
    before = path.stat().st_mtime_ns
    assert scans.of_case(work, case).count == found.count
    assert path.stat().st_mtime_ns == before
    few = scans.of_case(scans.Work(work.segmenter, work.folder, 2), case)
    assert few.count < found.count / 3
    # What is marked as something else is neither right nor wrong.
    write_case(tmp_path / "data" / "a", phantom, label_2=True)
    assert scans.of_case(work, case).count == found.count - 25


class Square:
    """An engine that says a probability in one square of every slice."""

    batch = 4

    def load(self, model: Model, member: preset.Member) -> None:
        """Nothing to load."""

    def predict(self, batch: Batch) -> np.ndarray:
        made = np.full((*batch["scan"].shape[:3], 1), 0.001, np.float32)
        made[:, 90:120, 90:110] = 0.8
        return made


def test_synthetic_scans_and_the_tables(
    label_map: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    pytest.importorskip("matplotlib")
    file = tmp_path / "heads.npz"
    file.write_bytes(b"who they are")
    people = scans.People((file,), (load_head(label_map),))
    monkeypatch.setattr(scans, "last_people", lambda *_: people)
    engine = Square()
    monkeypatch.setattr(wmhseg.Segmenter, "start", lambda _: engine)
    words = ["--heads", str(tmp_path), "--scans", "2", "--slices", "3", "--output", str(tmp_path)]
    assert calibration.main(words) == 0
    printed = capsys.readouterr().out
    assert store.DEFAULT_MODEL in printed
    assert "| synthetic, n = 2 | 1.00 |" in printed
    rows = (tmp_path / "calibration.csv").read_text("utf-8").splitlines()
    assert len(rows) == 1 + 2 * 2  # two scans, without and with a temperature
    assert (tmp_path / "calibration.png").read_bytes().startswith(b"\x89PNG")
    assert calibration.main(["--output", str(tmp_path)]) == wmhseg.UsageError.exit_code
