"""Models that are known, installed or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import ROOT

from wmhseg import errors
from wmhseg.cli.main import main
from wmhseg.weights import known, store

# Of networks whose weights do not come with the project.
NAMES = known.KnownModel("names-structures", "Made up, names structures.", 4, anatomical=True)
OTHER = known.KnownModel("marks-stroke", "Made up, marks stroke; FLAIR alone.", 3, ("stroke",))
FOLDERS = sorted(path.parent for path in ROOT.glob("models/*/preset.json"))


@pytest.fixture
def default_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As where the package came from a registry: the default model, and a folder of one's own."""
    package = tmp_path / "package"
    package.mkdir()
    (package / store.DEFAULT_MODEL).symlink_to(ROOT / "models" / store.DEFAULT_MODEL)
    monkeypatch.setattr(known, "KNOWN", (*known.KNOWN, OTHER, NAMES))
    monkeypatch.setattr(store, "search_path", lambda: [tmp_path / "own", package])
    return tmp_path / "own"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_what_is_said_of_a_model_is_so(folder: Path) -> None:
    told = known.find(folder.name)
    assert told is not None, "add it to wmhseg.weights.known"
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size / 1e6 == pytest.approx(told.size_mb, rel=0.05, abs=0.6)
    preset = store.read_model(folder).preset
    assert preset.marked[1:] == told.others
    assert preset.labels.anatomical == told.anatomical


def test_the_default_is_known_and_first() -> None:
    assert known.KNOWN[0].name == store.DEFAULT_MODEL
    assert known.find("none-such") is None
    assert len({model.name for model in known.KNOWN}) == len(known.KNOWN)


@pytest.mark.parametrize("model", [*known.KNOWN[1:], OTHER], ids=lambda model: model.name)
def test_a_known_model_that_is_not_installed_says_where_it_is(
    default_alone: Path, model: known.KnownModel
) -> None:
    with pytest.raises(errors.UnknownModelError) as failure:
        store.find(model.name)
    line = str(failure.value)
    for words in (model.name, f"about {model.size_mb} MB", "clone", "Docker", "$WMHSEG_MODELS",
                  f"Installed: {store.DEFAULT_MODEL}."):  # fmt: skip
        assert words in line
    assert "\n" not in line
    with pytest.raises(errors.UnknownModelError, match="name of an installed model"):
        store.find(model.name + "s")


def test_models_lists_what_could_be_installed(
    default_alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == [model.name for model in known.KNOWN]
    assert [name for name, row in rows.items() if "folder" in row] == [store.DEFAULT_MODEL]
    assert rows["marks-stroke"]["marks"] == "WMH, stroke"
    assert "marks" not in rows["names-structures"]
    assert rows["names-structures"]["names"].startswith("background, head, outer-csf, left-lateral")
    assert rows[store.DEFAULT_MODEL]["marks"] == "WMH"
    assert rows[store.DEFAULT_MODEL]["input"] == "FLAIR and T1, or FLAIR alone"
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert "mixed-tuned  (default)\n" in printed
    assert "marks-stroke  (not installed)\n    what          Made up" in printed
    # Once its folder is there it is as any other.
    default_alone.mkdir()
    (default_alone / "stacknet-synthetic").symlink_to(ROOT / "models" / "stacknet-synthetic")
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert "stacknet-synthetic\n" in printed
    assert "stacknet-synthetic  (not" not in printed
    assert store.find("stacknet-synthetic").preset.name == "stacknet-synthetic"
