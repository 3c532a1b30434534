"""Resuming: any change of what work is made from shows, and a damaged stamp vouches for nothing."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from wmhseg import errors
from wmhseg.io import stamps
from wmhseg.io.stamps import Stamp, fingerprint


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").write_bytes(b"")
    return tmp_path / "a", tmp_path / "b"


@pytest.fixture
def stamp(tmp_path: Path) -> Stamp:
    """A stamp with both its outputs, of which nothing has been written down."""
    made = Stamp(tmp_path / "done.json", (tmp_path / "mask", tmp_path / "report"))
    for path in made.outputs:
        path.write_text("made")
    return made


def test_a_fingerprint_by_hand(inputs: tuple[Path, Path]) -> None:
    """Of the salt and then the digest of each file: stamps of version 0.1 are read on."""
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    whole = b"salt" + bytes.fromhex(abc) + bytes.fromhex(nothing)
    assert fingerprint("salt", *inputs) == hashlib.sha256(whole).hexdigest()[:16]
    assert fingerprint("") == "e3b0c44298fc1c14"


def test_content_salt_and_order_count_and_time_does_not(inputs: tuple[Path, Path]) -> None:
    first, second = inputs
    known = {fingerprint("salt", *inputs)}
    os.utime(first, (1, 1))
    assert fingerprint("salt", *inputs) in known
    for other in (
        fingerprint("salts", *inputs),
        fingerprint("salt", second, first),
        fingerprint("salt", first),
    ):
        assert other not in known
        known.add(other)
    for changed in inputs:
        changed.write_bytes(changed.read_bytes() + b"!")
        assert fingerprint("salt", *inputs) not in known
        known.add(fingerprint("salt", *inputs))
    assert len(known) == 6


def test_what_cannot_be_read_has_no_fingerprint(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for odd in (None, tmp_path, tmp_path / "none", tmp_path / "pipe", Path("a\0b")):
        assert fingerprint("salt", inputs[0], odd) == ""
    assert not stamps.same("", "")
    assert not stamps.same(None, "")
    assert stamps.same("1f", "1f")
    assert not stamps.same("1f", "2e")


def test_a_stamp_vouches_for_its_outputs(stamp: Stamp) -> None:
    assert stamp.read("1f") is None
    stamp.write("1f", {"volume_ml": 1.5, "warnings": ["ä"]})
    assert stamp.read("1f") == {"volume_ml": 1.5, "warnings": ["ä"]}
    assert list(json.loads(stamp.path.read_text())) == ["fingerprint", "volume_ml", "warnings"]
    assert stamp.read("2e") is None
    for output in stamp.outputs:
        output.rename(output.with_suffix(".away"))
        assert stamp.read("1f") is None
        output.with_suffix(".away").rename(output)
    stamp.write("")
    assert stamp.read("") is None  # what could not be read was not the same


@pytest.mark.parametrize("content", [b"", b"[]", b'"1f"', b"{}", b'{"fingerprint": "1f"', b"\xff",
                                     b"[" * 9999, b'{"fingerprint": null}'])  # fmt: skip
def test_a_damaged_stamp_vouches_for_nothing(stamp: Stamp, content: bytes) -> None:
    stamp.path.write_bytes(content)
    assert stamp.read("1f") is None


def test_outdated_outputs_go_and_files_of_others_stay(stamp: Stamp) -> None:
    stamp.clear()
    assert all(path.exists() for path in stamp.outputs)  # nothing says that they are ours
    other = stamp.path.with_name("other")
    other.touch()
    stamp.write("1f")
    stamp.outputs[0].unlink()
    stamp.clear()
    assert list(other.parent.iterdir()) == [other]


def test_a_stamp_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "done.json").mkdir()
    with pytest.raises(errors.OutputNotWritableError):
        Stamp(tmp_path / "done.json", ()).write("1f")
    assert Stamp(tmp_path / "done.json", ()).read("1f") is None


def test_sources_in_full(tmp_path: Path) -> None:
    texts = {"plan.json": "{}\n", "data.json": '{"ä": 1}\n'}
    stamps.write_sources(tmp_path, texts)
    assert stamps.changed_source(tmp_path, texts) == ""
    assert stamps.changed_source(tmp_path, {**texts, "plan.json": "{ }\n"}) == "plan.json"
    assert stamps.changed_source(tmp_path, {**texts, "split.json": ""}) == "split.json"
    (tmp_path / "data.json").write_bytes(b"\xff")
    assert stamps.changed_source(tmp_path, texts) == "data.json"


def test_sources_are_written_all_or_none(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with pytest.raises(errors.OutputNotWritableError):
        stamps.write_sources(tmp_path, {"first": "1", "second": "2"})
    assert not (tmp_path / "first").exists()
