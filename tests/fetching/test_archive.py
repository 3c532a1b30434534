"""A model folder as one file, and back: the same bytes, and nothing that a zip may hold besides."""

from __future__ import annotations

import contextlib
import hashlib
import io
import stat
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from wmhseg import errors
from wmhseg.fetching import archive

PLAIN = stat.S_IFREG | 0o644


def zipped(*entries: tuple[str, bytes, int], method: int = zipfile.ZIP_STORED) -> io.BytesIO:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as file:
        for name, content, mode in entries:
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, mode << 16
            entry.compress_type = method
            file.writestr(entry, content)
    return made


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_packed_comes_back(tmp_path: Path) -> None:
    folder = ROOT / "models" / "uresnet-synthetic"
    made = io.BytesIO()
    archive.pack(folder, made)
    archive.unpack(made, tmp_path)
    assert held(tmp_path) == held(folder)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o133 for path in tmp_path.iterdir()} == {0}


def test_the_bytes_are_the_same_everywhere(tmp_path: Path) -> None:
    """Whatever the Python, the time, the permissions and the order of the folder."""
    for name, content in (("preset.json", b"{}"), ("0.safetensors", bytes(range(256)))):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "preset.json").chmod(0o600)
    made = io.BytesIO()
    archive.pack(tmp_path, made)
    # Local heads of 30 bytes, central ones of 46, each with a name, and 22 at the end.
    names = len("preset.json") + len("0.safetensors")
    assert len(made.getvalue()) == 2 * (30 + 46) + 2 * names + 22 + 2 + 256
    assert hashlib.sha256(made.getvalue()).hexdigest() == SAME


SAME = "398bbb234661ecbcc97eb9ae283fda59bd413e4f93a8253307d0f9a957988ec3"


@pytest.mark.parametrize("name", [".hidden", "a b", "ä"])
def test_odd_files_are_not_packed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(errors.PresetError, match="Plain files"):
        archive.pack(tmp_path, io.BytesIO())


def test_links_and_folders_are_not_packed(tmp_path: Path) -> None:
    for name in ("link", "folder"):
        place = tmp_path / name
        place.mkdir()
        if name == "link":
            (place / "preset.json").symlink_to("/etc/passwd")
        else:
            (place / "preset.json").mkdir()
        with pytest.raises(errors.PresetError, match="Plain files"):
            archive.pack(place, io.BytesIO())


HOSTILE = {
    "parent": zipped(("../x", b"1", PLAIN)),
    "absolute": zipped(("/x", b"1", PLAIN)),
    "folder": zipped(("a/x", b"1", PLAIN)),
    "backslash": zipped(("..\\x", b"1", PLAIN)),
    "drive": zipped(("C:x", b"1", PLAIN)),
    "hidden": zipped((".x", b"1", PLAIN)),
    "no name": zipped(("", b"1", PLAIN)),
    "link": zipped(("x", b"/etc/passwd", stat.S_IFLNK | 0o777)),
    "pipe": zipped(("x", b"", stat.S_IFIFO | 0o644)),
    "a folder's mode": zipped(("x", b"", stat.S_IFDIR | 0o755)),
    "compressed": zipped(("x", bytes(10**6), PLAIN), method=zipfile.ZIP_DEFLATED),
    "too many": zipped(*((f"{i}", b"", PLAIN) for i in range(41))),
    "two of a name": zipped(("x", b"1", PLAIN), ("X", b"2", PLAIN)),
    "text": io.BytesIO(b"<html>Sign in</html>"),
    "nothing": io.BytesIO(),
    "cut": io.BytesIO(zipped(("x", bytes(1000), PLAIN)).getvalue()[:900]),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_nothing_but_plain_files_comes_out(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(errors.WeightsError, match="zip of plain files"):
        archive.unpack(HOSTILE[what], folder)
    assert held(folder) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_no_more_comes_out_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 1000)
    archive.unpack(zipped(("x", bytes(1000), PLAIN)), tmp_path)
    with pytest.raises(errors.WeightsError, match="1002 bytes"):
        archive.unpack(zipped(("y", bytes(1001), PLAIN), ("z", b"1", PLAIN)), tmp_path)


SOUND = zipped(("0.safetensors", bytes(range(64)), PLAIN), ("preset.json", b"{}", PLAIN)).getvalue()


@settings(max_examples=25)
@given(changes=st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), min_size=1))
def test_damaged_files_are_refused_or_come_out_as_files(
    changes: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Never another error, and never a file outside of the folder, or larger than it may be."""
    content = bytearray(SOUND)
    for place, value in changes:
        content[place] = value
    outer = tmp_path_factory.mktemp("outer")
    folder = outer / "in"
    folder.mkdir()
    with contextlib.suppress(errors.WeightsError):
        archive.unpack(io.BytesIO(bytes(content)), folder)
    assert [path.name for path in outer.iterdir()] == ["in"]
    assert all(path.is_file() and not path.is_symlink() for path in folder.iterdir())
    assert sum(path.stat().st_size for path in folder.iterdir()) <= len(SOUND)
