"""Files that are what they were, as far as the file system tells."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from wmhseg.io import looks


def rested(path: Path, content: bytes = b"scan") -> Path:
    path.write_bytes(content)
    return path


@pytest.fixture(autouse=True)
def _later(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour after the files were written."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600)


def test_the_same_files(tmp_path: Path) -> None:
    paths = [rested(tmp_path / "a"), rested(tmp_path / "b")]
    stored = json.loads(json.dumps(looks.look(paths)))
    assert looks.unchanged(stored, looks.look(paths))
    assert not looks.unchanged(stored, looks.look(paths[::-1]))
    assert not looks.unchanged(stored, looks.look(paths[:1]))
    paths[0].read_bytes()
    assert looks.unchanged(stored, looks.look(paths))
    for nothing in (None, [], "", {}):
        assert not looks.unchanged(nothing, looks.look(paths))


def test_another_content_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    """As copying does that keeps times; the time of any change tells."""
    path = rested(tmp_path / "a", b"one")
    stored = looks.look([path])
    before = path.stat()
    time.sleep(0.02)  # the clock of the file system ticks every few ms
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert not looks.unchanged(stored, looks.look([path]))


def test_nothing_is_sure_of_missing_files(tmp_path: Path) -> None:
    assert looks.look([tmp_path / "none"]) is None
    assert looks.look([tmp_path / "no\0name"]) is None
    assert not looks.unchanged(None, None)
    assert not looks.unchanged([], looks.look([]))


def test_nothing_is_sure_of_files_that_have_just_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rested(tmp_path / "a")
    written = path.stat().st_ctime
    monkeypatch.setattr(time, "time", lambda: written + 1)
    assert looks.look([path]) is None
    monkeypatch.setattr(time, "time", lambda: written + 3)
    assert looks.look([path]) is not None
