"""Says which packages of the images' lists exist as wheels for 64-bit ARM (aarch64) Linux.

    python tests/supply/resolve_arm64.py [LIST ...]

Each line of a list is looked up by pip, without installing anything. What has no wheel is compared
with what docs/docker.md names: the program fails where the two differ.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LISTS = ("requirements-slim.txt", "requirements.txt")
# Wheels made for these run on Debian 12, of which the base image is.
PLATFORMS = [f"manylinux_2_{n}_aarch64" for n in range(36, 16, -1)]
PLATFORMS.append("manylinux2014_aarch64")
SENTENCE = (
    r"on 64-bit ARM, of `(requirements[a-z-]*\.txt)` "
    r"(?:nothing is missing|([^.;]*) (?:is|are) missing)"
)


def pinned(path: Path) -> list[str]:
    lines = path.read_text("utf-8").splitlines()
    return [line for line in lines if line and line[0] not in "#-"]


def exists(line: str, folder: Path) -> bool:
    words = [word for name in PLATFORMS for word in ("--platform", name)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps"),
            *("--disable-pip-version-check", "--target", str(folder), "--only-binary", ":all:"),
            *("--python-version", "3.11", "--implementation", "cp", *words, line),
        ],
        capture_output=True,
        text=True,
    )
    return done.returncode == 0


def missing(path: Path) -> set[str]:
    """Names of the packages of a list that have no wheel."""
    with tempfile.TemporaryDirectory() as folder:
        return {
            line.split("==")[0].lower() for line in pinned(path) if not exists(line, Path(folder))
        }


def documented() -> dict[str, set[str]]:
    """What the page about images names: list -> packages."""
    text = " ".join((ROOT / "docs" / "docker.md").read_text("utf-8").split())
    return {
        name: set(re.findall(r"`([\w-]+)`", named or ""))
        for name, named in re.findall(SENTENCE, text, re.IGNORECASE)
    }


def main() -> int:
    told, wrong = documented(), 0
    for name in sys.argv[1:] or LISTS:
        found = missing(ROOT / name)
        print(f"{name}: {', '.join(sorted(found)) or 'nothing'} missing on aarch64", flush=True)
        if found != told.get(name):
            print(f"  docs/docker.md says: {told.get(name)}")
            wrong += 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
