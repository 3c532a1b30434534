"""Models on disk: found by name or path, checked before use, written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_preset, of_scan

from wmhseg.errors import (
    ChecksumError,
    DiskFullError,
    MissingFileError,
    OutputNotWritableError,
    PresetError,
    UnknownModelError,
    UnreadableFileError,
    UsageError,
    WeightsError,
)
from wmhseg.io import checksums, files
from wmhseg.networks import variables
from wmhseg.networks.keras_model import to_keras
from wmhseg.weights import preset, store, tensor_files
from wmhseg.weights.preset import Member, Preset
from wmhseg.weights.store import Model
from wmhseg.weights.tensor_files import Tensors


def tensors(seed: int = 0) -> Tensors:
    rng = np.random.default_rng(seed)
    return {
        "one/kernel": rng.normal(size=(3, 3, 2, 4)).astype(np.float32),
        "one/bias": rng.normal(size=4).astype(np.float32),
    }


def members(count: int) -> tuple[Member, ...]:
    return tuple(Member(f"{i}.safetensors", "0" * 64, "tiny", {}, 3) for i in range(count))


def save(folder: Path, count: int = 2, dtype: str = "float16", **changes: Any) -> Model:
    what = make_preset(name=folder.name, members=members(count), **changes)
    return store.save_model(
        folder, what, [tensors(i) for i in range(count)], "# card\n", dtype=dtype
    )


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Path]:
    """The search path: two folders of WMHSEG_MODELS and the user's own."""
    first, second, data = tmp_path / "first", tmp_path / "second", tmp_path / "data"
    monkeypatch.setenv("WMHSEG_MODELS", f"{first}{os.pathsep}{second}")
    monkeypatch.setenv("XDG_DATA_HOME", str(data))
    return first, second, data / "wmhseg" / "models"


# Saving and loading -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_round_trip(tmp_path: Path, dtype: str) -> None:
    made = save(tmp_path / "some-model", dtype=dtype)
    found = store.find(tmp_path / "some-model")
    assert found == made
    assert sorted(path.name for path in made.folder.iterdir()) == [
        "0.safetensors",
        "1.safetensors",
        "MODEL_CARD.md",
        "preset.json",
    ]
    assert (made.folder / "MODEL_CARD.md").read_text() == "# card\n"
    bytes_of_numbers = 76 * np.dtype(dtype).itemsize
    for number, member in enumerate(found.preset.members):
        size = (made.folder / member.file).stat().st_size
        assert bytes_of_numbers < size < bytes_of_numbers + 300
        loaded = store.load(found, member)
        assert set(loaded) == set(tensors(number))
        for name, array in tensors(number).items():
            assert loaded[name].dtype == np.float32
            np.testing.assert_array_equal(loaded[name], array.astype(dtype).astype(np.float32))
            loaded[name][...] = 0  # belongs to the caller


def test_any_user_may_read_what_was_written(tmp_path: Path) -> None:
    """A container runs as another user than the one who imported a model."""
    before = os.umask(0o022)
    try:
        made = save(tmp_path / "some-model")
    finally:
        os.umask(before)
    for path in made.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o644, path.name
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o755


@pytest.mark.parametrize("place", [0, 8, 60, -1])
def test_one_changed_byte_is_found(tmp_path: Path, place: int) -> None:
    made = save(tmp_path / "some-model")
    path = made.folder / "1.safetensors"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    store.load(made, made.preset.members[0])
    with pytest.raises(ChecksumError, match=made.preset.members[1].sha256) as caught:
        store.load(made, made.preset.members[1])
    assert checksums.sha256_of(path) in str(caught.value)


def test_sha256_of_known_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # The example of FIPS 180-2, appendix B.1.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert checksums.sha256_of(tmp_path / "abc") == expected
    (tmp_path / "million").write_bytes(b"a" * 10**6)  # appendix B.3, more than one chunk
    expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    assert checksums.sha256_of(tmp_path / "million") == expected


def test_missing_and_unreadable_weights(tmp_path: Path) -> None:
    made = save(tmp_path / "some-model")
    path = made.folder / "0.safetensors"
    path.unlink()
    with pytest.raises(MissingFileError, match=r"some-model/0\.safetensors"):
        store.load(made, made.preset.members[0])
    path.mkdir()
    with pytest.raises(UnreadableFileError, match=r"0\.safetensors.*a folder"):
        store.load(made, made.preset.members[0])
    path.rmdir()
    os.mkfifo(path)  # would be waited for
    with pytest.raises(UnreadableFileError, match=r"0\.safetensors.*a pipe"):
        store.load(made, made.preset.members[0])


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n", "git lfs pull"),
        (b"/annex/objects/MD5E-s3--12.safetensors\n", "datalad get"),
    ],
)
def test_pointers_in_place_of_weights(tmp_path: Path, content: bytes, word: str) -> None:
    """They are called what they are, not damaged."""
    made = save(tmp_path / "some-model")
    path = made.folder / "0.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"0\.safetensors.*pointer.*{word}"):
        store.load(made, made.preset.members[0])
    path.unlink()
    path.symlink_to("../.git/annex/objects/x/y/MD5E-s3--12.safetensors")
    with pytest.raises(MissingFileError, match=r"a link to a file that is not there.*datalad get"):
        store.load(made, made.preset.members[0])


def test_pointers_in_place_of_a_preset(tmp_path: Path) -> None:
    path = save(tmp_path / "some-model").folder / "preset.json"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(PresetError, match=r"preset\.json.*Git LFS pointer.*git lfs pull"):
        store.read_model(path.parent)
    path.unlink()
    path.symlink_to("../.git/annex/objects/x/y/MD5E-s3--12.json")
    with pytest.raises(MissingFileError, match=r"a link to a file that is not there.*datalad get"):
        store.read_model(path.parent)


def test_weights_of_impossible_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = save(tmp_path / "some-model")
    monkeypatch.setattr(tensor_files, "_MAX_WEIGHT_BYTES", 100)
    with pytest.raises(WeightsError, match="At most"):
        store.load(made, made.preset.members[0])


def stored(header: object, body: bytes = b"") -> bytes:
    """A safetensors file made by hand."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def one(dtype: str, body: bytes, shape: tuple[int, ...] = (1,)) -> bytes:
    return stored({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(body)]}}, body)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html></html>" * 9,
        struct.pack("<Q", 2**62),
        stored([]),
        one("F32", b"\0" * 4, (2**40, 2**40)),
        one("F32", b"\0" * 3),
        one("BF16", b"\0\0"),
        one("F8_E4M3", b"\0"),
        one("I32", b"\0" * 4),
        one("BOOL", b"\0"),
        one("C64", b"\0" * 8),
        one("X", b"\0"),
        one("F32", struct.pack("<f", float("nan"))),
        one("F16", struct.pack("<e", float("inf"))),
        one("F64", struct.pack("<d", 1e300)),  # infinite as float32
    ],
)
def test_not_weights(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.safetensors"):
        tensor_files.read_tensors(path)


def test_other_floats_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(one("F64", struct.pack("<d", 0.1)))
    assert tensor_files.read_tensors(path)["a"][0] == np.float32(0.1)


def test_written_values_must_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    large = {"fits/kernel": np.float32([65504]), "large/kernel": np.float32([65520])}
    with pytest.raises(WeightsError, match=r"float16.*large/kernel"):
        tensor_files.write_tensors(path, large, "float16")
    assert not list(tmp_path.iterdir())
    tensor_files.write_tensors(path, large, "float32")
    assert tensor_files.read_tensors(path)["large/kernel"] == 65520
    with pytest.raises(WeightsError):
        tensor_files.write_tensors(tmp_path / "b.safetensors", {"a": np.float32([np.nan])})


def test_written_shapes_and_order_are_kept(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    given = {"turned": array.transpose(2, 0, 1), "strided": array[:, ::2], "scalar": np.float32(5)}
    tensor_files.write_tensors(tmp_path / "a.safetensors", given)
    for name, value in tensor_files.read_tensors(tmp_path / "a.safetensors").items():
        assert value.shape == given[name].shape
        np.testing.assert_array_equal(value, given[name])


def test_equal_weights_make_equal_files(tmp_path: Path) -> None:
    tensor_files.write_tensors(tmp_path / "a", tensors())
    tensor_files.write_tensors(tmp_path / "b", dict(reversed(tensors().items())))
    assert checksums.sha256_of(tmp_path / "a") == checksums.sha256_of(tmp_path / "b")


# What must not be written -----------------------------------------------------------------------


def assert_nothing_made(folder: Path) -> None:
    assert not folder.exists()
    assert not list(folder.parent.iterdir())


@pytest.mark.parametrize("failing", ["1.safetensors", "MODEL_CARD.md", "preset.json"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_failing_writes_leave_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, code: int
) -> None:
    replace_file = os.replace

    def fail(source: Path, target: Path) -> None:
        if Path(target).name == failing:
            raise OSError(code, os.strerror(code))
        replace_file(source, target)

    monkeypatch.setattr(files.os, "replace", fail)
    kind = DiskFullError if code in (errno.ENOSPC, errno.EDQUOT) else OutputNotWritableError
    with pytest.raises(kind, match=f"{failing}.*Received: "):
        save(tmp_path / "some-model")
    assert_nothing_made(tmp_path / "some-model")


def test_interrupted_writes_leave_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_text", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "some-model")
    assert_nothing_made(tmp_path / "some-model")


def test_bad_weights_leave_no_model(tmp_path: Path) -> None:
    what = make_preset(members=members(2))
    bad = {"one/kernel": np.float32([1e6])}
    with pytest.raises(WeightsError):
        store.save_model(tmp_path / "some-model", what, [tensors(), bad], "")
    assert_nothing_made(tmp_path / "some-model")
    with pytest.raises(ValueError, match="zip"):
        store.save_model(tmp_path / "some-model", what, [tensors()], "")
    assert_nothing_made(tmp_path / "some-model")


def test_bad_names_leave_no_model(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match='"some-model"'):
        store.save_model(tmp_path / "other", make_preset(), [tensors()], "")
    for name in ("Upper", ".hidden", ".."):
        with pytest.raises(PresetError):
            store.save_model(tmp_path / name, make_preset(name=name), [tensors()], "")
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_outside_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "0.safetensors").write_text("mine")
    outside = (replace(members(1)[0], file="../0.safetensors"),)
    with pytest.raises(PresetError, match=r"members\[0\]\.file"):
        store.save_model(tmp_path / "some-model", make_preset(members=outside), [tensors()], "")
    assert (tmp_path / "0.safetensors").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_taken_name_is_left_alone(tmp_path: Path) -> None:
    made = save(tmp_path / "some-model")
    before = {path: path.read_bytes() for path in made.folder.iterdir()}
    with pytest.raises(PresetError, match="not taken"):
        save(tmp_path / "some-model", count=1)
    assert {path: path.read_bytes() for path in made.folder.iterdir()} == before
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("mine")
    with pytest.raises(PresetError, match="not taken"):
        save(tmp_path / "notes")
    (tmp_path / "empty").mkdir()
    save(tmp_path / "empty")


def test_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputNotWritableError, match="file/some-model"):
        save(tmp_path / "file" / "some-model")


# Finding ----------------------------------------------------------------------------------------


def test_search_path(roots: tuple[Path, Path, Path]) -> None:
    found = store.search_path()
    assert found[:3] == list(roots)
    assert store.user_folder() == roots[2]
    # Last what came with the package: inside an installed one, or beside it in a checkout.
    package = Path(store.__file__).parents[1]
    assert found[3:] == [package / "models", package.parent / "models"]


def test_user_folder_without_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.user_folder() == tmp_path / ".local" / "share" / "wmhseg" / "models"


def test_user_without_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container may run as a user that is in no table and has no HOME."""
    made = save(tmp_path / "some-model")
    monkeypatch.setenv("WMHSEG_MODELS", str(tmp_path))
    for name in ("XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    assert store.find("some-model") == made
    with pytest.raises(UsageError, match="XDG_DATA_HOME"):
        store.user_folder()


def test_first_folder_wins(roots: tuple[Path, Path, Path]) -> None:
    first, second, user = roots
    save(user / "everywhere", description="user")
    save(second / "everywhere", description="second")
    save(user / "only-here")
    assert store.find("everywhere").preset.description == "second"
    save(first / "everywhere", description="first")
    assert store.find("everywhere").preset.description == "first"
    assert store.find("only-here").folder == user / "only-here"
    ours = [folder for folder in store.installed() if folder.is_relative_to(user.parents[2])]
    assert ours == [first / "everywhere", user / "only-here"]
    descriptions = [m.preset.description for m in store.all_models()]
    assert descriptions[:2] == ["first", "A model."]


def test_a_path_is_no_name(
    roots: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(roots[0] / "some-model", description="installed")
    save(tmp_path / "here" / "some-model", description="here")
    assert store.find("some-model").preset.description == "installed"
    assert store.find(str(tmp_path / "here" / "some-model")).preset.description == "here"
    monkeypatch.chdir(tmp_path / "here")
    assert store.find("./some-model").preset.description == "here"
    assert store.find("some-model").preset.description == "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.find("~/here/some-model").preset.description == "here"


def test_unknown_model_lists_the_installed(roots: tuple[Path, Path, Path]) -> None:
    for root, name in zip(roots, ("zebra", "yak", "ox"), strict=True):
        save(root / name)
    with pytest.raises(UnknownModelError, match=r'"zebr".*Installed: zebra, yak, ox'):
        store.find("zebr")
    for name in ("", "x" * 5000, "a\0b", "..", "preset.json"):
        with pytest.raises(UnknownModelError):
            store.find(name)
    for path in ("no/such/folder", "~nobody-of-that-name/model", str(roots[0]), "/dev/null/x"):
        with pytest.raises(UnknownModelError, match=r"preset\.json"):
            store.find(path)


def test_unknown_model_when_none_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "search_path", list)
    with pytest.raises(UnknownModelError, match="Installed: none"):
        store.find("some-model")
    assert store.all_models() == []


def test_clutter_on_the_search_path(roots: tuple[Path, Path, Path]) -> None:
    first, second, _ = roots
    first.mkdir()
    (first / "empty").mkdir()
    (first / "file").write_text("")
    (first / "link").symlink_to("nowhere")
    save(second / "some-model")
    (second / "some-model").rename(second / ".some-model.123")
    assert [f for f in store.installed() if f.parent in roots] == []


def test_folders_that_may_not_be_read(
    roots: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """HOME may be another user's, as in a container with --user."""
    made = save(roots[1] / "some-model")
    iterdir, is_file = Path.iterdir, Path.is_file

    def denied(path: Path) -> bool:
        return path.is_relative_to(roots[0]) or path.is_relative_to(roots[2])

    def guarded(call: Any) -> Any:
        def guard(path: Path) -> Any:
            if denied(path):
                raise PermissionError(errno.EACCES, "Permission denied")
            return call(path)

        return guard

    monkeypatch.setattr(Path, "iterdir", guarded(iterdir))
    monkeypatch.setattr(Path, "is_file", guarded(is_file))
    assert store.find("some-model") == made
    assert store.find(made.folder) == made


def test_folder_and_preset_have_one_name(roots: tuple[Path, Path, Path]) -> None:
    """Else the name in a report would be of a model that cannot be found by it."""
    made = save(roots[0] / "some-model")
    renamed = made.folder.rename(roots[0] / "renamed")
    with pytest.raises(PresetError, match=r"renamed.*some-model"):
        store.find("renamed")
    assert store.find(renamed).preset.name == "some-model"  # by path it is what it says it is
    assert "some-model" not in [m.preset.name for m in store.all_models()]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b" " * 1_000_001])
def test_broken_presets(roots: tuple[Path, Path, Path], content: bytes) -> None:
    broken = save(roots[0] / "broken")
    save(roots[0] / "whole")
    (broken.folder / "preset.json").write_bytes(content)
    with pytest.raises(PresetError, match=r"preset\.json"):
        store.find("broken")
    names = [model.preset.name for model in store.all_models()]
    assert "whole" in names
    assert "broken" not in names


def test_preset_that_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "preset.json")
    with pytest.raises(UnreadableFileError, match="a pipe"):
        store.read_model(tmp_path)


def test_a_preset_cannot_point_outside(tmp_path: Path) -> None:
    made = save(tmp_path / "some-model")
    (tmp_path / "secret.safetensors").write_bytes((made.folder / "0.safetensors").read_bytes())
    path = made.folder / "preset.json"
    text = path.read_text()
    for name in ("../secret.safetensors", str(tmp_path / "secret.safetensors")):
        path.write_text(text.replace('"0.safetensors"', json.dumps(name)))
        with pytest.raises(PresetError, match=r"members\[0\]\.file"):
            store.find(made.folder)


# Into and out of Keras --------------------------------------------------------------------------


@pytest.fixture
def network(tiny_network: Any) -> Any:
    return to_keras(tiny_network(of_scan((16, 16), 2), wide=True))


def given_tensors() -> Tensors:
    return {
        "wide/kernel": np.arange(8, dtype=np.float32).reshape(1, 1, 2, 4),
        "wide/bias": np.float32([1, 2, 3, 4]),
        "output/kernel": np.float32([5, 6, 7, 8]).reshape(1, 1, 4, 1),
        "output/bias": np.float32([9]),
    }


def test_assign_and_collect(network: Any) -> None:
    variables.assign(network, given_tensors(), name="0.safetensors")
    taken = variables.collect(network)
    assert list(taken) == ["wide/kernel", "wide/bias", "output/kernel", "output/bias"]
    for name, array in given_tensors().items():
        np.testing.assert_array_equal(taken[name], array)
        assert taken[name].dtype == np.float32
    # What was taken stays what it was.
    network.weights[3].assign([10])
    assert taken["output/bias"] == [9]
    taken["output/bias"][0] = 11
    assert variables.collect(network)["output/bias"] == [10]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"wide/bias": np.zeros(3)},
            r"wide/bias was expected to be \(4,\)\. Received: \(3,\) \(1 of 4",
        ),
        ({"wide/bias": np.zeros((4, 1))}, r"wide/bias was expected to be \(4,\).*\(4, 1\)"),
        ({"wide/bias": None}, r"wide/bias was expected to be \(4,\).*nothing"),
        ({"dense/bias": np.zeros(4)}, r"dense/bias was expected to be absent.*\(4,\)"),
        ({"wide/bias": None, "wide/bias_1": np.zeros(4)}, r"wide/bias .*\(2 of 4"),
    ],
)
def test_wrong_tensors_are_named(network: Any, change: dict[str, Any], message: str) -> None:
    before = variables.collect(network)
    wrong = {k: v for k, v in (given_tensors() | change).items() if v is not None}
    with pytest.raises(WeightsError, match=r"0\.safetensors: " + message):
        variables.assign(network, wrong, name="0.safetensors")
    for name, array in variables.collect(network).items():
        np.testing.assert_array_equal(array, before[name])


def test_presets_in_the_checkout_are_valid() -> None:
    """Every model that is shipped: valid, complete, named as its folder, with a card."""
    root = Path(store.__file__).resolve().parents[2] / "models"
    folders = sorted(path.parent for path in root.glob("*/preset.json"))
    assert len(folders) >= 2
    for folder in folders:
        model: Model = store.find(folder)
        assert model.preset.name == folder.name
        assert (folder / "MODEL_CARD.md").read_text(encoding="utf-8").startswith("#")
        found: Preset = preset.from_json(preset.to_json(model.preset))
        assert found == model.preset
        for member in model.preset.members:
            store.load(model, member)
