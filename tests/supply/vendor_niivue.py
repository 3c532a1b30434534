"""Fetches NiiVue, the viewer of reports, and puts it with its licences into the package.

    python tests/supply/vendor_niivue.py [--check]

It needs ``npm`` and a registry. The tarballs must be, to the bit, those whose checksums stand here.
``--check`` only says whether what is in the package is still what was fetched; it needs neither.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "wmhseg" / "data" / "niivue"
VERSION = "0.69.0"
TARBALL = "6e9a6a471b428eb3b258a0086beca9187d95e43a781a39e8a519c6da246af485"
BUNDLE, MEMBER = "niivue.umd.js", "package/dist/niivue.umd.js"
# What the bundle holds of others; all but the last under MIT.
PARTS = (
    "@lukeed/uuid@2.0.1", "array-equal@1.0.2", "fflate@0.8.2", "gl-matrix@3.4.3",
    "nifti-reader-js@0.8.0", "zarrita@0.5.0", "@ungap/structured-clone@1.2.0",
)  # fmt: skip
LICENCE = """\
NiiVue {version}, https://github.com/niivue/niivue, package @niivue/niivue of npm

BSD 2-Clause License

Copyright (c) 2021, Niivue
All rights reserved.

Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this
   list of conditions and the following disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice,
   this list of conditions and the following disclaimer in the documentation
   and/or other materials provided with the distribution.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS"
AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE
FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR
SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER
CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY,
OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.

The bundle holds parts of these packages, and the typeface Roboto (Apache License 2.0, Google).
"""


def _packed(name: str, folder: Path) -> Path:
    """The tarball of a package of npm."""
    done = subprocess.run(
        ["npm", "pack", "--silent", name], cwd=folder, check=True, capture_output=True, text=True
    )
    return folder / done.stdout.split()[-1]


def _licence_of(name: str, folder: Path) -> str:
    """The text of a package's licence."""
    with tarfile.open(_packed(name, folder)) as archive:
        for member in archive.getnames():
            stem = member.split("/")[-1].lower()
            if member.count("/") == 1 and stem.startswith(("license", "licence")):
                file = archive.extractfile(member)
                assert file is not None
                return file.read().decode("utf-8").strip()
        file = archive.extractfile("package/package.json")
        assert file is not None
        import json

        return f"Licence as its package.json says: {json.load(file)['license']}"


def fetch() -> None:
    """Fetches all of it."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        tarball = _packed(f"@niivue/niivue@{VERSION}", folder)
        found = hashlib.sha256(tarball.read_bytes()).hexdigest()
        if found != TARBALL:
            sys.exit(f"NiiVue {VERSION} was expected to have sha256 {TARBALL}. Received: {found}.")
        with tarfile.open(tarball) as archive:
            file = archive.extractfile(MEMBER)
            assert file is not None
            bundle = file.read()
        parts = [f"{name}\n\n{_licence_of(name, folder)}" for name in PARTS]
    text = "\n\n----\n\n".join([LICENCE.format(version=VERSION).strip(), *parts])
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / BUNDLE).write_bytes(bundle)
    (FOLDER / "LICENSE.txt").write_text(text + "\n", "utf-8")
    sums = (
        f"{hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()}  {name}\n"
        for name in (BUNDLE, "LICENSE.txt")
    )
    (FOLDER / "SHA256SUMS").write_text("".join(sums), "utf-8")


def check() -> None:
    """Ends with an error if a file is not as it was fetched."""
    for line in (FOLDER / "SHA256SUMS").read_text("utf-8").splitlines():
        expected, name = line.split()
        found = hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()
        if found != expected:
            sys.exit(f"{name} was expected to have sha256 {expected}. Received: {found}.")


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        fetch()
    check()
