"""Makes the docs site: pages as they are in the repository, and a reference made from the code.

    python -m docs.site.build [--output build/site]

``docs/README.md`` is the map: its lists are the contents of the site, and whatever a page links to
comes along. Faults that readers would meet are errors: links that lead nowhere, pages that nobody
reaches, whatever would be fetched from another host.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from docs.site import links, reference

ROOT = Path(__file__).resolve().parents[2]
MAP = PurePosixPath("docs/README.md")
# Links of Markdown, pictures included, outside of code; not those to other hosts.
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_CODE = re.compile(r"^( *)```.*?^\1```|`[^`]+`", re.M | re.S)


class SiteError(Exception):
    """A page is not as it should be."""


def targets(text: str) -> Iterator[str]:
    """What a page of Markdown links to in the repository, without anchors."""
    for _, target, _ in _LINK.findall(_CODE.sub("", text)):
        path = target.partition("#")[0]
        if path and not re.match(r"[a-z]+:", path):
            yield path


def joined(page: PurePosixPath, target: str) -> PurePosixPath:
    """Where a link of a page leads, from the root of the repository."""
    return PurePosixPath(os.path.normpath(page.parent / target))


def reached(root: Path = ROOT) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
    """Pages, and other files, that can be reached from the map by links.

    Raises:
        SiteError: A link leads nowhere, or out of the repository.
    """
    pages, others, waiting = [], set(), [MAP]
    while waiting:
        page = waiting.pop(0)
        if page in pages:
            continue
        pages.append(page)
        for target in targets((root / page).read_text("utf-8")):
            found = joined(page, target)
            if found.parts[0] == ".." or not (root / found).is_file():
                raise SiteError(f"{page}: a link to a file was expected. Received: {target}.")
            if found.suffix == ".md":
                waiting.append(found)
            else:
                others.add(found)
    return pages, sorted(others)


def contents(root: Path = ROOT) -> dict[str, list[PurePosixPath]]:
    """Part of the map -> its pages."""
    _, *parts = re.split(r"^## (.*)$", (root / MAP).read_text("utf-8"), flags=re.M)
    return {
        title: [joined(MAP, target) for target in targets(text)]
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    }


def _called(root: Path) -> dict[PurePosixPath, str]:
    """Page -> what the map calls it: what one wants to do, or to know."""
    links = re.findall(r"\[([^\]]+)\]\(([^)\s]+)\)", (root / MAP).read_text("utf-8"))
    return {joined(MAP, target): text for text, target in links}


def _toctree(caption: str, pages: list[PurePosixPath], called: dict[PurePosixPath, str]) -> str:
    paths = {page: f"/{page.with_suffix('')}" for page in pages}
    lines = [f"{called[p]} <{path}>" if p in called else path for p, path in paths.items()]
    return "\n".join(["```{toctree}", f":caption: {caption}", ":hidden:", "", *lines, "```", ""])


def _index(pages: list[PurePosixPath], made: list[PurePosixPath], root: Path) -> str:
    """The first page: the map, and what Sphinx makes the contents of."""
    text = (root / MAP).read_text("utf-8")
    text = _LINK.sub(lambda m: f"{m[1]}{_moved(m[2])}{m[3]}", text)
    rows = "\n".join(f"- [{reference.TITLES[page.stem]}]({page})" for page in made)
    text = text.replace("## Reference\n", f"## Reference\n\n{rows}", 1)
    trees = contents(root)
    trees["Reference"] = [*made, *trees["Reference"]]
    listed = {page for part in trees.values() for page in part} | {MAP}
    readme = PurePosixPath("README.md")
    more = [
        page
        for page in pages
        if page not in listed | {readme}
        and re.search(r"^# ", (root / page).read_text("utf-8"), re.M)
    ]
    trees = {"Start": [readme], **trees, "More": more}
    return "\n".join([text, *(_toctree(*one, _called(root)) for one in trees.items())])


def _moved(target: str) -> str:
    """A link of the map, as it is from the root."""
    return target if re.match(r"[a-z]+:", target) else str(joined(MAP, target))


def lay_out(folder: Path, root: Path = ROOT) -> None:
    """Writes all that the site is made of into a folder.

    Args:
        folder: Does not exist yet.
        root: Of the repository.
    """
    pages, others = reached(root)
    for path in (*pages, *others):
        if path != MAP:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, folder / path)
    for page in pages:
        if page != MAP:  # links to the map lead to the first page
            text = (folder / page).read_text("utf-8")
            text = _LINK.sub(
                lambda m, page=page: (
                    m[0]
                    if joined(page, m[2]) != MAP
                    else f"{m[1]}{'../' * (len(page.parts) - 1)}index.md{m[3]}"
                ),
                text,
            )
            if not re.search(r"^# ", text, re.M):  # a table for another page to link to
                text = f"---\norphan: true\n---\n\n{text}"
            (folder / page).write_text(text, encoding="utf-8")
    made = reference.write(folder)
    (folder / "index.md").write_text(_index(pages, made, root), encoding="utf-8")


def _sphinx(source: Path, made: Path) -> str:
    """Lets Sphinx make pages; returns its warnings and errors.

    In a process of its own: Sphinx registers what it makes once a process.
    """
    command = [sys.executable, "-m", "sphinx", "--builder", "html", "--quiet", "--no-color"]
    command += ["--doctree-dir", str(made.with_name("doctrees"))]
    command += ["--conf-dir", str(Path(__file__).parent), str(source), str(made)]
    found = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": found},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    ended = f"Sphinx ended with code {done.returncode}." if done.returncode else ""
    return f"{done.stderr}\n{ended}"


def build(output: Path, root: Path = ROOT) -> list[str]:
    """Makes the site.

    Args:
        output: Folder of the site; replaced.
        root: Of the repository.

    Returns:
        What is wrong with it: sentences, none if all is well.
    """
    with tempfile.TemporaryDirectory() as place:
        source, made = Path(place) / "source", Path(place) / "site"
        source.mkdir()
        try:
            lay_out(source, root)
        except SiteError as error:
            return [str(error)]
        lines = _sphinx(source, made).splitlines()
        lines = [line.replace(f"{source}/", "") for line in lines]
        wrong = list(dict.fromkeys(filter(str.strip, lines))) or links.faults(made)
        if not wrong:
            (made / ".nojekyll").touch()
            shutil.rmtree(output, ignore_errors=True)
            output.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(made, output)
    return wrong


def main() -> int:
    """Runs the program; returns 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "site", metavar="DIR")
    output = parser.parse_args().output
    wrong = build(output)
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    if not wrong:
        print(f"{'written':<13}{output / 'index.html'}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
