"""Installed models as contenders: intensities, inputs and members as asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import wmhseg
from evaluation.contender import PROBABILITY, member_models, network
from wmhseg.datasets.cases import Case
from wmhseg.weights import store


def test_networks_run_as_asked_in_every_layout(
    use_models: Path, stroke_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[Any] = []

    class Done:
        def save(self, target: Path, probability: Path | None, others: dict[str, Path]) -> None:
            ran.append((target, probability, *others.values()))

    def segment(flair: Path, t1: Path | None, *, model: Any, options: wmhseg.Options) -> Done:
        ran.append((t1, model.preset.name, options))
        return Done()

    monkeypatch.setattr(wmhseg, "segment", segment)
    model, t1 = store.find("bright"), Path("T1")
    flat = Case("1", flair=Path("F"), t1=t1)
    test_case = Case("1", "test", "Utrecht", flair=Path("F"), t1=t1)
    keep = wmhseg.Options(intensity_scale="keep")
    auto = network(model, wmhseg.Options(threads=1))
    auto.segment(flat, tmp_path)
    auto.segment(test_case, tmp_path)
    network(store.find("bright-flair"), keep).segment(flat, tmp_path)
    one = wmhseg.Options(threads=1)
    assert ran[::2] == [(t1, "bright", one), (t1, "bright", one), (None, "bright-flair", keep)]
    assert auto.identity == network(model, wmhseg.Options(threads=2, batch=3)).identity
    assert auto.identity != network(model, keep).identity
    assert ran[1::2] == [(tmp_path, None)] * 3
    mapped = network(model, wmhseg.Options(threads=1), probability=True)
    mapped.segment(flat, tmp_path / "result.nii.gz")
    assert ran[-1] == (tmp_path / "result.nii.gz", tmp_path / PROBABILITY)
    assert mapped.identity != auto.identity  # a mask without its map is made again
    network(store.find(stroke_model), keep).segment(flat, tmp_path / "result.nii.gz")
    assert ran[-1] == (tmp_path / "result.nii.gz", None, tmp_path / "result_stroke.nii.gz")


def test_members_are_models_of_their_own(use_models: Path) -> None:
    model = store.find("bright")
    alone = member_models(model)
    assert [m.preset.name for m in alone] == ["bright.member1", "bright.member2"]
    assert [m.preset.members for m in alone] == [(m,) for m in model.preset.members]
    for member in alone:
        store.load(member, member.preset.members[0])  # its file is found
    assert member_models(store.find("bright-flair")) == []
