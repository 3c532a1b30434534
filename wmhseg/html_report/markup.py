"""HTML from plain values: whatever comes from a file or a name is text, and never markup.

A page carries all it needs. Its policy (CSP) allows the scripts and the style that stand in it, by
their checksums, and no address at all: nothing is fetched, and nothing that a name smuggles in is
run.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from wmhseg.io import files

NONE = "n/a"


def text(value: object) -> str:
    """A value as text within HTML, or within an attribute in double quotes."""
    return html.escape(plain(value), quote=True)


def plain(value: object) -> str:
    """A value in words; nothing is "n/a"."""
    if value is None or value == "":
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else NONE
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {plain(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value)) or "none"
    # Parts of odd file names, and signs that are none, are escaped.
    return "".join(
        c if c.isprintable() or c == "\n" else "\ufffd" for c in files.printable(str(value))
    )


def json_text(value: Any) -> str:
    """JSON that can stand in a script element, whatever it holds."""
    content = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return content.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def element(name: str, content: str, **attributes: object) -> str:
    """An element.

    Args:
        name: Its tag.
        content: HTML.
        **attributes: "class_" is class, "_" within a name is "-"; None leaves one out, True has no
            value.
    """
    told = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{text(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return f"<{name}{told}>{content}</{name}>"


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str,
    attributes: Sequence[Mapping[str, object]] = (),
    **named: object,
) -> str:
    """A table whose first column names the rows.

    Args:
        head: Names of the columns.
        rows: Values; ``Raw`` is HTML.
        caption: What it shows.
        attributes: Of each row.
        **named: Attributes of the table.
    """
    lines = []
    for number, row in enumerate(rows):
        first, *rest = row
        cells = element("th", _cell(first), scope="row")
        cells += "".join(element("td", _cell(one), class_=_kind(one)) for one in rest)
        lines.append(element("tr", cells, **(attributes[number] if attributes else {})))
    names = "".join(element("th", text(name), scope="col") for name in head)
    content = element("caption", text(caption)) + element("thead", element("tr", names))
    made = element("table", content + element("tbody", "\n".join(lines)), **named)
    return element("div", made, class_="wide", tabindex=0, role="region", aria_label=caption)


@dataclass(frozen=True)
class Raw:
    """HTML that is made here.

    Attributes:
        html: As it goes into the page.
        kind: What its cell is for the style, if anything.
    """

    html: str
    kind: str | None = None


def _cell(value: object) -> str:
    return value.html if isinstance(value, Raw) else text(value)


def _kind(value: object) -> str | None:
    if isinstance(value, Raw):
        return value.kind
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def described(pairs: Mapping[str, object]) -> str:
    """Names and what belongs to each."""
    lines = (element("dt", text(name)) + element("dd", _cell(one)) for name, one in pairs.items())
    return element("dl", "\n".join(lines))


def listed(sentences: Iterable[str], **named: object) -> str:
    """A list of sentences."""
    return element("ul", "\n".join(element("li", text(one)) for one in sentences), **named)


def stored(name: str, folder: str = "html_report") -> str:
    """A script or style that comes with the package."""
    place = resources.files("wmhseg") / "data" / folder / name
    return place.read_text("utf-8")


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: Of the window.
        body: HTML.
        scripts: To run, in order, at the end.
        data: Name -> text for the scripts, of letters that are nothing in HTML.
        icon: A small picture, as an address of its own data.
        style: Name of the style.
    """

    title: str
    body: str
    scripts: Sequence[str] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    icon: str = "data:,"
    style: str = "page.css"

    def html(self) -> str:
        """The file."""
        style = stored(self.style)
        hold = "".join(
            f'<script type="text/plain" id="data-{text(name)}">{content}</script>\n'
            for name, content in self.data.items()
        )
        run = "".join(f"<script>{script}</script>\n" for script in self.scripts)
        policy = (
            f"default-src 'none'; img-src data: blob:; connect-src data: blob:; "
            f"script-src {' '.join(map(_checksum, self.scripts)) or _NOTHING}; "
            f"style-src {_checksum(style)}; base-uri 'none'; form-action 'none'"
        )
        return (
            f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            f'<link rel="icon" href="{self.icon}">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta name="color-scheme" content="light dark">\n'
            f'<meta name="referrer" content="no-referrer">\n'
            f"<title>{text(self.title)}</title>\n<style>{style}</style>\n</head>\n"
            f"<body>\n{self.body}\n{hold}{run}</body>\n</html>\n"
        )


_NOTHING = "'none'"


def _checksum(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
