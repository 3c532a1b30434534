"""What is said about a release: its part of the changelog, once all places name its version.

    python tests/supply/release_notes.py v0.2.0 [--output build/release-notes.md]

Ends with 1, and one line a fault, if the tag is not the version of this checkout, or if a place
that names the version names another. The standard library is enough.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?$", re.M)


def _found(pattern: str, file: str, root: Path) -> str:
    """What a pattern's group holds in a file; "" if it is not there."""
    match = re.search(pattern, (root / file).read_text("utf-8"), re.M)
    return match[1] if match else ""


def versions(root: Path = ROOT) -> dict[str, str]:
    """Place -> the version that it names. The first is where it is decided."""
    boutiques = json.loads((root / "wmhseg/data/boutiques.json").read_text("utf-8"))
    return {
        "wmhseg/version.py": _found(r'^__version__ = "(.+)"$', "wmhseg/version.py", root),
        "CITATION.cff": _found(r"^version: (.+)$", "CITATION.cff", root),
        "Dockerfile": _found(r"^ARG VERSION=(.+)$", "Dockerfile", root),
        "boutiques.json (tool-version)": boutiques["tool-version"],
        "boutiques.json (image)": boutiques["container-image"]["image"].partition(":")[2],
    }


def section(version: str, changelog: str) -> tuple[str, str]:
    """Date and text of a version's part of the changelog; "" of what is not there."""
    headings = list(HEADING.finditer(changelog))
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        if heading["version"] == version:
            end = following.start() if following else len(changelog)
            links = re.compile(r"^\[[^\]]+\]: .*\n?", re.M)
            return heading["date"] or "", links.sub("", changelog[heading.end() : end]).strip()
    return "", ""


def faults(tag: str, root: Path = ROOT) -> list[str]:
    """Why this checkout is not what the tag says: sentences, none if it is."""
    told = versions(root)
    (_, version), *others = told.items()
    found = [] if tag == f"v{version}" else [f"Tag v{version} was expected. Received: {tag}."]
    found += [
        f"{place}: {version} was expected. Received: {v}." for place, v in others if v != version
    ]
    date, text = section(version, (root / "CHANGELOG.md").read_text("utf-8"))
    released = _found(r"^date-released: (.+)$", "CITATION.cff", root).strip("\"'")
    if not date or not text:
        found.append(f"CHANGELOG.md: a dated part for {version} was expected. Received: none.")
    elif released != date:
        found.append(f"CITATION.cff: date-released {date} was expected. Received: {released}.")
    return found


def main() -> int:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tag", metavar="TAG", help="such as v0.2.0")
    parser.add_argument("--output", type=Path, help="file to write (default: print it)")
    given = parser.parse_args()
    wrong = faults(given.tag)
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    if wrong:
        return 1
    _, text = section(given.tag.removeprefix("v"), (ROOT / "CHANGELOG.md").read_text("utf-8"))
    if given.output is None:
        print(text)
    else:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
