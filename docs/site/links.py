"""Looks a built site over: whether each link leads somewhere, and nothing comes from elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself when it shows a page; links are followed by people.
_FETCHED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "link": ("href",),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "object": ("data",),
    "embed": ("src",),
    "use": ("href",),
}
_NO_FILE = {"canonical", "author", "license"}  # links of a head that nothing fetches


class _Page(HTMLParser):
    """What a page fetches, links to, and can be linked to at."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.linked: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and values.get("href"):
            self.linked.append(values["href"])
        if not (tag == "link" and set(values.get("rel", "").split()) & _NO_FILE):
            for name in _FETCHED.get(tag, ()):
                if values.get(name):
                    self.fetched.append(values[name].split()[0])


def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text("utf-8"))
    return page


def _elsewhere(address: str) -> bool:
    """Whether an address is that of another host."""
    parts = urlsplit(address)
    return parts.scheme not in ("", "data") or bool(parts.netloc)


def faults(folder: Path) -> list[str]:
    """What is wrong with the site in a folder: sentences, none if all is well."""
    pages = {path: _read(path) for path in sorted(folder.rglob("*.html"))}
    found = [] if pages else [f"{folder}: pages were expected. Received: none."]
    for path, page in pages.items():
        name = path.relative_to(folder)
        for address in page.fetched:
            if _elsewhere(address):
                found.append(f"{name}: fetches {address} from another host.")
        for address in (*page.fetched, *page.linked):
            if not _elsewhere(address) and not address.startswith("data:"):
                wrong = _nowhere(folder, path, address, pages)
                if wrong:
                    found.append(f"{name}: {address} {wrong}.")
    for path in sorted(folder.rglob("*.css")):
        for address in _of_style(path.read_text("utf-8")):
            if _elsewhere(address):
                found.append(f"{path.relative_to(folder)}: fetches {address} from another host.")
    return found


def _of_style(text: str) -> Iterator[str]:
    """What a style sheet fetches."""
    for found in re.finditer(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", text):
        yield found[1] or found[2]


def _nowhere(folder: Path, page: Path, address: str, pages: dict[Path, _Page]) -> str:
    """Why a link within the site leads nowhere; "" if it leads somewhere."""
    parts = urlsplit(address)
    path = Path(os.path.normpath(page.parent / unquote(parts.path))) if parts.path else page
    if path.is_dir():
        path /= "index.html"
    if not path.is_relative_to(folder) or not path.is_file():
        return "is no file of the site"
    anchor = unquote(parts.fragment)
    if anchor and path in pages and anchor not in pages[path].anchors:
        return "is no place on that page"
    return ""
