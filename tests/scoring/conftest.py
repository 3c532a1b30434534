"""Fixtures of the tests of scoring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wmhseg.scoring import score as scoring_score


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the cases that are scored and not taken from the table."""
    calls: list[str] = []
    original = scoring_score.score_masks

    def counting(reference: Path, result: Path, **how: Any) -> Any:
        calls.append(reference.parent.name)
        return original(reference, result, **how)

    monkeypatch.setattr(scoring_score, "score_masks", counting)
    return calls
