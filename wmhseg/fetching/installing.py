"""Puts models of this project where they are found, and takes them away again.

A model appears complete and checked or not at all: its file is compared with the index of this
version, its folder is made under a hidden name, and gets its own name last.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wmhseg.errors import (
    ChecksumError,
    DiskFullError,
    DownloadError,
    OutputNotWritableError,
    UnknownModelError,
    UsageError,
)
from wmhseg.fetching import archive, download, index, partial
from wmhseg.fetching.download import USUAL, Patience
from wmhseg.fetching.index import Asset
from wmhseg.io import checksums, files
from wmhseg.io.progress import Progress
from wmhseg.weights import known, store
from wmhseg.weights.store import Model

_SUFFIX = ".zip"
_FREE = "Free some space, or choose another folder (--into)."


@dataclass(frozen=True)
class Telling:
    """Whom to tell what happens.

    Attributes:
        say: Is given sentences.
        progress: Is told of bytes: those that are there, and all.
    """

    say: Callable[[str], None] = lambda sentence: None
    progress: Progress = lambda done, total: None


def place(into: Path | None) -> Path:
    """The folder that models are put into: the given one, else the first that is searched.

    Raises:
        UsageError: If that would be the package's own, as the user has no home folder.
    """
    own = [one for one in store.search_path() if one not in store.package_folders()]
    return into or (own[0] if own else store.user_folder())


def installed(asset: Asset, into: Path | None = None) -> Model | None:
    """The model, if it is there as this version has it: in a folder, or wherever it is found.

    Raises:
        ModelError: If there is another or a damaged one under its name.
    """
    folders = store.installed() if into is None else iter([into / asset.name])
    folder = next((one for one in folders if one.name == asset.name), None)
    if folder is None or not (folder / "preset.json").exists():
        return None
    model = store.read_model(folder)
    if checksums.sha256_of(folder / "preset.json") != asset.preset_sha256:
        raise ChecksumError(
            f"{folder} was expected to hold the model {asset.name} of this version of wmhseg",
            received="a preset.json of another one",
            advice=f"Remove that folder first (wmhseg models remove {asset.name}).",
        )
    for member in model.preset.members:
        store.load(model, member)
    return model


def get(
    asset: Asset,
    source: str | None,
    *,
    into: Path | None = None,
    telling: Telling | None = None,
    patience: Patience = USUAL,
) -> Model:
    """Installs a model from its file.

    Args:
        asset: The file.
        source: Where it is: an address, a file, or a folder or address that holds it under its own
            name; None for the address of the index.
        into: Folder of models; None for the first that is searched.
        telling: Whom to tell what happens.
        patience: How long a server is waited for.

    Raises:
        UsageError: If nobody has said where files are, or the source is none.
        InputError: If the source is a file that cannot be read.
        DownloadError: If the file cannot be fetched.
        ChecksumError: If the file is another one.
        OutputError: If the folder cannot be written to, or the disk is full.
    """
    telling = telling or Telling()
    origin = _origin(asset, source)
    folder = place(into)
    files.check_writable(folder)
    _check_free(folder / asset.name)
    if isinstance(origin, Path):
        label = f'file "{origin}"'
        with files.reading(origin, label, advice="Name the file of a model.") as file:
            _check(file, asset, str(origin))
            return _install(file, asset, folder)
    _check_room(folder, asset)
    return _fetched(origin, asset, folder, telling, patience)


def _origin(asset: Asset, source: str | None) -> str | Path:
    """The address or the path of the file."""
    source = source or index.address()
    if source is None:
        raise UsageError(
            f"The address of {asset.file} was expected, as this version of wmhseg knows of none",
            received="none",
            advice=f"Say where it is: --from URL, --from FILE, or ${index.VARIABLE}.",
        )
    if "://" in source or source.lower().startswith(("http:", "https:", "file:")):
        download.check_address(source)
        return source if source.endswith(_SUFFIX) else f"{source.rstrip('/')}/{asset.file}"
    path = Path(source).expanduser()
    return path / asset.file if path.is_dir() else path


def _fetched(url: str, asset: Asset, folder: Path, telling: Telling, patience: Patience) -> Model:
    """Fetches the file into the folder, and installs from there."""
    path = folder / f".wmhseg-{asset.name}-{asset.sha256[:12]}.part"

    def waiting() -> None:
        telling.say(f"another process fetches {asset.name}: waiting for it")

    with partial.opened(path, waiting) as coming:
        there = installed(asset, folder)  # by the process that was waited for
        if there is not None:
            coming.remove()
            return there
        telling.say(f"fetching {url}")
        try:
            resumed = coming.resumed
            download.fetch(url, coming, asset.size, progress=telling.progress, patience=patience)
            if resumed and partial.sha256_of(coming.file) != asset.sha256:
                # The part that was here before may be of another file.
                coming.begin("")
                download.fetch(
                    url, coming, asset.size, progress=telling.progress, patience=patience
                )
            _check(coming.file, asset, url)
            model = _install(coming.file, asset, folder)
        except (ChecksumError, DiskFullError):
            coming.remove()
            raise
        except DownloadError:
            if not coming.size:
                coming.remove()
            raise
        coming.remove()
        return model


def _check_room(folder: Path, asset: Asset) -> None:
    """The file and what is in it lie on the disk together for a moment."""
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(folder).free
        if free < 2 * asset.size:
            raise DiskFullError(
                f"Room for {2 * asset.size / 1e6:.0f} MB was expected in {folder}",
                received=f"{free / 1e6:.0f} MB",
                advice=_FREE,
            )


def _check(file: BinaryIO, asset: Asset, origin: str) -> None:
    found = partial.sha256_of(file)
    if found != asset.sha256:
        raise ChecksumError(
            f"{origin} was expected to have the sha256 {asset.sha256}",
            received=found,
            advice=f"It is damaged, or not the file of {asset.name} of this version of wmhseg.",
        )


def _install(file: BinaryIO, asset: Asset, folder: Path) -> Model:
    """Makes the model's folder from its file, which has been checked."""
    target = folder / asset.name
    with _hidden(folder, asset.name) as made:
        archive.unpack(file, made)
        model = store.read_model(made)
        for member in model.preset.members:
            store.load(model, member)
        with files.output_errors(target):
            _check_free(target)
            os.rename(made, target)
    return store.read_model(target)


def _check_free(target: Path) -> None:
    if os.path.lexists(target):
        raise OutputNotWritableError(
            f"Nothing was expected at {target} yet",
            received="a folder or file of that name",
            advice="Remove it first, or choose another folder (--into).",
        )


@contextlib.contextmanager
def _hidden(folder: Path, name: str) -> Iterator[Path]:
    """A new folder that is no model to anybody; what is left of it at the end is removed."""
    made = folder / f".wmhseg-{name}-{secrets.token_hex(8)}"
    with files.output_errors(made):
        made.mkdir()
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def remove(name: str) -> Path:
    """Removes a model of this project that the user has installed.

    Models of others, which may exist once only, and those of the package stay.

    Args:
        name: Of the model.

    Returns:
        The folder that was removed.

    Raises:
        UnknownModelError: If it is not installed, or no model of this project.
        UsageError: If its folder is the package's, or holds more than a model.
        OutputNotWritableError: If it cannot be removed.
    """
    folder = next((one for one in store.installed() if one.name == name), None)
    if folder is None or known.find(name) is None:
        raise UnknownModelError(
            "The name of a model of this project that is installed was expected",
            received=f'"{name}"',
            advice='"wmhseg models" lists what is installed, and where.',
        )
    held = list(folder.iterdir())
    if folder.parent in store.package_folders():
        raise UsageError(f"{folder} came with the package, and stays")
    if folder.is_symlink() or any(one.is_symlink() or not one.is_file() for one in held):
        raise UsageError(
            "A folder of plain files was expected, and no link",
            received=folder,
            advice="Remove it by yourself.",
        )
    with files.output_errors(folder):
        gone = folder.with_name(f".wmhseg-{name}-{secrets.token_hex(8)}")
        os.rename(folder, gone)  # half a model is none from here on
        shutil.rmtree(gone)
    return folder
