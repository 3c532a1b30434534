"""Makes the files that models are released as, and the index of them that the package carries.

    python -m wmhseg.fetching.pack --models models --output dist/models

Whoever releases a version runs it in a clone. The files are the same bytes wherever they are made.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from wmhseg import records
from wmhseg.errors import ChecksumError, WmhsegError
from wmhseg.fetching import archive, index
from wmhseg.fetching.index import Asset, Index
from wmhseg.io import checksums, files
from wmhseg.weights import known, store


def packed(folder: Path) -> tuple[Asset, bytes]:
    """The file of a model folder, and what the index says of it.

    Raises:
        ModelError: If it is no sound model, or holds something else besides.
        InputError: If it cannot be read.
    """
    model = store.read_model(folder)
    for member in model.preset.members:
        if checksums.sha256_of(folder / member.file) != member.sha256:
            raise ChecksumError(f"{folder / member.file} was expected to be as preset.json says")
    made = io.BytesIO()
    archive.pack(folder, made)
    content = made.getvalue()
    name = model.preset.name
    asset = Asset(
        name=name,
        file=f"{name}.zip",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        preset_sha256=checksums.sha256_of(folder / "preset.json"),
    )
    return asset, content


def repository(pyproject: Path) -> str | None:
    """Address of the project's repository, as [project.urls] in pyproject.toml says; or None."""
    urls = tomllib.loads(pyproject.read_text("utf-8"))["project"].get("urls", {})
    found = {name.lower(): address for name, address in urls.items()}
    return found.get("repository") or found.get("source")


def index_of(models: Path, output: Path | None = None) -> Index:
    """The index of the known models of a folder.

    Args:
        models: Folder that holds all of ``weights.known``; pyproject.toml is beside it.
        output: Folder that gets the files; None to make none.

    Raises:
        ModelError: If a model is not sound.
        InputError: If a file cannot be read.
        OutputError: If the folder cannot be written to, or the disk is full.
    """
    assets = []
    for one in known.KNOWN:
        asset, content = packed(models / one.name)
        assets.append(asset)
        if output is not None:
            files.write_bytes(output / asset.file, content)
    found = repository(models.absolute().parent / "pyproject.toml")
    return Index(index.FORMAT, found, tuple(assets))


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the arguments and writes; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m wmhseg.fetching.pack", description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="folder of models, in a clone")
    parser.add_argument("--output", type=Path, help="folder that gets a file for each model")
    parser.add_argument(
        "--index", type=Path, help="file that gets the index: wmhseg/data/models.json"
    )
    arguments = parser.parse_args(argv)
    try:
        made = index_of(arguments.models, arguments.output)
        if arguments.index:
            files.write_text(arguments.index, records.dumps(made))
    except WmhsegError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for asset in made.models:
        print(f"{asset.sha256}  {asset.file}  {asset.size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
