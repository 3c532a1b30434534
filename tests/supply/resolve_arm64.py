"""Says which packages of the images' lists exist as wheels for 64-bit ARM (aarch64) Linux.

    python tests/supply/resolve_arm64.py [LIST ...]

Each list is looked up by uv, without installing anything. What has no wheel is compared
with what docs/docker.md names: the program fails where the two differ.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LISTS = ("requirements-slim.txt", "requirements.txt")
PLATFORM = "aarch64-manylinux_2_36"  # Debian 12, of which the base image is
SENTENCE = (
    r"on 64-bit ARM, of `(requirements[a-z-]*\.txt)` "
    r"(?:nothing is missing|([^.;]*) (?:is|are) missing)"
)


def pinned(path: Path) -> dict[str, str]:
    """Name -> line of the list."""
    lines = path.read_text("utf-8").splitlines()
    return {line.split("==")[0].lower(): line for line in lines if line and line[0] not in "#-"}


def refused(lines: Iterable[str]) -> str:
    """What uv says of packages without a wheel; "" if all have one."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-deps"),
            *("--only-binary", ":all:", "--python-version", "3.11"),
            *("--python-platform", PLATFORM, "-"),
        ],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
    )
    return " ".join(done.stderr.split()) if done.returncode else ""


def missing(path: Path) -> set[str]:
    """Names of the packages of a list that have no wheel: uv names one after the other."""
    left, found = pinned(path), set()
    while told := refused(left.values()):
        named = re.search(r"Because ([\w.-]+)==?\S* has no wheels", told)
        name = next((one for one in left if named and normal(one) == normal(named[1])), "")
        if not name:
            sys.exit(f"{path.name}: {told}")
        found.add(name)
        del left[name]
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


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
