"""From a model's name or path to verified weights, and from weights to files.

A model is a folder with ``preset.json``, one safetensors file a member and ``MODEL_CARD.md``.
Nothing in it is executed: networks are built in code and only arrays are read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from wmhseg.errors import (
    ChecksumError,
    MissingFileError,
    PresetError,
    UnknownModelError,
    UsageError,
    WmhsegError,
)
from wmhseg.io import files
from wmhseg.io.checksums import sha256_of
from wmhseg.networks.variables import Tensors
from wmhseg.weights import known
from wmhseg.weights import preset as presets
from wmhseg.weights.preset import Member, Preset
from wmhseg.weights.tensor_files import GET_AGAIN, parse_tensors, read_content, write_tensors

DEFAULT_MODEL = "mixed-tuned"
# A preset is a page of text.
_MAX_PRESET_BYTES = 1_000_000


@dataclass(frozen=True)
class Model:
    """An installed model: its folder and its checked preset. Weights are read by ``load``."""

    folder: Path
    preset: Preset


def search_path() -> list[Path]:
    """Folders that are searched for models by name, first match wins.

    ``$WMHSEG_MODELS`` (several folders, separated as in PATH), the user's data folder, where
    ``wmhseg models import`` and ``get`` put them, then the models that came with the package.
    """
    folders = [Path(part) for part in os.environ.get("WMHSEG_MODELS", "").split(os.pathsep) if part]
    with suppress(UsageError):  # a container's user may have no home
        folders.append(user_folder())
    return [*folders, *package_folders()]


def package_folders() -> list[Path]:
    """Folders of the models that came with the package: installed, and in a clone."""
    package = Path(__file__).resolve().parents[1]
    return [package / "models", package.parent / "models"]


def user_folder() -> Path:
    """Folder for models the user adds: ``$XDG_DATA_HOME/wmhseg/models``.

    Raises:
        UsageError: If the user has no home folder.
    """
    data = os.environ.get("XDG_DATA_HOME") or os.path.join("~", ".local", "share")
    try:
        return Path(data).expanduser() / "wmhseg" / "models"
    except RuntimeError:
        raise UsageError(
            "A home folder to keep models in was expected",
            received="none",
            advice="Set XDG_DATA_HOME, or name a folder (--into).",
        ) from None


def read_model(folder: Path) -> Model:
    """Reads a model's preset; weights are not touched.

    Raises:
        UnknownModelError: If the folder holds no preset.json.
        MissingFileError: If it holds a link to one that is not there.
        UnreadableFileError: If it cannot be read.
        PresetError: If the preset is not valid.
    """
    path = folder / "preset.json"
    try:
        with files.reading(path, f'file "{path}"', advice=GET_AGAIN) as handle:
            content = handle.read(_MAX_PRESET_BYTES + 1)
    except MissingFileError:
        if path.is_symlink():  # to nowhere, which the error says
            raise
        raise UnknownModelError(
            "A model folder with a preset.json was expected",
            received=folder,
            advice='"wmhseg models" lists what is installed.',
        ) from None
    if len(content) > _MAX_PRESET_BYTES:
        raise PresetError("preset.json: a page of text was expected", received="over 1 MB")
    what, advice = files.pointer(content)
    if what:
        raise PresetError(f"A preset was expected in {path}", received=what, advice=advice)
    try:
        return Model(folder, presets.from_json(content.decode()))
    except UnicodeDecodeError as error:
        raise PresetError("preset.json: UTF-8 text was expected", received=error) from None


def _read_named(folder: Path) -> Model:
    """Reads a model that is looked up by its name, which must be the folder's."""
    model = read_model(folder)
    if model.preset.name != folder.name:
        raise PresetError(
            f"preset.json: the folder's name {folder.name} was expected at name",
            received=f"{model.preset.name} in {folder}",
            advice="Give the folder its name back.",
        )
    return model


def installed() -> Iterator[Path]:
    """Yields the folder of every model on the search path, shadowed names left out."""
    seen = set()
    for root in search_path():
        for folder in _subfolders(root):
            if folder.name not in seen and _holds_preset(folder):
                seen.add(folder.name)
                yield folder


def _subfolders(root: Path) -> list[Path]:
    """What lies in a folder but for hidden names; nothing if it is not there or may not be read."""
    try:
        return sorted(path for path in root.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _holds_preset(folder: Path) -> bool:
    try:
        return (folder / "preset.json").is_file()
    except OSError:  # no permission, or a name that is too long
        return False


def all_models() -> list[Model]:
    """Reads the presets of all installed models, broken ones left out."""
    models = []
    for folder in installed():
        with suppress(WmhsegError):
            models.append(_read_named(folder))
    return models


def find(name_or_path: str | os.PathLike[str]) -> Model:
    """Finds a model by name or by the path of its folder.

    Args:
        name_or_path: A name as "wmhseg models" lists them, or a path (recognised by a separator
            or by being an existing folder with a preset.json).

    Returns:
        The model with its checked preset.

    Raises:
        UnknownModelError: If there is none.
        UnreadableFileError: If its preset cannot be read.
        PresetError: If its preset is not valid.
    """
    text = os.fspath(name_or_path)
    if os.sep in text or _holds_preset(Path(text)):
        return read_model(Path(os.path.expanduser(text)))
    for folder in installed():
        if folder.name == text:
            return _read_named(folder)
    names = ", ".join(folder.name for folder in installed()) or "none"
    missing = known.find(text)
    if missing is not None:
        raise UnknownModelError(
            f"The model {text}, of about {missing.size_mb} MB, was expected to be installed",
            received="one that is not",
            advice=f"{known.where(text)} Installed: {names}.",
        )
    raise UnknownModelError(
        "The name of an installed model, or the path of a model folder, was expected",
        received=f'"{text}"',
        advice=f"Installed: {names}.",
    )


def check_marked(model: Model, labels: Iterable[str]) -> None:
    """Makes sure that a model marks WMH, and what is asked of it besides.

    Raises:
        UsageError: If it does not; it names those that do.
    """
    presets.check_marks(model.preset)
    for label in labels:
        able = [one.preset.name for one in all_models() if label in one.preset.marked[1:]]
        if able:
            advice = "Use --model " + " or --model ".join(able) + "."
        else:
            able = [one.name for one in known.KNOWN if label in one.others]
            advice = "No installed model does" + f"; {' and '.join(able)} would" * bool(able) + "."
        presets.check_marked(model.preset, [label], advice)


def load(model: Model, member: Member) -> Tensors:
    """Reads the weights of one member after checking the file's sha256.

    Args:
        model: The model.
        member: One of ``model.preset.members``.

    Returns:
        Variable path, such as "enc1_conv1/kernel" -> float32 array.

    Raises:
        MissingFileError: If the file is not there.
        UnreadableFileError: If it cannot be read.
        ChecksumError: If it is not the file that the preset names.
        WeightsError: If it does not hold arrays of finite floating-point numbers.
    """
    path = model.folder / member.file
    content = read_content(path)
    checksum = hashlib.sha256(content).hexdigest()
    if checksum != member.sha256:
        raise ChecksumError(
            f"{path} was expected to have the sha256 {member.sha256}",
            received=checksum,
            advice="The file is damaged or not the one the preset was written for. " + GET_AGAIN,
        )
    return parse_tensors(content, path.name)


def save_model(
    folder: Path, preset: Preset, weights: list[Tensors], card: str, *, dtype: str = "float16"
) -> Model:
    """Writes a model folder, complete or not at all; checksums are filled in here.

    Args:
        folder: Folder to make; it must not exist, or be empty. Its name must be the preset's.
        preset: Everything but the members' checksums.
        weights: One set of arrays for each member of the preset.
        card: Text of MODEL_CARD.md.
        dtype: Type on disk: float16 halves the size; weights are float32 in use.

    Returns:
        The model as it can be found from now on.

    Raises:
        PresetError: If the preset is not valid, the name is not the folder's, or it is taken.
        WeightsError: If a value is outside the type's range.
        OutputNotWritableError: If the place cannot be written to.
        DiskFullError: If the disk has no room.
    """
    presets.validate(preset)
    if folder.name != preset.name:
        raise PresetError(
            f'A folder named like the model, "{preset.name}", was expected', received=folder.name
        )
    files.check_writable(folder)
    if any(folder.iterdir()):
        raise PresetError(
            "A model name that is not taken was expected",
            received=folder,
            advice="Choose another --name, or remove that folder first.",
        )
    try:
        members = []
        for member, tensors in zip(preset.members, weights, strict=True):
            write_tensors(folder / member.file, tensors, dtype)
            digest = sha256_of(folder / member.file)
            members.append(replace(member, sha256=digest))
        finished = presets.with_changes(preset, members=tuple(members))
        files.write_text(folder / "MODEL_CARD.md", card)
        # The preset last: a folder without it is not a model.
        files.write_text(folder / "preset.json", presets.to_json(finished))
    except BaseException:
        with suppress(OSError):
            for name in (*(member.file for member in preset.members), "MODEL_CARD.md"):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
        raise
    return Model(folder, finished)
